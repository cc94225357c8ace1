"""What `brain explain` found, as text: one section for each step on the way of the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proxy.config.diagnostics import count, listed

Told = Mapping[str, Any]

_REASONS: Mapping[str, str] = {
    "cookies": "forward_cookies does not let it by, or not all of it",
    "credentials": "a caller's credential goes no further without forward_token",
    "forwarding": "only the gateway says how a request came",
    "framing": "the gateway frames what it sends",
    "gateway": "the gateway writes its own, or acts on it itself",
    "hop-by-hop": "it speaks of one connection",
    "identity": "only a gateway says who calls",
    "named": "Connection names it",
    "protected": "it belongs to",
    "underscore": "a name with '_' would pass for one with '-'",
}


def as_text(told: Told) -> str:
    """Return the sections that there are, with a blank line between them."""
    sections = (
        ("request", _request(told)),
        ("answer", _answer(told)),
        ("route", _route(told)),
        ("near misses", _near_misses(told)),
        ("caller", _caller(told)),
        ("chain", _chain(told)),
        ("split", _split(told)),
        ("mirror", _mirror(told)),
        ("outgoing", _outgoing(told)),
        ("tried again", _retries(told)),
        ("settings", _settings(told)),
    )
    made = [f"{title}\n{_aligned(rows)}" for title, found in sections if (rows := list(found))]
    return "\n\n".join(made)


Row = tuple[str, ...]


def _request(told: Told) -> Iterator[Row]:
    asked = told["request"]
    yield (f"{asked['method']} {asked['target']}",)
    if asked["asked_method"] != asked["method"]:
        yield "matched as", f"{asked['asked_method']}, which this preflight asks for"
    if asked["path"] not in (None, asked["target"].partition("?")[0]):
        yield "matched as", asked["path"]
    yield "host", asked["host"] or "none"
    trusted = ", told by a trusted proxy" if asked["trusted_proxy"] else ""
    yield "client", f"{asked['client']} over {asked['scheme']}{trusted}"
    # Where something is sent, they stand there with what becomes of them.
    for field in asked["headers"] if told["outgoing"] is None else ():
        yield "header", f"{field['name']}: {field['value']}"


def _answer(told: Told) -> Iterator[Row]:
    answer = told["answer"]
    if told["page"]:
        yield ("a page of the gateway's own",)
    elif answer is None:
        yield ("the upstream's, unless a plugin answers first",)
    else:
        first = "" if told["route"] is None else ", unless a plugin answers first"
        yield (f"{answer['status']} {answer['code']}: {answer['detail'].rstrip('.')}{first}",)
        yield from ((name, value) for name, value in answer["headers"].items())
    if answer is not None and answer["code"] == "credentials_missing":
        yield ("no credential is looked at here: --claims takes the caller for known",)
    if told["plugin_page"]:
        yield ("a plugin may have a page of its own here: it says so when it is set up",)
    if told["route"] is None and told["nearest"] is not None:
        yield "nearest", told["nearest"]["name"], told["nearest"]["place"]


def _route(told: Told) -> Iterator[Row]:
    route = told["route"]
    if route is None:
        return
    yield route["name"], route["match"], route["place"]
    yield "because", route["why"]
    yield "rank", _rank(route["rank"])
    if route["service"] is not None:
        how = "an alias" if route["alias"] else "the service's own"
        yield "prefix", f"{route['prefix']}, {how} (service {route['service']})"
    yield "access", *_access(route)
    yield from ((f"{{{name}}}", value) for name, value in route["values"].items())
    if route["fallback"] and told["nearest"] is not None:
        yield "nearest", told["nearest"]["name"], told["nearest"]["place"]


def _rank(rank: Told) -> str:
    kind = "literal path" if rank["literal"] else "all below" if rank["below"] else "path by name"
    literal = count(rank["literal_segments"], "literal segment")
    return f"{kind}, {literal}, {count(rank['predicates'], 'predicate')}"


def _access(route: Told) -> Row:
    asked = listed(route["authenticators"]) if route["authenticators"] else ""
    says = {
        "public": "public: nobody is asked who calls",
        "optional": f"optional: {asked} may say who calls",
        "required": f"{asked} says who calls",
    }
    return says[route["access"]], route["access_from"]["place"] or ""


def _near_misses(told: Told) -> Iterator[Row]:
    for missed in told["near_misses"]:
        reasons = [_failed(one) for one in missed["failed"]]
        if missed["outranked"]:
            by = f"{told['route']['name']} is ahead: {missed['outranked']}"
            reasons = [f"would take it too, but {by}"]
        yield missed["name"], missed["match"], missed["place"]
        yield from (("", f"- {reason}") for reason in reasons)


def _failed(failed: Told) -> str:
    what = f"{failed['predicate']} {failed['name'] or ''}".rstrip()
    sent = " and ".join(failed["sent"])
    if failed["asked"] == "absent":
        return f"{what} is there ({sent}), and must be absent"
    if not failed["sent"]:
        return f"{what} is absent, not {failed['asked']}"
    return f"{what} is {sent or 'empty'}, not {failed['asked']}"


def _caller(told: Told) -> Iterator[Row]:
    caller = told["caller"]
    if caller is None:
        return
    yield ("taken for known by the claims that were given; nothing was verified",)
    yield "subject", caller["subject"]
    if caller["tenant"] is not None:
        yield "tenant", caller["tenant"]
    for name in ("roles", "scopes"):
        if caller[name]:
            yield name, ", ".join(caller[name])
    yield "by", caller["by"]


def _chain(told: Told) -> Iterator[Row]:
    for step in told["chain"]:
        stage = "asked who calls" if step["authenticator"] else step["stage"]
        yield step["identity"], stage, step["place"]
        if step["error"] is not None:
            yield "", f"- its explain failed: {step['error']}"
        yield from (("", f"- {line}") for line in step["explains"])


def _split(told: Told) -> Iterator[Row]:
    split = told["split"]
    if split is None:
        return
    yield (f"goes to '{split['upstream']}': {_because(split)}",)
    for one in split["upstreams"]:
        yield f"{one['share'] * 100:g}%", one["name"], one["place"] or ""
        for kind in ("headers", "cookies"):
            for test in one[kind]:
                yield "", f"- and all with {kind[:-1]} {test['name']}: {test['asked']}"


def _because(split: Told) -> str:
    if split["reason"] == "request":
        return "the request asks for it"
    if split["reason"] == "caller":
        return "the shares decide by who calls, which --claims tells"
    who = "caller" if split["by"] == "principal" else "client's address"
    if split["point"] is None:
        return "nothing sends it elsewhere"
    return f"of all callers this {who} stands at {split['point'] * 100:.2f}%"


_NEVER: Mapping[str, str] = {
    "method": "none of this one, whose method is not copied",
    "upgrade": "none of this one, which is an upgrade",
    "same": "none of this one, which goes there itself",
}


def _mirror(told: Told) -> Iterator[Row]:
    mirror = told["mirror"]
    if mirror is None:
        return
    yield "copies to", mirror["upstream"], mirror["place"] or ""
    share = f"{mirror['share'] * 100:g}% of such requests, once the upstream has answered"
    yield "copied", _NEVER.get(mirror["never"], share)
    yield "compared", "nothing" if mirror["compare"] == "false" else mirror["compare"]


_CHOSEN = {
    "round-robin": "in turn",
    "least-requests": "least busy",
    "random-two": "of two",
    "hash": "by hash",
}
"""How a policy chooses, beside each of the targets."""

_ELSEWHERE = ", a name that leads nowhere: only a plugin that names another host sends anything"


def _outgoing(told: Told) -> Iterator[Row]:
    sent = told["outgoing"]
    if sent is None:
        return
    yield (f"{sent['method']} {sent['target']}",)
    several = len(sent["targets"]) > 1
    for target in sent["targets"]:
        label = "backup" if target["backup"] else _CHOSEN[sent["balance"]] if several else "to"
        weight = "" if target["weight"] == 1 else f", weight {target['weight']}"
        host = _ELSEWHERE if target["nowhere"] else f", Host: {target['host']}{weight}"
        yield label, f"{target['url']}{host}", target["place"] or ""
    for field in sent["headers"]:
        mark = "kept" if field["from"] == "client" else "added"
        yield mark, f"{field['name']}: {field['value']}"
    for field in sent["dropped"]:
        owners = f" {listed(field['owners'], 'and')}" if field["owners"] else ""
        value = f"{field['name']}: {field['value']}"
        yield "dropped", f"{value}  ({_REASONS.get(field['reason'], field['reason'])}{owners})"
    if told["chain"]:
        yield ("plugins of the chain may change this",)


def _retries(told: Told) -> Iterator[Row]:
    if told["outgoing"] is None:
        return
    if not told["retries"]:
        yield ("nothing",)
    for retry in told["retries"]:
        yield retry["reason"], f"after {listed(retry['codes'])}"
        if retry["only_reused_connection"]:
            yield "", "- on a connection that had served before, and brought no byte of an answer"
        if retry["only_whole_body"]:
            yield "", "- where the whole body is here before it is sent"
    if told["retries"]:
        yield ("on other targets first, up to retry.attempts in all and within retry.budget",)


def _settings(told: Told) -> Iterator[Row]:
    for setting in told["settings"]:
        yield setting["name"], _value(setting["value"]), setting["from"], setting["place"] or ""


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "-" if value is None else str(value)


def _aligned(rows: Sequence[Row]) -> str:
    """Return rows in columns; the last cell of a row widens none, and a lone one stands before all."""
    widths = [0] * max(map(len, rows))
    for row in rows:
        for at, cell in enumerate(row[:-1]):
            widths[at] = max(widths[at], len(cell))
    lines = (row[0] if len(row) == 1 else "  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)
