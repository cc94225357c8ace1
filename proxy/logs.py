"""The gateway's own log: lines of JSON or text on stderr, which nobody ever waits for.

A thread writes; what calls the logger only formats and queues. When stderr is read too slowly the
queue's bound is reached: further lines are dropped and counted, and the count is the next line.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from queue import SimpleQueue

from proxy.log_lines import FORMATTERS
from proxy.output import write_lines
from proxy.redaction import SECRETS

STDERR = 2

BOUND = 4 * 1024 * 1024
"""Bytes of lines that may wait to be written."""


class Logs:
    """The process's log output: made once, configured at start and at each reload, closed."""

    def __init__(
        self, descriptor: int = STDERR, bound: int = BOUND, *, worker: int | None = None
    ) -> None:
        """`worker` is the index that every line of a worker process tells."""
        self._handler = QueueingHandler(descriptor, bound)
        if worker is not None:
            self._handler.addFilter(_Marking(worker))

    def configure(self, format: str = "json", level: str = "info") -> None:  # noqa: A002
        """Send what all loggers say through here. `format`: json or text; `level`: its least."""
        self._handler.setFormatter(FORMATTERS[format]())
        root = logging.getLogger()
        root.handlers[:] = [self._handler]
        root.setLevel(level.upper())
        # It tells each notice of a folder: in one with this log, each line would bring one more.
        logging.getLogger("watchfiles").setLevel(logging.WARNING)

    def close(self, timeout: float = 1.0) -> None:
        """Write what waits, at most `timeout` seconds long, and let go of the loggers."""
        logging.getLogger().removeHandler(self._handler)
        self._handler.finish(timeout)


class _Marking:
    """Gives each record the field `worker`."""

    def __init__(self, worker: int) -> None:
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        record.worker = self._worker
        return True


class QueueingHandler(logging.Handler):
    """Formats a record where it is logged, and leaves its writing to a thread.

    `logging.Handler` holds its lock around `emit`, so that what is counted there has one writer;
    `_done` and `_told` belong to the thread.
    """

    def __init__(self, descriptor: int, bound: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._bound = bound
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._queued = 0
        self._done = 0
        self._dropped = 0
        self._told = 0
        # A daemon: stderr that nobody reads must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        line = self._encoded(record)
        if self._queued - self._done + len(line) > self._bound:
            self._dropped += 1
        else:
            self._queued += len(line)
            self._lines.put(line)

    def finish(self, timeout: float) -> None:
        """Write what is queued and end the thread."""
        self._lines.put(None)
        self._thread.join(timeout)
        self.close()

    def _encoded(self, record: logging.LogRecord) -> bytes:
        try:
            return SECRETS.hidden(self.format(record)).encode() + b"\n"
        except Exception as error:
            text = f"log call failed: {record.msg!r}: {type(error).__name__}"
            return self.format(_notice(text)).encode() + b"\n"

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            self._done += len(line)
            self._tell()

    def _tell(self) -> None:
        dropped = self._dropped
        if dropped > self._told:
            text = f"{dropped - self._told} log lines were dropped: they are read too slowly"
            self._told = dropped
            self._write(self._encoded(_notice(text)))

    def _write(self, line: bytes) -> None:
        with suppress(OSError):  # there is no place left to say it
            write_lines(self._descriptor, line)


def _notice(text: str) -> logging.LogRecord:
    return logging.LogRecord("brain.log", logging.WARNING, __file__, 0, text, None, None)
