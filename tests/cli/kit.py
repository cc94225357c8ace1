"""The real commands as processes, and a gateway process that a test can talk to."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


# As installed, with compiled modules: else each command compiles everything that it imports.
_COMPILED = tempfile.TemporaryDirectory(prefix="brain-tests-")


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without what would steer the commands."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRAIN_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": _COMPILED.name, **changes}


def brain(
    *arguments: str | Path,
    cwd: Path,
    timeout: float = 20.0,
    first: Callable[[], None] | None = None,
    **changes: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `first` is called in its process before it."""
    return subprocess.run(
        [sys.executable, "-m", "proxy", *map(str, arguments)],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        preexec_fn=first,
    )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class GatewayProcess:
    """`brain run` on free ports; `port` once it serves. Its log is read from a file."""

    def __init__(self, folder: Path, text: str, *options: str, settings: str = "") -> None:
        self.folder = folder
        self.file = folder / "routes.yaml"
        self.control = folder / "brain.sock"
        self.admin_port = free_port()
        self._head = (
            f"version: 1\ngateway:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:{self.admin_port}\n"
            f"  control: {self.control}\n{settings}"
        )
        self.write(text)
        self._log = (folder / "log").open("wb")
        self._out = (folder / "out").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "proxy", "run", str(self.file), *options],
            cwd=folder,
            env=environment(),
            stdout=self._out,
            stderr=self._log,
        )
        try:
            self.port = self._wait_until_it_serves()
        except AssertionError:
            self.process.kill()
            self.end()
            raise

    def write(self, text: str) -> None:
        """Replace the file's part below `gateway:`, at once as an editor's rename does."""
        fresh = self.folder / "fresh.tmp"
        fresh.write_text(self._head + text)
        fresh.rename(self.file)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _wait_until_it_serves(self) -> int:
        until = time.monotonic() + 10
        while time.monotonic() < until and self.process.poll() is None:
            if found := re.search(r"serving on https?://127\.0\.0\.1:(\d+)", self.log):
                return int(found[1])
            time.sleep(0.01)
        raise AssertionError(f"it did not start:\n{self.log}")

    def wait_for(self, text: str, times: int = 1, within: float = 10.0) -> None:
        """Wait until the log holds `text` as often as that."""
        until = time.monotonic() + within
        while self.log.count(text) < times:
            assert time.monotonic() < until, f"no {text!r} in:\n{self.log}"
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ask(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this gateway's control socket."""
        return brain(command, "--control", self.control, *options, cwd=self.folder)

    def status(self) -> dict[str, object]:
        found = json.loads(self.ask("status", "--json").stdout)
        assert isinstance(found, dict)
        return found

    def end(self) -> int:
        """Wait for its end, asking for it where nobody has yet."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._log.close()
            self._out.close()
