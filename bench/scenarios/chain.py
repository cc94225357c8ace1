"""What a plugin that does nothing adds to a chain, without sockets: CPU of the calls alone."""

from __future__ import annotations

from collections.abc import Awaitable
from time import process_time
from typing import Any

from aiohttp import web

from bench import bounds
from bench.bounds import Verdict
from bench.lab import Lab
from bench.quartiles import Quartiles
from bench.section import Section, Table
from proxy.plugin.answer import Answer
from proxy.plugin.base import Handler, Plugin
from proxy.runtime.chain import Held, link, never_raises

CALLS = 200_000


class Waits(Plugin):
    """Does nothing, as most plugins are written."""

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        return await handler(request)


class Passes(Plugin):
    """Does nothing, and is no coroutine."""

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        return handler(request)


def chain(lab: Lab) -> Section:
    bare = never_raises(_answer)
    with_waits, with_passes = link(Held("w", Waits()), bare), link(Held("p", Passes()), bare)
    waits, passes = [], []
    for _ in range(lab.settings.repeats):
        base = _cost(bare)
        waits.append(_cost(with_waits) - base)
        passes.append(_cost(with_passes) - base)
    return Section(
        "A plugin that does nothing",
        notes=["Without sockets: the code is warm, so that on a busy gateway it is about twice."],
        tables=[
            Table(
                ["plugin", "µs a request"],
                [
                    ["awaits the handler", Quartiles.of(waits).show(2)],
                    ["returns the handler's", Quartiles.of(passes).show(2)],
                ],
            )
        ],
        verdicts=[Verdict.of(bounds.CHAIN, waits)],
    )


_ANSWER = Answer.from_upstream(200, "OK", [], b"", framed=True)


async def _answer(_request: web.BaseRequest) -> Answer:
    return _ANSWER


def _cost(handler: Handler) -> float:
    """µs a call."""
    request: Any = None
    began = process_time()
    for _ in range(CALLS):
        step: Any = handler(request)
        try:
            step.send(None)
        except StopIteration:
            continue
    return (process_time() - began) / CALLS * 1e6
