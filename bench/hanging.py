"""Requests that nobody answers: opened, known to have arrived at the upstream, and let go."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench.ask import ask
from bench.process import BenchError

_LIMIT = 30.0  # seconds until all have arrived, or have gone


@contextmanager
def hanging(port: int, path: str, count: int, upstream: int) -> Iterator[None]:
    """Inside, ``count`` requests for ``path`` at ``port`` hang in ``upstream``; after it, none does.

    They lie in sockets that nothing reads: none of them costs the load a thing.
    """
    try:
        with ExitStack() as stack:
            request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
            for _ in range(count):
                client = socket.create_connection(("127.0.0.1", port), timeout=10)
                stack.enter_context(client).sendall(request)
            _wait(lambda: counted(upstream) == count, f"{count} requests did not arrive")
            yield
            if counted(upstream) != count:
                raise BenchError("some of the hanging requests ended")
    finally:
        _wait(lambda: counted(upstream) == 0, "requests hang on without their clients")


def counted(upstream: int) -> int:
    """How many requests hang in it now."""
    return int(ask(upstream, "/hanging")[1])


def _wait(held: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + _LIMIT
    while not held():
        if time.monotonic() > limit:
            raise BenchError(what)
        time.sleep(0.02)
