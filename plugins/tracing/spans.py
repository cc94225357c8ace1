"""The spans of one exchange: one for what the client asked, one for each try at an upstream.

Attributes follow OpenTelemetry's conventions for HTTP
(opentelemetry.io/docs/specs/semconv/http/http-spans). Left out on purpose: headers, queries and the
caller's identity; and the URL that an upstream was asked for, since credentials may stand in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from plugins.tracing.record import Record
from proxy import Attempt, printable

Value = str | int | bool

_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_NO_ROUTE = "-"
_PORTS = {"http": 80, "https": 443}

_LONGEST = 512
"""Characters of a value that a client can make as long as it likes; the rest is cut."""

_STEPS = (
    ("resolved", "upstream.resolved"),
    ("connected", "upstream.connected"),
    ("secured", "upstream.secured"),
    ("sent", "request.sent"),
    ("head", "response.head"),
)
"""Moments of an attempt that become events of its span."""


@dataclass(slots=True)
class Span:
    """One span in plain values; times are nanoseconds since 1970.

    `parent_id` is "" for the first span of a trace, `remote` tells whether the parent is another
    process's. `client` tells a CLIENT span from a SERVER one.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    remote: bool
    client: bool
    start: int
    end: int
    failed: bool
    attributes: Mapping[str, Value]
    state: str = ""
    events: list[tuple[str, int]] = field(default_factory=list)


def spans_of(record: Record, new_id: Iterator[str]) -> Iterator[Span]:
    """Yield the exchange's own span, then those of its attempts.

    The last attempt's span has the id that upstreams were told: one set of headers serves all
    attempts, and the last is the one that was answered, or that had the best chance to be.
    """
    yield _server_span(record)
    last = len(record.attempts) - 1
    for number, attempt in enumerate(record.attempts):
        span_id = record.trace.upstream if number == last else next(new_id)
        yield _client_span(record, attempt, number, span_id)


def _server_span(record: Record) -> Span:
    trace = record.trace
    parent = trace.parent
    method = _known(record.method)
    routed = record.route != _NO_ROUTE
    span = Span(
        f"{method or 'HTTP'} {record.route}" if routed else method or "HTTP",
        trace.trace_id,
        trace.server,
        "" if parent is None else parent.span_id,
        remote=parent is not None,
        client=False,
        start=record.began,
        end=_moment(record, record.ended),
        failed=record.failed,
        attributes=_server_attributes(record, method),
        state="" if parent is None else parent.state,
    )
    if record.first_byte is not None:
        span.events.append(("response.head", _moment(record, record.first_byte)))
    return span


def _server_attributes(record: Record, method: str | None) -> Mapping[str, Value]:
    attributes: dict[str, Value] = {
        **_method_attributes(record.method, method),
        "url.scheme": record.scheme,
        "url.path": printable(record.path, _LONGEST),
        "client.address": record.client,
        **_server_address(record.scheme, record.host),
    }
    status, error = record.status, record.code
    if error is None and record.failed:
        error = str(status)
    optional = {
        "network.peer.address": record.trace.peer,
        "http.route": "" if record.route == _NO_ROUTE else record.route,
        "error.type": error,
        "brain.service": record.service,
        "brain.request_id": record.request_id,
    }
    attributes.update({name: value for name, value in optional.items() if value})
    if status is not None:
        attributes["http.response.status_code"] = status
    return attributes


def _client_span(record: Record, attempt: Attempt, number: int, span_id: str) -> Span:
    trace = record.trace
    method = _known(record.sent_method)
    error = attempt.code
    if error is None and (attempt.status or 0) >= 400:
        error = str(attempt.status)
    span = Span(
        method or "HTTP",
        trace.trace_id,
        span_id,
        trace.server,
        remote=False,
        client=True,
        start=_moment(record, attempt.pool or 0.0),
        end=_moment(record, record.ended if attempt.end is None else attempt.end),
        failed=error is not None,
        attributes=_client_attributes(record, attempt, number, error),
        state="" if trace.parent is None else trace.parent.state,
    )
    for name, event in _STEPS:
        at = getattr(attempt, name)
        if at is not None:
            span.events.append((event, _moment(record, at)))
    return span


def _client_attributes(
    record: Record, attempt: Attempt, number: int, error: str | None
) -> Mapping[str, Value]:
    scheme, _, authority = attempt.target.partition("://")
    attributes: dict[str, Value] = {
        **_method_attributes(record.sent_method, _known(record.sent_method)),
        "url.scheme": scheme,
        **_server_address(scheme, authority),
        **_peer_address(scheme, authority),
        "network.protocol.version": "1.1",
        "brain.connection.reused": attempt.reused,
    }
    if attempt.status is not None:
        attributes["http.response.status_code"] = attempt.status
    if error is not None:
        attributes["error.type"] = error
    if number:
        attributes["http.request.resend_count"] = number
    return attributes


def _known(method: str) -> str | None:
    """Return the method, None for one outside of the registered ones: clients invent names."""
    return method if method in _METHODS else None


def _method_attributes(method: str, known: str | None) -> Mapping[str, Value]:
    if known is not None:
        return {"http.request.method": known}
    original = printable(method, _LONGEST)
    return {"http.request.method": "_OTHER", "http.request.method_original": original}


def _server_address(scheme: str, authority: str) -> Mapping[str, Value]:
    """Return host and port of an authority; nothing for one that can't be read."""
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port or _PORTS.get(scheme)
    except ValueError:
        return {}
    if host is None or port is None:
        return {}
    return {"server.address": host, "server.port": port}


def _peer_address(scheme: str, authority: str) -> Mapping[str, Value]:
    """Return the address that was connected to, where the file has it and no name stands for it."""
    named = _server_address(scheme, authority)
    try:
        address = str(ip_address(str(named.get("server.address"))))
    except ValueError:
        return {}
    return {"network.peer.address": address, "network.peer.port": named["server.port"]}


def _moment(record: Record, seconds: float) -> int:
    return record.began + int(seconds * 1e9)
