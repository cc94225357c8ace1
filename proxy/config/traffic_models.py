"""How an upstream's targets are chosen, watched and tried again, as frozen values.

`models` is where they are imported from. Units: seconds (float), bytes (int), shares 0.0 to 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Policy(Enum):
    """How a target is chosen among those that may be asked."""

    ROUND_ROBIN = "round-robin"
    LEAST_REQUESTS = "least-requests"
    RANDOM_TWO = "random-two"
    HASH = "hash"


@dataclass(frozen=True, slots=True)
class HashKey:
    """What a request is known by: `kind` is address, header, cookie or claim; `name` which one."""

    kind: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """`sticky` names the cookie by which a client keeps its target."""

    policy: Policy = Policy.ROUND_ROBIN
    hash: HashKey | None = None
    sticky: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Active checks. `path` None opens a connection and no more; `status` holds inclusive ranges."""

    path: str | None = None
    interval: float = 10.0
    timeout: float = 2.0
    jitter: float = 0.2
    unhealthy: int = 3
    healthy: int = 2
    status: tuple[tuple[int, int], ...] = ((200, 299),)
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Outliers:
    """Ejection by the results of real requests, where an upstream has several targets."""

    on: bool = True
    failures: int = 5
    share: float = 0.5
    minimum: int = 20
    window: float = 10.0
    eject_for: float = 10.0
    longest: float = 300.0
    most: float = 0.5


@dataclass(frozen=True, slots=True)
class Breaker:
    """One circuit breaker a target: `failures` in a row open it, for `open_for`."""

    failures: int = 5
    open_for: float = 30.0


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` counts all tries; `per_try` None leaves one try the whole of timeouts.response."""

    attempts: int = 2
    budget: float = 0.2
    floor: int = 10
    per_try: float | None = None
    statuses: tuple[int, ...] = ()
    wait: float = 1.0
    buffer: int = 64 * 1024
    idempotency_key: bool = False
