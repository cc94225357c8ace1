"""One measurement of one proxy under one load: CPU, bytes, latencies."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load as loads
from bench.load import Load
from bench.procfs import cpu_seconds


@dataclass(frozen=True)
class Sample:
    """``cpu`` and ``wall`` in seconds, latencies in µs."""

    cpu: float
    wall: float
    requests: int
    bytes: int
    p50_us: float
    p99_us: float
    errors: int

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu / self.requests * 1e6 if self.requests else float("inf")

    @property
    def cpu_us_per_mib(self) -> float:
        return self.cpu / self.bytes * 1e6 * 1024 * 1024 if self.bytes else float("inf")

    @classmethod
    def joined(cls, parts: Sequence[Sample]) -> Sample:
        """Both halves of an A B B A round as one: a drift of the machine cancels out."""
        return cls(
            cpu=sum(part.cpu for part in parts),
            wall=sum(part.wall for part in parts),
            requests=sum(part.requests for part in parts),
            bytes=sum(part.bytes for part in parts),
            p50_us=statistics.mean(part.p50_us for part in parts),
            p99_us=statistics.mean(part.p99_us for part in parts),
            errors=sum(part.errors for part in parts),
        )


def measure(pid: int, load: Load, seconds: float, folder: Path) -> Sample:
    """Loads the proxy whose process tree starts at ``pid``; blocks for ``seconds``."""
    cpu, wall = cpu_seconds(pid), time.perf_counter()
    outcome = loads.run(load, seconds, folder)
    return Sample(
        cpu=cpu_seconds(pid) - cpu,
        wall=time.perf_counter() - wall,
        requests=outcome.requests,
        bytes=outcome.bytes,
        p50_us=outcome.p50_us,
        p99_us=outcome.p99_us,
        errors=outcome.errors,
    )
