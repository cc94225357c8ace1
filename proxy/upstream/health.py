"""Active health checks: every target is asked, again and again, whether it is well."""

from __future__ import annotations

import asyncio
import random
from time import perf_counter

from proxy.config.models import Health, Timeouts
from proxy.errors import GatewayError
from proxy.headers import encode
from proxy.plugin.exchange import Attempt
from proxy.tasks import Tasks
from proxy.upstream.connection import Connection
from proxy.upstream.group import Group
from proxy.upstream.head import HeadBounds
from proxy.upstream.target import Target

USER_AGENT = "brain-health"


class HealthChecks:
    """Asks the targets of one group, each in a task of `tasks`, which whoever made them ends."""

    def __init__(self, health: Health, group: Group, tasks: Tasks) -> None:
        self._health = health
        self._group = group
        self._tasks = tasks
        self._asked: dict[Target, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ask all targets, those too that come later. Runs until cancelled."""
        while True:
            self._follow()
            await asyncio.sleep(self._pause())

    def _follow(self) -> None:
        """Begin a round for each target whose last one is over, and forget those that are gone."""
        self._asked = {one: self._round(one) for one in self._group.members}

    def _round(self, target: Target) -> asyncio.Task[None]:
        last = self._asked.get(target)
        if last is not None and not last.done():
            return last
        return self._tasks.spawn(self.ask(target), name=f"health of {target.label}")

    def _pause(self) -> float:
        jitter = self._health.jitter
        return self._health.interval * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311

    async def ask(self, target: Target) -> None:
        """Ask one target once and note what comes."""
        standing = target.standing
        # After a reload the former group lives on for its streams, and the new one asks.
        if standing is None or not standing.follows(self._group):
            return
        reason = await self._trouble(target)
        if target.gone:
            return
        if reason is None:
            standing.check_passed()
        else:
            standing.check_failed(reason)

    async def _trouble(self, target: Target) -> str | None:
        """Return what is wrong with a target, None when it is well."""
        question = "the connection" if self._health.path is None else f"GET {self._health.path}"
        try:
            async with asyncio.timeout(self._health.timeout):
                status = await self._status(target)
        except TimeoutError:
            return f"{question} takes longer than {self._health.timeout:g} s"
        except GatewayError as error:
            return f"{question}: {error.code}"
        if status is None or any(low <= status <= high for low, high in self._health.status):
            return None
        wanted = ", ".join(_text(low, high) for low, high in self._health.status)
        return f"{question} answers {status}, not {wanted}"

    async def _status(self, target: Target) -> int | None:
        timeouts = Timeouts(connect=self._health.timeout, tls=self._health.timeout)
        connection = await target.connect(timeouts, Attempt(target.label), perf_counter())
        try:
            return None if self._health.path is None else await self._answer(target, connection)
        finally:
            connection.close()

    async def _answer(self, target: Target, connection: Connection) -> int:
        host = self._health.host
        authority = target.authority if host in (None, "preserve") else host
        connection.begin("GET", HeadBounds(), None)
        connection.write(
            encode(
                f"GET {self._health.path} HTTP/1.1\r\nHost: {authority}\r\n"
                f"User-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n"
            )
        )
        return (await connection.head()).status


def _text(low: int, high: int) -> str:
    if low == high:
        return str(low)
    return f"{low // 100}xx" if (low % 100, high - low) == (0, 99) else f"{low}-{high}"
