"""CPU time and resident memory of a process and all its descendants, from ``/proc`` (Linux).

proc(5): ``/proc/PID/stat`` holds user and system time of all threads, dead ones included, in clock
ticks (10 ms). The kernel keeps the sum in nanoseconds and scales, so a reading is off by at most a
tick however short the slices were; over 5 s that is 0.2 %.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
# Fields of stat after the name's closing parenthesis (the name may hold spaces): state is 0.
_PARENT = 1
_TIMES = slice(11, 15)  # utime, stime, and cutime, cstime of children already reaped


def _stat(pid: int) -> list[str]:
    """Fields after the name; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()


def tree(root: int) -> list[int]:
    """``root`` and its living descendants."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            children.setdefault(int(fields[_PARENT]), []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """User and system time that the tree has used so far, in seconds.

    A reaped child's time is in its parent's ``cutime``, a living one is in the tree: nothing is
    counted twice, and a helper that came and went in between is not forgotten.
    """
    return sum(int(ticks) for pid in tree(root) for ticks in _stat(pid)[_TIMES]) / _TICK


def resident_bytes(root: int) -> int:
    """Resident memory of the tree. ``statm`` may lag by some hundred KiB, ``smaps_rollup`` not."""
    return sum(_rss(pid) for pid in tree(root))


def _rss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:")), 0)


class PeakMemory:
    """Highest resident memory of a tree while the ``with`` block runs, read every 50 ms."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before = resident_bytes(root)
        self.peak = self.before

    @property
    def growth(self) -> int:
        return self.peak - self.before

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self._read()

    def _read(self) -> None:
        self.peak = max(self.peak, resident_bytes(self._root))

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._read()
