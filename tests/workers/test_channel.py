"""Questions and answers over a socket pair."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.errors import ConfigError
from proxy.runtime.told import Refused, Told
from proxy.workers.channel import Channel, Gone

TOLD = Told("error", "BG202", "f.yaml", 1, 2, "plugin 'x': no", "mend it", "  --> f.yaml")


@asynccontextmanager
async def joined(
    **handlers: Callable[..., Awaitable[Any]],
) -> AsyncIterator[tuple[Channel, Channel]]:
    """Two ends; the second answers by `handlers`."""
    one, other = socket.socketpair()
    ends = await Channel.over(one, {}), await Channel.over(other, handlers)
    running = [asyncio.create_task(end.run()) for end in ends]
    try:
        yield ends
    finally:
        for end in ends:
            end.close()
            await end.ended()
        await asyncio.gather(*running)
        await asyncio.sleep(0)


async def test_many_questions_are_answered_at_once_in_any_order() -> None:
    async def back(number: int) -> int:
        await asyncio.sleep(0.01 * (5 - number))
        return number

    async with joined(back=back) as (ours, _):
        found = await asyncio.gather(*(ours.ask("back", n, within=5.0) for n in range(5)))
    assert found == [0, 1, 2, 3, 4]


async def test_ten_megabytes_pass_in_both_directions() -> None:
    async def back(data: bytes) -> bytes:
        return data

    async with joined(back=back) as (ours, _):
        assert await ours.ask("back", b"x" * 10_000_000, within=10.0) == b"x" * 10_000_000


async def test_a_refusal_comes_back_with_all_that_it_tells() -> None:
    async def refuse() -> None:
        raise Refused("f.yaml:1: no", [TOLD], summary="can't be set up", hint="mend it")

    async def plain() -> None:
        raise ConfigError("no", hint="try yes")

    async with joined(refuse=refuse, plain=plain) as (ours, _):
        with pytest.raises(Refused) as refused:
            await ours.ask("refuse", within=5.0)
        with pytest.raises(ConfigError, match=r"^no$") as other:
            await ours.ask("plain", within=5.0)
    error = refused.value
    assert (str(error), error.told, error.summary) == ("f.yaml:1: no", [TOLD], "can't be set up")
    assert (error.hint, other.value.hint) == ("mend it", "try yes")


async def test_a_bug_is_told_here_and_there(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("a bug")

    async with joined(fail=fail) as (ours, _):
        with pytest.raises(ConfigError, match="ZeroDivisionError: a bug"):
            await ours.ask("fail", within=5.0)
        with pytest.raises(ConfigError, match="KeyError"):
            await ours.ask("unknown", within=5.0)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_who_waits_is_told_when_the_other_end_goes() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async with joined(never=never) as (ours, theirs):
        asked = asyncio.create_task(ours.ask("never", within=5.0))
        await asyncio.sleep(0.05)
        theirs.close()
        with pytest.raises(Gone):
            await asked
        with pytest.raises(Gone):
            await ours.ask("never", within=5.0)


async def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    go = asyncio.Event()

    async def late() -> str:
        await go.wait()
        return "late"

    async def soon() -> str:
        return "soon"

    async with joined(late=late, soon=soon) as (ours, _):
        with pytest.raises(TimeoutError):
            await ours.ask("late", within=0.02)
        go.set()
        assert await ours.ask("soon", within=5.0) == "soon"
