"""A real HTTP server on loopback that records what it is asked and answers as it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.testing.thread import LoopThread

MOST_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived: `target` is the raw path and query, `headers` know no case."""

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Scripted:
    status: int
    headers: Mapping[str, str]
    pieces: tuple[bytes, ...]
    whole: bool
    delay: float


class Backend:
    """An upstream of a test, in a thread and loop of its own: any test may use it, async or not.

    It answers 200 with `{"ok": true}` until it is told otherwise. `seen` are the requests in the
    order in which they came. Use it as a context manager, or by the fixture `backend`.
    """

    def __init__(self) -> None:
        self.seen: list[Received] = []
        self.url = ""
        self._thread = LoopThread("backend")
        self._next: deque[_Scripted] = deque()
        self._always = _Scripted(
            200, {"Content-Type": "application/json"}, (b'{"ok": true}',), whole=True, delay=0.0
        )
        self._runner: web.ServerRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._thread.run(self._start())
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, with all connections."""
        if self._runner is not None:
            self._thread.run(self._runner.cleanup())
            self._runner = None
        self._thread.stop()

    @property
    def last(self) -> Received:
        """The request that came last. Raises IndexError when none did."""
        return self.seen[-1]

    def answer(
        self,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | Iterable[bytes] = b"",
        once: bool = False,
        delay: float = 0.0,
    ) -> None:
        """Answer so from now on, or, with `once`, one request: those told `once` come first, in order.

        A `body` in pieces is sent chunked, a piece at a time, each `delay` seconds after the last.
        """
        whole = isinstance(body, bytes | str)
        text = body.encode() if isinstance(body, str) else body
        pieces = (text,) if isinstance(text, bytes) else tuple(text)
        scripted = _Scripted(status, dict(headers or {}), pieces, whole, delay)
        if once:
            self._next.append(scripted)
        else:
            self._always = scripted

    async def _start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read(MOST_BODY)
        headers = CIMultiDictProxy(CIMultiDict(request.headers))
        self.seen.append(Received(request.method, request.raw_path, headers, body))
        scripted = self._next.popleft() if self._next else self._always
        if scripted.whole:
            await asyncio.sleep(scripted.delay)
            return web.Response(
                status=scripted.status, headers=scripted.headers, body=scripted.pieces[0]
            )
        response = web.StreamResponse(status=scripted.status, headers=scripted.headers)
        await response.prepare(request)
        for piece in scripted.pieces:
            await asyncio.sleep(scripted.delay)
            await response.write(piece)
        await response.write_eof()
        return response
