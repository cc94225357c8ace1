"""The thread that makes spans and sends them: it alone may wait for a collector."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from plugins.tracing.ids import Ids
from plugins.tracing.record import Record
from plugins.tracing.spans import Span, spans_of

Task = list[Record] | Callable[[], None] | None

_MOST = 512
"""Spans of one request to the collector: about 40 KB of it on the wire."""


class Loss(NamedTuple):
    """How many spans are lost, and why."""

    spans: int
    reason: str


class Collector(Protocol):
    """Where spans go."""

    place: str
    """Its URL, for the log."""

    def send(self, spans: Sequence[Span]) -> Loss | None:
        """Send spans. Blocks. Return None, or what is lost of them."""

    def give_up(self) -> None:
        """Give up what is being sent. For any thread."""

    def close(self) -> None:
        """Release everything. For the thread that sends."""


class Counter(Protocol):
    """A prometheus-client counter."""

    def inc(self, amount: float = 1) -> None: ...


class Sender:
    """Sends batches in order. An outage is told when it begins and when it has ended, once each.

    `done` counts spans that need no more memory here, sent or lost; the thread alone changes it, so
    that reading it needs no lock.
    """

    def __init__(
        self, make: Callable[[], Collector], dropped: Counter, logger: logging.Logger
    ) -> None:
        self._make = make
        self._dropped = dropped
        self._logger = logger
        self._collector: Collector | None = None
        self._new_ids = _endless(Ids())
        self._queue: SimpleQueue[Task] = SimpleQueue()
        # A daemon: a collector that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
        self._lost = 0
        self._away = False
        self._stopping = False
        self.done = 0

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def start(self) -> None:
        """Make the collector's client and start the thread, once. Blocks."""
        if self._collector is None:
            self._collector = self._make()
        if not self.started:
            self._thread.start()

    def put(self, task: Task) -> None:
        """Queue a batch, or a call to make when what came before is sent."""
        self._queue.put(task)

    def stop(self) -> None:
        """End the thread soon: what it is sending is given up, what waits is counted as lost."""
        self._stopping = True
        if self._collector is not None:
            self._collector.give_up()
        self._queue.put(None)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            if callable(task):
                task()
            else:
                self._send_batch(task)
        if self._collector is not None:
            self._collector.close()
        if self._lost:
            self._logger.warning("%d spans were lost and won't be exported", self._lost)

    def _send_batch(self, batch: list[Record]) -> None:
        spans = [span for record in batch for span in self._made(record)]
        for start in range(0, len(spans), _MOST):
            part = spans[start : start + _MOST]
            self._note(self._sent(part))
            self.done += len(part)

    def _made(self, record: Record) -> list[Span]:
        try:
            return list(spans_of(record, self._new_ids))
        except Exception:  # one record that no span can be made of must not end the thread
            self._logger.exception("no spans could be made of an exchange")
            size = 1 + len(record.attempts)
            self._dropped.inc(size)
            self.done += size
            return []

    def _sent(self, spans: Sequence[Span]) -> Loss | None:
        if self._collector is None or self._stopping:
            return Loss(len(spans), "the gateway stops")
        try:
            return self._collector.send(spans)
        except Exception as error:  # a library's bug must not end the thread
            self._logger.exception("spans could not be encoded or sent")
            return Loss(len(spans), type(error).__name__)

    def _note(self, loss: Loss | None) -> None:
        """Count what is lost, and say when that begins and when it is over."""
        if loss is not None:
            self._lost += loss.spans
            self._dropped.inc(loss.spans)
            if not self._away and not self._stopping:
                self._away = True
                place = "" if self._collector is None else self._collector.place
                self._logger.warning(
                    "spans can't be exported to %s and are lost: %s", place, loss.reason
                )
        elif self._away:
            self._logger.warning("spans are exported again, %d were lost", self._lost)
            self._away, self._lost = False, 0


def _endless(ids: Ids) -> Iterator[str]:
    while True:
        yield ids.span()
