"""The thread that writes: it alone may wait for a slow disk or a slow reader of stdout."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from proxy import write_lines

Batch = list[bytes]
Task = Batch | Callable[[], None] | None

STREAMS = {"stdout": 1, "stderr": 2}
"""Names that stand for a descriptor of the process."""

_MODE = 0o640


class Writer:
    """Writes batches of lines to a file or a standard stream, in order.

    `done` counts bytes that need no more memory here, written or lost, and `lost` counts lines that
    could not be written; the thread alone changes them, so that reading them needs no lock.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = STREAMS.get(path, -1)
        self._queue: SimpleQueue[Task] = SimpleQueue()
        # A daemon: a reader of stdout that stopped reading must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self.done = 0
        self.lost = 0
        self.error: str | None = None

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def start(self) -> None:
        """Open the file and start the thread, once. Blocks; raises OSError for an unusable file."""
        if not self.started:
            self._open()
            self._thread.start()

    def put(self, task: Task) -> None:
        """Queue a batch, a call to make when what came before is written, or None: the end."""
        self._queue.put(task)

    def _open(self) -> None:
        if self._path not in STREAMS:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, _MODE)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            if callable(task):
                task()
            else:
                self._write(task)
        self._close()

    def _write(self, batch: Batch) -> None:
        data = b"".join(batch)
        try:
            self._follow_rotation()
            write_lines(self._descriptor, data)
            self.error = None
        except OSError as error:
            self.lost += len(batch)
            self.error = error.strerror
        self.done += len(data)

    def _follow_rotation(self) -> None:
        """Open the file anew when its name means another one, or none, as logrotate leaves it."""
        if self._path not in STREAMS and not self._is_current():
            self._close()
            self._open()

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(Path(self._path).stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def _close(self) -> None:
        if self._path not in STREAMS and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
