"""What all scenarios of a run share: the settings, a folder, the upstream, and the clean-up."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.process import LOAD_CORES, Process, accepts, free_port
from bench.settings import Settings


class Lab:
    """A context manager: inside, the upstream answers; after it, no process and no file is left."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Lab:
        temporary = tempfile.TemporaryDirectory(prefix="brain-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._stack.enter_context(temporary))
        self.upstream = free_port()
        server = Process(
            [sys.executable, "-m", "bench.upstream", str(self.upstream)],
            self.folder / "upstream.log",
            cores=LOAD_CORES,
        )
        self._stack.enter_context(server)
        server.wait_until(lambda: accepts(self.upstream))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def say(self, text: str) -> None:
        """Progress, on stderr: stdout carries the report."""
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)
