"""What the tests of `cache` need: a clock that stands, and an upstream that counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict
from plugin_kit import Kit, Route, request_of

from plugins.cache import Cache
from plugins.cache.dates import format_date
from proxy import EXCHANGE, Answer, Principal
from proxy.headers import Field, encode

START = 1_900_000_000.0
"""Seconds since 1970 at which every test begins."""


ALICE = Principal("alice", tenant="acme", by="api-key")
BOB = Principal("bob", tenant="acme", by="api-key")


class Time:
    """Both clocks of the plugin; `passes` moves them."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def clock(self) -> float:
        return 1000.0 + self.elapsed

    def now(self) -> float:
        return START + self.elapsed

    def passes(self, seconds: float) -> None:
        self.elapsed += seconds


class Upstream:
    """The rest of a chain: answers with `fields`, dated unless they are, and counts what it is asked."""

    def __init__(self, time: Time, *fields: str, status: int = 200, body: bytes = b"hello") -> None:
        self._time = time
        self.fields = list(fields)
        self.status = status
        self.body = body
        self.seen: list[dict[str, str]] = []

    @property
    def asked(self) -> int:
        return len(self.seen)

    async def __call__(self, request: web.BaseRequest) -> Answer:
        outgoing = request[EXCHANGE].outgoing
        self.seen.append({name.decode(): value.decode() for name, value in outgoing.wire_fields()})
        return self.answer()

    def answer(self) -> Answer:
        fields: list[Field] = []
        for line in self.fields:
            name, _, value = line.partition(": ")
            fields.append((encode(name), encode(value)))
        if not any(name == b"Date" for name, _ in fields):
            fields.append((b"Date", format_date(self._time.now())))
        bodiless = self.status in (204, 304)
        body = b"" if bodiless else self.body
        framed = None if bodiless else True
        if framed:
            fields.append((b"Content-Length", b"%d" % len(body)))
        return Answer.from_upstream(self.status, "Some Reason", fields, body, framed=framed)


class Caching:
    """A plugin that is set up, with the clock that it reads and the upstream that it asks."""

    def __init__(self, kit: Kit, time: Time, plugin: Cache, upstream: Upstream) -> None:
        self.kit = kit
        self.time = time
        self.plugin = plugin
        self.upstream = upstream

    @classmethod
    async def begin(cls, kit: Kit, *fields: str, **options: Any) -> Caching:
        """Return one whose upstream answers with `fields`; `options` are as the file has them."""
        time = Time()
        plugin = await kit.run(Cache, options, clock=time.clock, now=time.now)
        return cls(kit, time, plugin, Upstream(time, *fields))

    async def ask(
        self,
        method: str = "GET",
        *,
        sent_on: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | CIMultiDict[str] | None = None,
        target: str = "/api/brain/crm/contacts?page=2",
        principal: Principal | None = None,
        route: Route | None = None,
    ) -> Answer:
        """Send one request; `sent_on` are the fields that the upstream would see."""
        given = dict(sent_on or {})
        request = request_of(method, target, headers=headers or given, sent_on=given, route=route)
        request[EXCHANGE].principal = principal
        return await self.plugin(request, self.upstream)


def status_of(answer: Answer) -> str:
    """Return what the cache says that it did."""
    return (answer.header("Cache-Status") or "").removeprefix("brain; ")


def body_of(answer: Answer) -> bytes:
    body = answer.payload()
    assert isinstance(body, bytes)
    return body
