"""Processes that the bench starts: on which core, until when they are up, and their certain end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_CORES = sorted(os.sched_getaffinity(0))
# The proxy has a core of its own where there are two; the load and the upstream share the rest.
PROXY_CORES = set(_CORES[-1:])
LOAD_CORES = set(_CORES[:-1] or _CORES)
ALL_CORES = set(_CORES)


class BenchError(Exception):
    """Something that the bench needs did not work; the scenario is given up, the others run."""


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """What is started inside inherits ``cores``. (Setting them later would miss early threads.)"""
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ALL_CORES)


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ones: all are held until the last is found."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One started program, in a process group of its own so that its end takes all children along.

    Output goes to ``log``. Leaving the ``with`` block kills: nothing here has state to save, and
    a graceful end (nginx, the gateway's grace of seconds) would only make the bench longer.
    """

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        cores: set[int] = ALL_CORES,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log
        with pinned(cores), log.open("ab") as output:
            self._popen = subprocess.Popen(
                list(argv),
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def __repr__(self) -> str:
        return f"<Process {self.pid} {self._popen.args!r} code={self._popen.returncode}>"

    def wait_until(self, up: Callable[[], bool], seconds: float = 30.0, step: float = 0.02) -> None:
        """Returns when ``up()`` holds; BenchError when the process ends first or time is up."""
        limit = time.monotonic() + seconds
        while not up():
            if self._popen.poll() is not None:
                raise BenchError(f"{self._popen.args!r} ended: {self._tail()}")
            if time.monotonic() > limit:
                raise BenchError(f"not up within {seconds:.0f} s: {self._tail()}")
            time.sleep(step)

    def wait_for_end(self, seconds: float) -> int:
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(f"still running after {seconds:.0f} s: {self._tail()}") from None

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def stop(self) -> None:
        """Kills the whole group. Safe to call twice, and after the process ended by itself."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-800:].strip() or "(no output)"

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
