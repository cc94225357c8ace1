"""What the gateway tells of an exchange, as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proxy.cli.columns import aligned
from proxy.text import printable

Told = Mapping[str, Any]

PHASES = ("chain", "pool", "resolve", "connect", "tls", "send", "wait", "body", "total")

STAGES: Mapping[str, str] = {
    "parse": "reading the request's head",
    "route": "finding a route",
    "admin": "a page of the gateway's own",
    "upgrade": "the wish for another protocol",
    "cors": "the origin of the page that asks",
    "guard": "before it is asked who calls",
    "authenticate": "asking who calls",
    "authorize": "asking whether the caller may",
    "limit": "counting what the caller may still ask",
    "transform": "filling in values of the request",
    "cache": "looking for a stored answer",
    "request_body": "reading the request's body",
    "client": "the client's connection",
    "pool": "before a target was asked",
    "resolve": "looking up the address",
    "connect": "opening the connection",
    "tls": "the TLS handshake",
    "send": "sending the request",
    "response_head": "waiting for the answer's head",
    "response_body": "reading the answer's body",
    "answer": "the answer itself",
    "plugin": "a plugin of the chain",
    "gateway": "the gateway itself",
}

DOING: Mapping[str, str] = {
    "chain": "in the chain's plugins, before {target} was asked",
    "pool": "waiting for a slot of the upstream",
    "resolve": "looking up the address of {target}",
    "connect": "opening a connection to {target}",
    "tls": "in the TLS handshake with {target}",
    "send": "sending the request to {target}",
    "wait": "waiting for {target} to answer",
    "body": "passing on the body of {target}",
    "after": "in the gateway, after the last attempt",
}

AGAIN: Mapping[str, str] = {
    "connect": "the target had got nothing yet",
    "stale-connection": "the target had closed an idle connection, and got nothing",
    "reset": "the target broke off before it answered",
    "status": "the route tries this status again",
    "per-try-timeout": "this try had its time",
}

NOT_AGAIN: Mapping[str, str] = {
    "attempts": "there were as many attempts as the route allows (retry.attempts)",
    "budget": "too many requests were tried again already (retry.budget)",
    "method": "this method may not be sent twice",
    "body": "the body could not be sent twice",
    "too-late": "it was too late for another try",
}


def in_full(told: Told) -> Iterator[str]:
    """Yield all lines about one exchange."""
    yield printable(f"{told['method']} {told['path']}")
    rows = [*_facts(told), *_blamed(told), *_time(told)]
    width = max(len(label) for label, _ in rows)
    for label, text in rows:
        yield printable(f"  {label:<{width}}  {text}").rstrip()
    if told["attempts"]:
        yield ""
        yield from _attempts(told)


Row = tuple[str, str]


def _facts(told: Told) -> Iterator[Row]:
    yield "id", told["request_id"] or "none: the plugin request-id is not in use"
    yield "began", f"{told['time']}, by {told['client'] or 'nobody known'}"
    service = "" if told["service"] is None else f" of service {told['service']}"
    own = "none took it" if told["blame"] else "none: a page of the gateway's own"
    yield "route", own if told["route"] == "-" else f"{told['route']}{service}"
    yield "client got", _got(told)


def _got(told: Told) -> str:
    if not told["over"]:
        return "nothing yet: it is under way" if told["ms"]["head"] is None else _part(told)
    if told["answered"] == "nothing":
        return f"no answer; it is logged as {told['status']}"
    if told["answered"] == "cut":
        return f"{_part(told)}, then the connection was broken"
    sender = {"upstream": "the service", "gateway": "the gateway"}
    by = sender.get(told["from"], f"the plugin '{told['from']}'")
    return f"{told['status']} from {by}, {told['sent']} bytes of body"


def _part(told: Told) -> str:
    return f"{told['status']} and {told['sent']} bytes of the body"


def _blamed(told: Told) -> Iterator[Row]:
    blame = told["blame"]
    if blame is None:
        if told["over"]:
            again = any(each["again"] for each in told["attempts"])
            yield "to blame", "nobody, in the end: see the attempts" if again else "nobody"
        return
    stage = STAGES.get(blame["stage"], "")
    said = f"the {blame['side']}, at the stage '{blame['stage']}'{f' ({stage})' if stage else ''}"
    yield "to blame", said if blame["target"] is None else f"{said}: {blame['target']}"
    yield "because", f"{blame['code']}: {blame['detail']}" if blame["code"] else blame["detail"]
    if blame["note"]:
        yield "note", blame["note"]
    if blame["remedy"]:
        yield "what to do", blame["remedy"]


def _time(told: Told) -> Iterator[Row]:
    total, longest = told["ms"]["total"], told["longest"]
    number = longest["attempt"]
    target = "" if number is None else told["attempts"][number - 1]["target"]
    where = DOING[longest["phase"]].format(target=target)
    if longest["phase"] == "chain" and number != 1:
        no_target = "in the gateway and its plugins: no target was asked"
        where = no_target if number is None else f"before attempt {number}"
    so_far = "" if told["over"] else " so far"
    yield "took", f"{total:g} ms{so_far}, most of it ({longest['ms']:g} ms) {where}"


def _attempts(told: Told) -> Iterator[str]:
    attempts = told["attempts"]
    phases = [name for name in PHASES if any(name in each["ms"] for each in attempts)]
    rows = [("attempt", "target", "connection", "outcome", *phases)]
    for number, each in enumerate(attempts, 1):
        times = [_milliseconds(each["ms"].get(name)) for name in phases]
        connection = "reused" if each["reused"] else "new"
        rows.append((str(number), each["target"], connection, _outcome(each), *times))
    head, *lines = aligned(rows).splitlines()
    yield f"  {head}   (milliseconds)"
    for number, (each, line) in enumerate(zip(attempts, lines, strict=True), 1):
        yield printable(f"  {line}")
        if each["note"] and each["note"] != (told["blame"] or {}).get("note"):
            yield printable(f"  {'':<9}- {each['note']}")
        if said := _again(each, last=number == len(attempts)):
            yield f"  {'':<9}- {said}"


def _outcome(attempt: Told) -> str:
    if attempt["code"] is not None:
        return str(attempt["code"])
    return f"in {attempt['reached']}" if attempt["status"] is None else str(attempt["status"])


def _again(attempt: Told, *, last: bool) -> str:
    reason = attempt["again"]
    if reason is None:
        return ""
    if not last:
        return f"tried again: {AGAIN.get(reason, reason)}"
    return f"not tried again: {NOT_AGAIN.get(reason, reason)}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def listed(exchanges: Sequence[Told]) -> Iterator[str]:
    """Yield a head and a line for each exchange."""
    if not exchanges:
        return
    rows = [("began", "id", "status", "ms", "tries", "route", "code", "request")]
    for told in exchanges:
        code = (told["blame"] or {"code": None})["code"]
        rows.append(
            (
                told["time"],
                told["request_id"] or "-",
                str(told["status"] or "-"),
                f"{told['ms']['total']:.1f}",
                str(len(told["attempts"])),
                told["route"],
                code or "-",
                f"{told['method']} {told['path']}",
            )
        )
    yield from map(printable, aligned(rows).splitlines())


def of_rings(kept: Told) -> str:
    """Say how many exchanges are kept, and since when."""
    last, notable = kept["last"], kept["notable"]
    if not last["count"]:
        return "nothing was asked since the gateway began"
    since = f"the last {last['count']} since {last['since']} are"
    if notable["count"]:
        since += (
            f", and {notable['count']} that failed, were tried more than once or were slow, since "
            f"{notable['since']}"
        )
    return f"{since} (gateway.recent.keep: {kept['keep']})"
