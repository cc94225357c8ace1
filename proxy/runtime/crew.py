"""Who serves: this process alone (`engine`), or workers that it has started (`proxy.workers`).

What stands above (the reloader, the operator's pages, the control socket) asks a crew and does not
know which of the two it is.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from proxy.config.models import Config, Log
from proxy.runtime.gateway import Gateway
from proxy.runtime.ledger import Ledger

Asked = Mapping[str, str]
"""What a question is about, by name: as a path and a query have it."""

Answer = tuple[int, Any]
"""A status as of HTTP, and JSON."""

Question = Callable[[Gateway, Asked], Answer | Awaitable[Answer]]
"""Answers of its own gateway what the control socket was asked; where that takes time, awaited."""

Follow = Callable[[Log], None]
"""Puts the log settings of a configuration in force."""


class Answered(NamedTuple):
    """What the process that serves as `worker` said."""

    worker: int
    status: int
    body: Any


class Crew(Protocol):
    """The processes that serve.

    `prepare` builds a configuration aside in all of them, and raises ConfigError where one refuses
    it or dies of it: then nothing of it is left anywhere. `commit` puts in force what was prepared,
    and does not fail.
    """

    @property
    def ledger(self) -> Ledger:
        """How all of it fares."""

    @property
    def config(self) -> Config:
        """The configuration in force: before the first load, the one to begin with."""

    @property
    def loaded(self) -> bool:
        """Whether anybody serves."""

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Load, accepting nothing yet. Raises ConfigError; call `close` in any case."""

    async def accept(self) -> None:
        """Serve."""

    async def prepare(self, config: Config) -> None:
        """Build `config` aside, everywhere or nowhere."""

    async def commit(self) -> None:
        """Swap."""

    async def notes(self) -> Sequence[str]:
        """Return the plugins in use whose source has changed on disk since it was imported."""

    async def ask(self, question: str, asked: Asked) -> list[Answered]:
        """Return what each process that serves answers. One that does not answer is left out."""

    async def checks(self) -> dict[str, str]:
        """Return what is not well with what serves, by the name that /ready has for it."""

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the body of a scrape and its Content-Type."""

    async def private(self) -> frozenset[str]:
        """Return the texts in plugins' options that nobody is shown.

        Raises ConfigError where nobody answers that knows them.
        """

    async def in_flight(self) -> int:
        """Return how many requests are under way."""

    def workers(self) -> list[dict[str, Any]]:
        """Return what is known of each worker, for `brain status`; nothing where there is none."""

    async def drain(self, within: float) -> None:
        """Accept no more, let what is in flight end, cut what is left after `within` seconds."""

    def cut(self) -> None:
        """Break every connection that is left."""

    async def close(self) -> None:
        """Release everything, after half a `start` too."""
