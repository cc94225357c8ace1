"""A command on a leash ends with its owner, and is else itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.demo import leash

LEASH = [sys.executable, "-IS", leash.__file__]

OWNER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # behind "&" it is ignored
kept = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
print(kept.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def owned() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run an owner of `sleep`, and give it with the process id of that."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *LEASH, "/bin/sleep", "60"], stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    kept = int(owner.stdout.readline())
    try:
        until(lambda: runs(kept))
        yield owner, kept
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()


def runs(pid: int) -> bool:
    """Say whether the process is `sleep`, and no zombie that nobody has waited for."""
    try:
        _, name, state = Path(f"/proc/{pid}/stat").read_text().split()[:3]
    except OSError:
        return False
    return name == "(sleep)" and state != "Z"


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_owner(how: signal.Signals) -> None:
    with owned() as (owner, kept):
        owner.send_signal(how)
        until(lambda: not runs(kept))


def test_it_does_not_end_before_its_owner() -> None:
    with owned() as (_, kept):
        time.sleep(0.1)
        assert runs(kept)


def test_the_process_is_the_command_itself() -> None:
    with subprocess.Popen([*LEASH, "/bin/sh", "-c", "exit 7"], stdin=subprocess.PIPE) as kept:
        assert kept.wait(5) == 7


def test_the_command_reads_nothing_and_what_it_says_has_an_end() -> None:
    with subprocess.Popen(
        [*LEASH, "/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as kept:
        assert kept.stdout is not None
        assert kept.stdout.read() == b""
        assert kept.wait(5) == 0
