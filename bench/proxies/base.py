"""What the scenarios need to know of a proxy."""

from __future__ import annotations

import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.process import PROXY_CORES, Process, accepts, free_port


def version_of(*argv: str) -> str:
    """First three numbers that look like a version in what the command prints, on either stream."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found.group() if found else "unknown"


class Proxy(ABC):
    """One proxy in front of the upstream, one worker, one core.

    An adapter writes a configuration into ``folder`` and says the command. Each lets a connection
    live for any number of requests, on both sides, and adds ``X-Forwarded-For``: the least that a
    reverse proxy does, so that none is cheap by doing less.
    """

    name: ClassVar[str]
    logs: ClassVar[bool] = False  # can it write the gateway's access-log fields to a file?

    def __init__(self, folder: Path, upstream: int, *, logged: bool = False) -> None:
        """``upstream`` is a port on loopback; ``logged`` switches the access log on."""
        assert self.logs or not logged
        self.folder = folder / f"{self.name.replace(' ', '-')}-{free_port()}"
        self.folder.mkdir()
        self.port = free_port()
        self.upstream = upstream
        self.logged = logged
        self.headers: Mapping[str, str] = {}  # that every request to it has to carry

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on port {self.port}>"

    @classmethod
    @abstractmethod
    def version(cls) -> str | None:
        """None when it is not installed: then the bench leaves it out."""

    @abstractmethod
    def command(self) -> list[str]:
        """Writes the configuration and tells how to start with it."""

    def environment(self) -> Mapping[str, str]:
        return {}

    def path(self, path: str) -> str:
        """The path under which a client reaches the upstream's ``path``."""
        return path

    def up(self) -> bool:
        return accepts(self.port)

    def start(self, cores: set[int] = PROXY_CORES) -> Process:
        """Returns when it accepts connections. Leave the process by ``with``, or ``stop`` it."""
        process = Process(
            self.command(), self.folder / "output.log", cores=cores, env=self.environment()
        )
        try:
            process.wait_until(self.up)
        except BaseException:
            process.stop()
            raise
        return process

    def _write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)
