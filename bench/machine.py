"""Where a run took place, in what versions: without it the absolute numbers mean nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.load import tool
from bench.scenarios.field import EVERYBODY

_LIBRARIES = ("aiohttp", "httptools", "uvloop", "multidict", "yarl", "msgspec", "PyYAML")


def describe() -> list[tuple[str, str]]:
    """Pairs of what and value, in the order to print."""
    return [
        ("cores", str(len(os.sched_getaffinity(0)))),
        ("processor", _processor()),
        ("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        ("libraries", ", ".join(f"{name} {_library(name)}" for name in _LIBRARIES)),
        ("load by", tool()),
        *((kind.name, kind.version() or "not installed") for kind in EVERYBODY),
    ]


def _library(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
