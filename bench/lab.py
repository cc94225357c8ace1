"""What all scenarios of a run share: the settings, a folder, the upstream, and the clean-up."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.process import LOAD_CORES, Process, accepts, free_ports
from bench.settings import Settings

_PORTS = 3  # of one upstream process: as targets they cost it what one port does


class Lab:
    """A context manager: inside, the upstream answers; after it, no process and no file is left.

    It listens on each of ``upstreams``; ``upstream`` is the first of them.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Lab:
        temporary = tempfile.TemporaryDirectory(prefix="brain-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._stack.enter_context(temporary))
        self.upstreams = free_ports(_PORTS)
        self.upstream = self.upstreams[0]
        server = Process(
            [sys.executable, "-m", "bench.upstream", *map(str, self.upstreams)],
            self.folder / "upstream.log",
            cores=LOAD_CORES,
        )
        self._stack.enter_context(server)
        server.wait_until(lambda: all(map(accepts, self.upstreams)))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def say(self, text: str) -> None:
        """Progress, on stderr: stdout carries the report."""
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)
