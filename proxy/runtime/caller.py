"""A plugin's call to another service of the file, over that service's own pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from time import perf_counter

from proxy.config.models import Limits, Timeouts
from proxy.errors import GatewayError
from proxy.headers import HOP_BY_HOP, encode, end_to_end, is_name, render, wire_field
from proxy.paths import join
from proxy.plugin.answer import Answer
from proxy.plugin.exchange import Attempt
from proxy.plugin.outgoing import is_target
from proxy.runtime.retrying import IDEMPOTENT
from proxy.upstream.body import Lease, UpstreamBody
from proxy.upstream.connection import Connection
from proxy.upstream.head import HeadBounds
from proxy.upstream.pool import Upstream

_WITH_EMPTY_LENGTH = frozenset({"POST", "PUT", "PATCH"})
_OURS = HOP_BY_HOP | {b"host", b"content-length", b"expect"}


class Caller:
    """Calls one service. The answer holds a slot of the pool until it is read, closed or dropped."""

    def __init__(self, upstream: Upstream, timeouts: Timeouts, limits: Limits) -> None:
        self._upstream = upstream
        self._timeouts = timeouts
        self._bounds = HeadBounds(
            limits.response_field, limits.response_head, limits.response_fields
        )

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a request; `target` is joined to the service's upstream path.

        Raises GatewayError when the service does not answer, TypeError or ValueError for a request
        that would not be one on the wire.
        """
        fields = _fields(method, target, headers or {}, body)
        if not self._upstream.try_enter():
            await self._upstream.enter(self._timeouts.pool)
        path = join(self._upstream.spec.path, target)
        return await self._entered(method, path, None, fields, body)

    async def send(
        self, method: str, target: str, host: str | None, fields: bytes, body: bytes
    ) -> Answer:
        """Send what is clean already, to a whole target; `host` is None for the one that is asked.

        It waits for no slot. Raises GatewayError, `upstream_saturated` where none is free.
        """
        if not self._upstream.try_enter():
            raise GatewayError("upstream_saturated")
        if body or method in _WITH_EMPTY_LENGTH:
            fields += b"Content-Length: %d\r\n" % len(body)
        return await self._entered(method, target, host, fields, body)

    async def _entered(
        self, method: str, target: str, host: str | None, fields: bytes, body: bytes
    ) -> Answer:
        lease = Lease(self._upstream)
        try:
            return await self._ask(lease, method, target, host, fields, body)
        except GatewayError as error:
            lease.let_go(error)
            raise
        except BaseException:
            lease.end()
            raise
        finally:
            if lease.target is None:
                lease.end()

    async def _ask(
        self, lease: Lease, method: str, target: str, host: str | None, fields: bytes, body: bytes
    ) -> Answer:
        chosen = self._upstream.group.choose()
        lease.take(chosen)
        message = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n%b" % (
            encode(method),
            encode(target),
            encode(host or chosen.spec.authority),
            fields,
            body,
        )
        connection = lease.connection = self._upstream.reuse(chosen)
        if connection is not None:
            try:
                return await self._exchange(lease, connection, method, message)
            except GatewayError as error:
                # A connection that had been closed meanwhile is no answer (semantics.md, row 25).
                if error.code != "upstream_reset_before_headers" or method not in IDEMPOTENT:
                    raise
                lease.let_go(error, stale=connection.silent)
                lease.take(chosen)
        connection = await lease.connect(self._timeouts, Attempt(chosen.label), perf_counter())
        return await self._exchange(lease, connection, method, message)

    async def _exchange(
        self, lease: Lease, connection: Connection, method: str, message: bytes
    ) -> Answer:
        timeouts = self._timeouts
        connection.begin(method, self._bounds, None)
        connection.write(message)
        connection.expire_in(timeouts.response, "upstream_response_timeout")
        head = await connection.head()
        lease.status = head.status
        reason = head.reason.decode("utf-8", "surrogateescape")
        fields = end_to_end(head.fields)
        if not head.has_body:
            lease.end()
            return Answer.from_upstream(head.status, reason, fields, b"")
        connection.body_timeout(timeouts.idle, "upstream_body_timeout")
        body = UpstreamBody(lease, connection, head.length, timeouts.write)
        return Answer.from_upstream(head.status, reason, fields, _Held(lease, body))


def _fields(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the field lines behind Host. Raises TypeError or ValueError for what is unclean."""
    if not is_name(method) or not is_target(target):
        raise ValueError("a request needs a method and a target that begins with a slash")
    fields = [wire_field(name, value) for name, value in headers.items()]
    if any(name.lower() in _OURS for name, _ in fields):
        raise ValueError("Host, framing and hop-by-hop headers belong to the gateway")
    if body or method in _WITH_EMPTY_LENGTH:
        fields.append((b"Content-Length", b"%d" % len(body)))
    return render(fields)


class _Held:
    """A body that gives its slot back when it was read to its end, closed, or dropped."""

    def __init__(self, lease: Lease, body: UpstreamBody) -> None:
        self._lease = lease
        self._body = body

    def __del__(self) -> None:
        # A plugin that looks at the status alone must not use the pool up.
        self._lease.end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk
        self._lease.end()

    def close(self) -> None:
        """Give the slot back; what was not read is dropped."""
        self._lease.end()
