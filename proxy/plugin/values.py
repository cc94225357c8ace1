"""What `${…}` means on the way of a request: templates rendered against an exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from proxy.errors import GatewayError
from proxy.plugin.exchange import EXCHANGE, Exchange
from proxy.templates import MissingValue

if TYPE_CHECKING:
    from proxy.plugin.answer import Answer
    from proxy.templates import Template


def render(
    template: Template,
    request: web.BaseRequest,
    *,
    answer: Answer | None = None,
    quote: bool = False,
) -> str:
    """Return `template` with this request's values; `quote` percent-encodes them (paths, ids).

    `answer` is what `response` means, where the template may name it (`x-roots` of its schema).
    Raises GatewayError `claim_missing` (403) for a claim or principal value that is not there, and
    `value_missing` (400) for one of the client's; ValueError for a value with a control character,
    unless `quote` encodes it.
    """
    if template.literal:
        return template.render(_nothing, quote=quote)
    exchange = request[EXCHANGE]
    try:
        return template.render(lambda name: look_up(name, request, exchange, answer), quote=quote)
    except MissingValue as missing:
        root = missing.name.partition(".")[0]
        code = "claim_missing" if root in ("claims", "principal") else "value_missing"
        raise GatewayError(code, log=f"no value for ${{{missing.name}}}") from None


def look_up(
    name: str, request: web.BaseRequest, exchange: Exchange, answer: Answer | None = None
) -> str | None:
    """Return the value that a dotted name means on this request, None where there is none."""
    root, _, rest = name.partition(".")
    if root == "response":
        return None if answer is None else _response(rest, answer)
    return _ROOTS[root](rest, request, exchange)


def _nothing(name: str) -> None:
    return None


def _principal(rest: str, _request: web.BaseRequest, exchange: Exchange) -> str | None:
    principal = exchange.principal
    if principal is None:
        return None
    values = {
        "subject": principal.subject,
        "tenant": principal.tenant,
        "roles": ",".join(sorted(principal.roles)) or None,
    }
    return values.get(rest)


def _claim(rest: str, _request: web.BaseRequest, exchange: Exchange) -> str | None:
    value: Any = exchange.principal.claims if exchange.principal is not None else None
    for part in rest.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return None


def _request_value(rest: str, request: web.BaseRequest, exchange: Exchange) -> str | None:
    kind, _, name = rest.partition(".")
    if kind == "id":
        return exchange.request_id or None
    if kind == "header":
        return request.headers.get(name)
    if kind == "query":
        return request.query.get(name)
    if kind == "path":
        return exchange.path_value(name)
    return None


def _service(_rest: str, _request: web.BaseRequest, exchange: Exchange) -> str | None:
    return exchange.route.service


def _response(rest: str, answer: Answer) -> str | None:
    kind, _, name = rest.partition(".")
    if kind == "status":
        return str(answer.status)
    return answer.header(name) if kind == "header" else None


_ROOTS: Mapping[str, Callable[[str, web.BaseRequest, Exchange], str | None]] = {
    "principal": _principal,
    "claims": _claim,
    "request": _request_value,
    "service": _service,
}
