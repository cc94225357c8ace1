"""Copies of requests to another upstream: which are sent, what is in them, what came of them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterable, Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from proxy.config.models import MirrorSpec
from proxy.config.telling import is_telling_field
from proxy.headers import LOWER, Field, decode, render
from proxy.plugin.streams import Taps, tapped
from proxy.runtime.caller import Caller
from proxy.runtime.copying import Copy, Message
from proxy.runtime.moving import is_bare, moved, without_client_cookies
from proxy.runtime.replay import Replay
from proxy.server.upload import ClientUpload

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.answer import Answer
    from proxy.plugin.base import Handler
    from proxy.runtime.comparing import Verdict
    from proxy.runtime.route import Route
    from proxy.server.request import Request
    from proxy.tasks import Tasks
    from proxy.upstream.pool import Upstream

    Body = bytes | AsyncIterable[bytes] | None

log = logging.getLogger("brain.mirror")

MARK: Field = (b"X-Brain-Mirrored", b"1")
"""What tells that a request is a copy. A client's own is dropped, as all that says how it came."""

Counts = Counter[tuple[str, str]]
"""Copies by service and result."""


class Mirror:
    """The copies of one route's requests. Whatever becomes of one, its original does not notice."""

    def __init__(
        self,
        spec: MirrorSpec,
        route: Route,
        upstream: Upstream,
        tasks: Tasks,
        counts: Counts,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance` is asked for a number in [0, 1) for each request."""
        self.spec = spec
        self.upstream = upstream
        self.in_flight = 0
        self.tasks = tasks
        self._name = route.name
        self._service = route.service or route.name
        self._base = route.base
        self._host = route.spec.host
        self._counts = counts
        self._chance = chance
        self._logged = float("-inf")
        self._unlogged = 0
        # `timeout` ends a copy: no single step needs to end it earlier.
        timeouts = replace(route.timeouts, response=spec.timeout, idle=spec.timeout)
        self.caller = Caller(upstream, timeouts, route.limits)

    def __repr__(self) -> str:
        return f"<Mirror {self._name} in_flight={self.in_flight}>"

    # -- which

    def watch(self, request: Request, body: Body) -> Body:
        """Decide whether a request is copied. Return the body to send, which is then looked at.

        Raises nothing: what fails here is no concern of the request.
        """
        try:
            if request.copy is None and self.wants(request) and self._chance() < self.spec.share:
                return self._begun(request, body)
        except Exception:
            log.exception("no copy for route '%s'", self._name)
        return body

    def wants(self, request: Request) -> bool:
        """Tell whether copies of such a request are sent, share and size aside."""
        return not request.upgrade and request.exchange.outgoing.method in self.spec.methods

    def _begun(self, request: Request, body: Body) -> Body:
        known = len(body) if isinstance(body, bytes) else getattr(body, "length", None)
        if known is not None and known > self.spec.body:
            self.count("skipped-body")
            return body
        if self.in_flight >= self.spec.concurrent:
            self.count("skipped-busy")
            return body
        copy = request.copy = Copy(self)
        request.exchange.on_finish(copy.over)
        if body is None or isinstance(body, bytes):
            copy.body.feed(body or b"")
            copy.body.end()
            return body
        upload = body.upload if isinstance(body, Replay) else body
        if not isinstance(upload, ClientUpload):
            return tapped(aiter(body), Taps(copy.body))
        # It stays what it is: wrapped, it would be framed in another way.
        upload.taps = Taps(copy.body)
        return body

    # -- what

    def message(self, request: Request, body: bytes) -> Message:
        """Return the copy of a request that has been sent."""
        exchange = request.exchange
        outgoing = exchange.outgoing
        target, fields = request.bare or (outgoing.target, list(outgoing.wire_fields()))
        if not self.spec.credentials:
            fields = [field for field in fields if not _opens_doors(LOWER[field[0]])]
        elif not self.spec.keeps_cookies:
            fields = without_client_cookies(fields, request)
        host = exchange.client.host if self._host == "preserve" else self._host
        return Message(
            method=outgoing.method,
            target=moved(target, self._base, self.upstream.spec.path, bare=is_bare(request)),
            host=host or None,
            fields=render([*fields, MARK]) + request.forwarded_lines,
            body=body,
            request_id=exchange.request_id,
        )

    # -- what came of it

    def count(self, result: str) -> None:
        """Count one copy, sent or not."""
        self._counts[self._service, result] += 1

    def tell(self, message: Message, ours: int, theirs: int, verdict: Verdict) -> None:
        """Log where an answer differed: a line a second at most, and never a value."""
        now = asyncio.get_running_loop().time()
        if now - self._logged < 1.0:
            self._unlogged += 1
            return
        where = f" at {', '.join(verdict.pointers)}" if verdict.pointers else ""
        more = f" ({self._unlogged} more were not logged)" if self._unlogged else ""
        log.warning(
            "mirror of '%s': %s, %d became %d%s%s",
            self._name,
            verdict.result,
            ours,
            theirs,
            where,
            more,
            extra={
                "route": self._name,
                "upstream": self.upstream.name,
                "method": message.method,
                "request_id": message.request_id or None,
                "result": verdict.result,
                "pointers": list(verdict.pointers),
            },
        )
        self._logged, self._unlogged = now, 0


def _opens_doors(name: bytes) -> bool:
    # Clients choose names: long ones may not fill the memory.
    return _telling(name) if len(name) <= 64 else is_telling_field(decode(name))


@lru_cache(maxsize=1024)
def _telling(name: bytes) -> bool:
    return is_telling_field(decode(name))


def bare_link(inner: Handler) -> Handler:
    """Return the link that keeps a request as it is before upstreams' credentials are put on it."""

    async def call(incoming: web.BaseRequest) -> Answer:
        request = cast("Request", incoming)
        outgoing = request.exchange.outgoing
        request.bare = outgoing.target, list(outgoing.wire_fields())
        return await inner(request)

    return call


def needs_bare(spec: MirrorSpec | None) -> bool:
    """Tell whether a mirror must not see upstreams' credentials."""
    return spec is not None and not spec.credentials
