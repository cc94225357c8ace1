"""What the gateway must reach, and the verdict on a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.quartiles import Quartiles


@dataclass(frozen=True)
class Bound:
    """``limit`` and ``aim`` in ``unit`` (none: a ratio); smaller is better, always."""

    what: str
    limit: float
    unit: str = ""
    aim: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A bound beside the values of a run's rounds; no values when a part of it was absent."""

    bound: Bound
    values: tuple[float, ...]

    @classmethod
    def of(cls, bound: Bound, values: Sequence[float]) -> Verdict:
        return cls(bound, tuple(values))

    @property
    def missed(self) -> bool:
        """Only when three quarters of the rounds are over the limit: noise alone is no miss."""
        return bool(self.values) and Quartiles.of(self.values).lower > self.bound.limit

    @property
    def word(self) -> str:
        if not self.values:
            return "not measured"
        return "**missed**" if self.missed else "reached"


SMALL_ENVOY = Bound("small GET: CPU per request ÷ Envoy's", 0.95, aim=0.80)
SMALL_USUAL = Bound("small GET: CPU per request ÷ the usual aiohttp proxy's", 0.30)
LOGGED_ENVOY = Bound("logged GET: CPU per request ÷ Envoy's with its access log", 1.30, aim=1.10)
GUARDED_ENVOY = Bound("GET with a token: CPU per request ÷ Envoy's with the same filters", 1.25)
DOWNLOAD_NGINX = Bound("1 MiB download: CPU per byte ÷ nginx's", 1.20)
ROUTES = Bound("10,000 services: CPU per request ÷ that of 10", 1.20)
CACHE = Bound("small GET from `cache`: CPU per request ÷ that of a forwarded one", 0.80)
HOLDS = Bound(
    "small GET with balance, health, breaker and budget ÷ that with one plain target", 1.08
)
WORKERS = Bound("2 workers: CPU per request ÷ one process's", 1.10)
WORKERS_GAIN = Bound("2 workers: time per request ÷ one process's (1.7 times as many: 0.59)", 0.59)
CREDENTIAL = Bound("a cached credential: CPU per request", 6, "µs")
CHAIN = Bound("a plugin that does nothing", 1.5, "µs")
DOWN = Bound("1 GiB down: growth of resident memory", 10, "MiB")
UP = Bound("1 GiB up: growth of resident memory", 10, "MiB")
SLOW = Bound("100 slow readers of 100 MiB: growth of resident memory", 100, "MiB")
CHECK = Bound("`brain check`, 10,000 one-liners", 3, "s")
CHECK_OPTIONS = Bound("`brain check`, 10,000 services with options", 10, "s")
STALL = Bound("reload of 10,000 services: longest stop of the loop", 50, "ms")
READY = Bound("shipped file: start to ready", 0.6, "s")
READY_MEMORY = Bound("shipped file: resident memory when ready", 60, "MiB")
HANGING = (
    "p99 beside hanging requests ÷ its median without them"  # its limit is the run's own noise
)
LOST = Bound("reloads and SIGTERM under load: requests lost", 0, "requests")
