"""The `gateway:` and `log:` sections as frozen values; `models` is where they are imported from.

Units: seconds (float) for every time, bytes (int) for every size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class Address:
    """A listener's host and port. IPv6 hosts are kept without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """Certificate chain and key of the public listener, both PEM files."""

    cert: str
    key: str


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds on what a client may send before a route is known (semantics.md, default limits).

    `in_flight` None is nine tenths of the connections.
    """

    connections: int = 4096
    per_address: int = 256
    in_flight: int | None = None
    request_line: int = 8 * 1024
    header_field: int = 16 * 1024
    header_total: int = 32 * 1024
    header_count: int = 100
    hops: int = 8


@dataclass(frozen=True, slots=True)
class ServerTimeouts:
    """Timers of the client's side before a route is known, in seconds."""

    head: float = 10.0
    tls_handshake: float = 10.0
    keepalive: float = 60.0


@dataclass(frozen=True, slots=True)
class Shutdown:
    """`grace`: still accepting while /ready says 503; `drain`: bound on what is in flight."""

    grace: float = 5.0
    drain: float = 25.0


@dataclass(frozen=True, slots=True)
class Recent:
    """What `brain why` can tell of: the last `keep` exchanges, and as many of those that count.

    Those failed, were tried more than once, or their answer began later than `slow` seconds.
    """

    keep: int = 250
    slow: float = 1.0


class Exposure(Enum):
    """Who may read an operator's page on the public listener, beside lists of networks."""

    ANY = "any"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Gateway:
    """The process itself. `listen, admin, control, state_dir, workers` need a restart to change."""

    listen: Address = Address("0.0.0.0", 8080)  # noqa: S104  a gateway's purpose is to be reached
    tls: ListenerTls | None = None
    admin: Address | None = Address("127.0.0.1", 9901)
    control: str | None = None
    state_dir: str | None = None
    expose: Mapping[str, Exposure | tuple[str, ...]] = field(default_factory=dict)
    base_path: str = "/api/brain"
    trusted_proxies: tuple[str, ...] = ()
    ready_requires: tuple[str, ...] = ()
    shutdown: Shutdown = Shutdown()
    recent: Recent = Recent()
    limits: ServerLimits = ServerLimits()
    timeouts: ServerTimeouts = ServerTimeouts()
    workers: int = 1

    @property
    def limits_of_one(self) -> ServerLimits:
        """What one process may hold: workers share connections and requests out, rounded up."""
        if self.workers == 1:
            return self.limits
        limits = self.limits
        in_flight = limits.in_flight and -(-limits.in_flight // self.workers)
        connections = -(-limits.connections // self.workers)
        return replace(limits, connections=connections, in_flight=in_flight)


@dataclass(frozen=True, slots=True)
class Log:
    """`format`: json or text; `level`: debug, info, warning or error."""

    format: str = "json"
    level: str = "info"
