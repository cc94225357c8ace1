"""The workers as one: the crew of a gateway with `workers: N`."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from proxy.admin.pages import Page, Show
from proxy.config.models import Config
from proxy.errors import ConfigError
from proxy.output import share_output
from proxy.runtime.crew import Answered, Asked, Follow
from proxy.runtime.ledger import Ledger
from proxy.runtime.packing import Packed, pack
from proxy.runtime.sums import checked
from proxy.tasks import Tasks
from proxy.workers.counts import Counts, Own
from proxy.workers.keeping import COMMIT_WITHIN, PREPARE_WITHIN, InForce, Keeper
from proxy.workers.worker import END_WITHIN, SERVING, Worker, WorkerProcess

log = logging.getLogger("brain.workers")

ANSWER_WITHIN = 5.0
"""Seconds for an answer that somebody waits for: a page, a question of the control socket."""

SCRAPE_WITHIN = 8.0
"""Prometheus gives up after ten."""

TRY_WITHIN = 10.0
"""Seconds that a reload waits for a worker to try it, where all have just died."""

SETTLE_WITHIN = 3.0
"""Seconds that a worker which is not there is given when all are to end: clients may wait for it."""


class _Prepared(NamedTuple):
    config: Config
    packed: Packed
    by: dict[Worker, WorkerProcess]


class Team:
    """Starts workers, keeps them, and speaks for them (`proxy.runtime.crew.Crew`)."""

    def __init__(
        self,
        config: Config,
        pages: Callable[[], Mapping[str, Show]],
        *,
        probe: bool = True,
        follow: Follow | None = None,
    ) -> None:
        """`pages` are the operator's pages by name: those that are exposed are asked for by workers."""
        self.ledger = Ledger()
        self._in_force = InForce(config)
        self._pages = pages
        self._follow = follow
        self._workers: list[Worker] = []
        self._counts = Counts()
        self._keeper = Keeper(self._in_force, {"page": self._page}, probe=probe)
        self._tasks = Tasks()
        self._swapping = asyncio.Lock()
        self._prepared: _Prepared | None = None

    @property
    def config(self) -> Config:
        return self._in_force.config

    @property
    def loaded(self) -> bool:
        return bool(self._serving())

    def _serving(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.state == SERVING]

    async def _page(self, name: str, accept: str) -> Page:
        return await self._pages()[name](accept)

    # -- start

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Start a worker for each socket and have all of them load. Raises ConfigError."""
        share_output()
        self._workers = [Worker(index, sock) for index, sock in enumerate(sockets)]
        self._in_force.packed = await _packed(self.config)
        _raise_first(
            await asyncio.gather(*map(self._keeper.bring_up, self._workers), return_exceptions=True)
        )
        self.ledger.loaded_at = time.time()

    async def accept(self) -> None:
        """Serve, and replace whoever dies."""
        for worker in self._workers:
            await worker.ask("accept", within=COMMIT_WITHIN)
        for worker in self._workers:
            self._tasks.spawn(self._keeper.keep(worker), name=f"worker {worker.index}")

    # -- reload

    async def prepare(self, config: Config) -> None:
        """Build `config` aside in every worker, or in none. Raises ConfigError."""
        if self._keeper.ending:
            raise ConfigError("the gateway is ending")
        packed = await _packed(config)
        await self._until(lambda: self.loaded, TRY_WITHIN)
        asked = {worker: worker.process for worker in self._serving()}
        if not asked:
            raise ConfigError("no worker serves that could try it", hint="try again in a moment")
        done = await asyncio.gather(
            *(worker.ask("prepare", packed, within=PREPARE_WITHIN) for worker in asked),
            return_exceptions=True,
        )
        try:
            _raise_first(done)
        except BaseException:
            await self._of(asked, "abort", within=COMMIT_WITHIN)
            raise
        self._prepared = _Prepared(config, packed, asked)

    async def commit(self) -> None:
        """Swap in all workers. One that can't is replaced by one that begins with it."""
        prepared, self._prepared = self._prepared, None
        assert prepared is not None, "nothing was prepared"
        async with self._swapping:
            # It is decided: whoever starts from now on begins with it.
            self._in_force.config, self._in_force.packed = prepared.config, prepared.packed
            self.ledger.loaded_at = time.time()
            await asyncio.gather(*(self._swap(one, prepared) for one in self._serving()))
        if self._follow is not None:
            self._follow(prepared.config.log)

    async def _swap(self, worker: Worker, prepared: _Prepared) -> None:
        try:
            if prepared.by.get(worker) == worker.process:
                await worker.ask("commit", within=COMMIT_WITHIN)
            else:  # it came up while the others prepared
                await self._keeper.catch_up(worker, None)
        except ConfigError as error:
            log.error("%s: it is replaced", error)  # noqa: TRY400  no bug of ours
            worker.kill()

    async def notes(self) -> Sequence[str]:
        """Return the plugins in use whose source has changed on disk since a worker imported it."""
        found = await self._of(self._serving(), "notes", within=ANSWER_WITHIN)
        return list(dict.fromkeys(name for names in found.values() for name in names))

    # -- what is shown

    async def _of(
        self, workers: Iterable[Worker], question: str, *arguments: Any, within: float
    ) -> dict[Worker, Any]:
        """Return the answers of those that answer."""
        asked = list(workers)
        answers = await asyncio.gather(
            *(worker.ask(question, *arguments, within=within) for worker in asked),
            return_exceptions=True,
        )
        both = zip(asked, answers, strict=True)
        return {one: answer for one, answer in both if not isinstance(answer, BaseException)}

    async def ask(self, question: str, asked: Asked) -> list[Answered]:
        """Ask all workers; one that does not answer in time is left out."""
        found = await self._of(self._serving(), "ask", question, dict(asked), within=ANSWER_WITHIN)
        return [Answered(one.index, *answer) for one, answer in found.items()]

    async def checks(self) -> dict[str, str]:
        """Return what is not well with the workers, and what they tell."""
        found = await self._of(self._serving(), "checks", within=ANSWER_WITHIN)
        silent = {f"worker {one.index}": _away(one) for one in self._workers if one not in found}
        return {**silent, **checked({one.index: said for one, said in found.items()})}

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the sums of all workers' metrics, and what is counted of the workers themselves."""
        return await self._counts.expose(
            lambda: self._of(self._serving(), "metrics", within=SCRAPE_WITHIN),
            {worker.process for worker in self._workers},
            Own(
                serving=len(self._serving()),
                restarts=sum(worker.restarts for worker in self._workers),
                reloads=dict(self.ledger.reloads),
                stale=self.ledger.last_error is not None,
            ),
            accept,
        )

    async def private(self) -> frozenset[str]:
        """Ask a worker: it has the plugins' schemas. Raises ConfigError where none answers."""
        async with self._swapping:
            for worker in self._serving():
                found: frozenset[str] = await worker.ask("private", within=ANSWER_WITHIN)
                return found
        raise ConfigError("no worker answers")

    async def in_flight(self) -> int:
        """Return how many requests are under way."""
        return sum(each.body["in_flight"] for each in await self.ask("status", {}))

    def workers(self) -> list[dict[str, Any]]:
        """Return what the parent knows of each."""
        return [
            {
                "worker": one.index,
                "pid": one.pid,
                "state": one.state,
                "started_at": one.began,
                "restarts": one.restarts,
                "last_death": one.why,
            }
            for one in self._workers
        ]

    # -- end

    async def drain(self, within: float) -> None:
        """Let every worker drain and end."""
        await self._until(lambda: all(one.state == SERVING for one in self._workers), SETTLE_WITHIN)
        self._keeper.ending = True
        for worker in self._workers:
            # The worker closes the queue itself when it is empty, as a process alone does.
            worker.sock.close()
        await self._of(self._serving(), "drain", within, within=within + END_WITHIN)

    async def _until(self, holds: Callable[[], bool], within: float) -> None:
        """Wait until something holds, or for so many seconds."""
        until = time.monotonic() + within
        while time.monotonic() < until and not holds():  # noqa: ASYNC110  rare, and short
            await asyncio.sleep(0.02)

    def cut(self) -> None:
        """Break every connection that is left."""
        self._tasks.spawn(self._of(self._serving(), "cut", within=ANSWER_WITHIN), name="cut")

    async def close(self) -> None:
        """Have every process end, after half a `start` too."""
        self._keeper.ending = True
        await self._tasks.cancel()
        await asyncio.gather(*(worker.close() for worker in self._workers))


async def _packed(config: Config) -> Packed:
    """Revisions are kept by the parent: no worker needs the files as they were read."""
    return await pack(replace(config, texts=()))


def _away(worker: Worker) -> str:
    if worker.state == SERVING:
        return "does not answer"
    return f"{worker.state}, the last one ended: {worker.why}" if worker.why else worker.state


def _raise_first(done: Iterable[object]) -> None:
    for each in done:
        if isinstance(each, BaseException):
            raise each
