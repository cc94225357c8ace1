"""How long and how often: the two sizes of a run."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """Sizes of everything that a scenario repeats or waits for.

    ``seconds`` is one measurement of one proxy; a round measures each twice (A B B A).
    ``free_rounds`` are the rounds of scenarios without a bound. ``judges`` is false where the
    sizes are too small for a verdict.
    """

    judges: bool = True
    rounds: int = 8
    free_rounds: int = 4
    seconds: float = 5.0
    warm_seconds: float = 1.5
    repeats: int = 8
    stream_bytes: int = 1024 * MIB
    slow_bytes: int = 100 * MIB
    slow_seconds: float = 15.0
    reloads_timed: int = 20
    reloads_under_load: int = 200
    idle_connections: int = 1000
    hanging: int = 1000
    services: int = 10_000


FULL = Settings()
QUICK = Settings(
    judges=False,
    rounds=2,
    free_rounds=2,
    seconds=1.0,
    warm_seconds=0.4,
    repeats=2,
    stream_bytes=128 * MIB,
    slow_bytes=20 * MIB,
    slow_seconds=2.0,
    reloads_timed=3,
    reloads_under_load=10,
)
