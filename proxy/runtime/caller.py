"""A plugin's call to another service of the file, over that service's own pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from time import perf_counter

from proxy.config.models import Timeouts
from proxy.headers import clean_value, encode, render
from proxy.paths import join
from proxy.plugin.answer import Answer
from proxy.plugin.exchange import Attempt
from proxy.upstream.body import Lease, UpstreamBody
from proxy.upstream.head import HeadBounds
from proxy.upstream.pool import Upstream


class Caller:
    """Calls one service. The answer must be read or closed: it holds a slot of the pool."""

    def __init__(self, upstream: Upstream, timeouts: Timeouts | None = None) -> None:
        self._upstream = upstream
        self._timeouts = timeouts or Timeouts()

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a request; `target` is joined to the service's upstream path. Raises GatewayError."""
        await self._upstream.enter(self._timeouts.pool)
        lease = Lease(self._upstream)
        try:
            return await self._exchange(lease, method, target, headers or {}, body)
        except BaseException:
            lease.drop()
            lease.end()
            raise

    async def _exchange(
        self, lease: Lease, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        upstream, timeouts = self._upstream, self._timeouts
        chosen = upstream.choose()
        connection = upstream.reuse(chosen) or await upstream.connect(
            chosen, timeouts, Attempt(chosen.label), perf_counter()
        )
        lease.target, lease.connection = chosen, connection
        connection.begin(method, HeadBounds(), None)
        connection.write(self._head(method, target, chosen.spec.authority, headers, body) + body)
        connection.expire_in(timeouts.response, "upstream_response_timeout")
        head = await connection.head()
        connection.body_timeout(timeouts.idle, "upstream_body_timeout")
        download = _Held(lease, UpstreamBody(lease, connection, head.length, timeouts.write))
        reason = head.reason.decode("latin-1")
        if not head.has_body:
            lease.end()
        return Answer.from_upstream(
            head.status, reason, head.fields, download if head.has_body else None
        )

    def _head(
        self, method: str, target: str, host: str, headers: Mapping[str, str], body: bytes
    ) -> bytes:
        path = join(self._upstream.spec.path, target)
        fields = [
            (encode(name), encode(clean_value(name, value))) for name, value in headers.items()
        ]
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        start = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method.encode(), encode(path), encode(host))
        return start + render(fields) + length + b"\r\n"


class _Held:
    """A body that gives its slot back when it was read to its end, or dropped."""

    def __init__(self, lease: Lease, body: UpstreamBody) -> None:
        self._lease = lease
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._body:
                yield chunk
        finally:
            self._lease.end()

    def close(self) -> None:
        self._lease.end()
