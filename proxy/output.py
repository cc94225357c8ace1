"""Writing lines to a descriptor that several threads and processes share, so that none is torn.

A pipe takes at most PIPE_BUF bytes in one piece (pipe(7)); what is longer, or comes while it is nearly
full, may have another writer's bytes in its middle. So the processes of a gateway that has workers
lock what they write to (fcntl(2), record locks: a process that is killed lets go of its own).
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

WORKER = "BRAIN_WORKER"
"""The environment variable that tells a worker its index."""

_among_threads = threading.Lock()
_shared = WORKER in os.environ


def share_output() -> None:
    """From now on other processes of this gateway write to the same places."""
    global _shared  # the process's own
    _shared = True


def write_lines(descriptor: int, lines: bytes) -> None:
    """Write whole lines; among the workers of a gateway none gets into the middle of another.

    Blocks as long as nobody reads: call it in a thread. Raises OSError.
    """
    if _shared:
        with _alone(descriptor):
            _write_all(descriptor, lines)
    else:
        _write_all(descriptor, lines)


@contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    from fcntl import LOCK_EX, LOCK_UN, lockf

    # Record locks are the process's: two of its threads would both have it.
    with _among_threads:
        with suppress(OSError):  # not everything can be locked: then it is written as it is
            lockf(descriptor, LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                lockf(descriptor, LOCK_UN)


def _write_all(descriptor: int, lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Whoever shares the other end of a pipe may have made it non-blocking.
            select.select([], [descriptor], [])
