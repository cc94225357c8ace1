"""What the user wrote, as frozen values: no behaviour, no aiohttp, no YAML.

A `Config` is the result of parsing, checking and resolving one set of files: environment values
are in, defaults are merged, chains are resolved to the order in which they run. It is picklable,
since a reload builds it in a child process. What runs is another type
(`proxy.runtime.snapshot.Snapshot`). What is of the process itself stands in `process_models`, what
chooses, watches and tries targets again in `traffic_models`, where credentials are kept in
`secret_models`, what other upstreams get of a route in
`shaping_models`; all are imported from here like the rest.

Units: seconds (float) for every time, bytes (int) for every size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from proxy.config.process_models import Address as Address
from proxy.config.process_models import Exposure as Exposure
from proxy.config.process_models import Gateway as Gateway
from proxy.config.process_models import ListenerTls as ListenerTls
from proxy.config.process_models import Log as Log
from proxy.config.process_models import Recent as Recent
from proxy.config.process_models import ServerLimits as ServerLimits
from proxy.config.process_models import ServerTimeouts as ServerTimeouts
from proxy.config.process_models import Shutdown as Shutdown
from proxy.config.secret_models import EnvSecrets as EnvSecrets
from proxy.config.secret_models import FileSecrets as FileSecrets
from proxy.config.secret_models import SecretStores as SecretStores
from proxy.config.shaping_models import Compare as Compare
from proxy.config.shaping_models import MirrorSpec as MirrorSpec
from proxy.config.shaping_models import SplitSpec as SplitSpec
from proxy.config.texts import FileText
from proxy.config.traffic_models import Balance as Balance
from proxy.config.traffic_models import Breaker as Breaker
from proxy.config.traffic_models import HashKey as HashKey
from proxy.config.traffic_models import Health as Health
from proxy.config.traffic_models import Outliers as Outliers
from proxy.config.traffic_models import Policy as Policy
from proxy.config.traffic_models import Retry as Retry
from proxy.config.vault_models import VaultAuth as VaultAuth
from proxy.config.vault_models import VaultMount as VaultMount
from proxy.config.vault_models import VaultSecrets as VaultSecrets

if TYPE_CHECKING:
    from proxy.plugin.dropins import DropIn


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written. Line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The timers of one exchange, in seconds, each with its own error code (semantics, row 26)."""

    pool: float = 1.0
    resolve: float = 2.0
    connect: float = 2.0
    tls: float = 2.0
    write: float = 30.0
    response: float = 25.0
    idle: float = 60.0
    stream: float = 600.0
    body: float = 15.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one exchange, in bytes; `request_rate` is bytes a second after `request_grace`."""

    request_body: int = 10 * 1024 * 1024
    request_rate: int = 240
    request_grace: float = 5.0
    response_field: int = 32 * 1024
    response_head: int = 64 * 1024
    response_fields: int = 200


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """One address of an upstream: scheme (http or https), host as written, port.

    A `weight` of 0 gets nothing; a `backup` is asked while no other is well.
    """

    scheme: str
    host: str
    port: int
    weight: int = 1
    backup: bool = False

    @property
    def authority(self) -> str:
        """The `Host` value: the port is left out where it is the scheme's own (RFC 9110, 4.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def nowhere(self) -> bool:
        """Whether it names a host that there is not (RFC 6761, 6.4): for routes to tenants' hosts."""
        return self.host.lower().removesuffix(".").endswith(".invalid")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How an https target is proved. `verify: false` gets a warning from `brain check`."""

    verify: bool = True
    ca: str | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class UpstreamSpec:
    """A named pool of interchangeable targets. Equal specs keep their connections over a reload.

    `health` and `breaker` are None where there is none.
    """

    name: str
    targets: tuple[TargetSpec, ...]
    path: str = ""
    concurrent: int = 512
    queue: int = 128
    keepalive: float = 4.0
    max_age: float = 600.0
    resolve_ttl: float = 30.0
    tls: UpstreamTls = UpstreamTls()
    balance: Balance = field(default_factory=Balance)
    health: Health | None = None
    outliers: Outliers = field(default_factory=Outliers)
    breaker: Breaker | None = None
    slow_start: float = 0.0


@dataclass(frozen=True, slots=True)
class PathPattern:
    """`/x` (exact, also `/x/`), `/x/*` (prefix) or with `{name}` segments.

    `segments` are canonical literals, or None where any one segment matches; `names` gives the name
    of each None in order. `prefix` says that everything below matches too.
    """

    text: str
    segments: tuple[str | None, ...]
    names: tuple[str, ...]
    prefix: bool


@dataclass(frozen=True, slots=True)
class ValueTest:
    """A predicate on a header or query value.

    `value` None with `present` True: any value; `present` False: must be absent. `prefix` True: the
    value must begin with `value`. Header names are lower case, query names as written.
    """

    name: str
    value: str | None = None
    prefix: bool = False
    present: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """Predicates of one route; an empty one is not asked. `GET` in `methods` includes `HEAD`."""

    path: PathPattern
    methods: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    headers: tuple[ValueTest, ...] = ()
    query: tuple[ValueTest, ...] = ()

    @property
    def predicates(self) -> int:
        """How many predicates stand beside the path: more of them are more specific."""
        return bool(self.methods) + bool(self.hosts) + len(self.headers) + len(self.query)


class Access(Enum):
    """Who may call a route: a principal is required, optional, or nobody is asked."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a `plugins:` list, one instance at run time.

    `options` are as written, environment values put in, not yet converted by the schema's formats.
    `use` is `module:attr` for an entry written so, else None and `plugin` is an entry point's name.
    `owner` is where the list stands: "", `services.crm`, `services.crm.routes.0`. `admits` says whom
    the plugin lets pass, in its own words; None where it turns nobody away. `per_worker` and
    `one_process` are what the plugin says of itself.
    """

    identity: str
    plugin: str
    use: str | None
    options: Mapping[str, Any]
    place: Place
    owner: str = ""
    admits: str | None = None
    per_worker: str | None = None
    one_process: str | None = None


class Cookies(Enum):
    """Which of the client's cookies an upstream sees, beside a list of names."""

    NONE = "none"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One route, whole: nothing is left to be looked up in defaults or in its service.

    `prefixes` are the public prefixes under which `match.path` is looked for ("" for a top-level
    route): the service's own first, then its aliases. `chain` indexes `Config.entries`, in the
    order in which they run, authenticators left out; `authenticators` index the same and are asked
    by one link, in this order. `upstream` indexes `Config.upstreams`. `rewrite` is a template that
    replaces the literal part of the path before `*`. `host`: None for the target's own, "preserve",
    or a fixed value. `hidden_cookies` are the gateway's own, which no upstream sees. `split` and
    `mirror` name further upstreams, which get a part of the requests, or copies of them.
    """

    name: str
    service: str | None
    place: Place
    prefixes: tuple[str, ...]
    match: Match
    upstream: int
    access: Access
    authenticators: tuple[int, ...] = ()
    chain: tuple[int, ...] = ()
    strip: bool = True
    rewrite: str | None = None
    host: str | None = None
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    retry: Retry = field(default_factory=Retry)
    split: tuple[SplitSpec, ...] = ()
    mirror: MirrorSpec | None = None
    forward_token: bool = False
    forward_cookies: Cookies | tuple[str, ...] = Cookies.NONE
    hidden_cookies: tuple[str, ...] = ()
    rewrite_cookies: bool = True
    rewrite_location: bool = True
    websocket: bool = True
    via: bool = False
    allow_encoded_slash: bool = False
    allow_underscore_headers: bool = False


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service under the base path: its prefixes, and the upstream that `service/<name>` means.

    `timeouts` and `limits` hold for a plugin's calls to it, as for its own route.
    """

    name: str
    prefixes: tuple[str, ...]
    upstream: int
    place: Place
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Config:
    """All that was written, resolved. `revision` is the hash of all resolved inputs (hex).

    `global_chain` is what a request runs through that no route takes: the outer entries without
    their authenticate, authorize, hook and credentials stages. `effective` is the tree as merged
    from all files with `${NAME}` as written, for /config: JSON text, which crosses from the loading
    process and is kept at no cost. `dropins` are the files of `plugins_dir` as they were read: what
    was checked is what runs. `watched` are the files it came from, `watched_folders` those in
    which a new file would be included; one that is not there yet is named too. `texts` are the files
    of the language as they were read, for `gateway.state_dir`.
    """

    gateway: Gateway
    log: Log
    entries: tuple[Entry, ...]
    upstreams: tuple[UpstreamSpec, ...]
    services: tuple[ServiceSpec, ...]
    routes: tuple[RouteSpec, ...]
    fallback: RouteSpec | None
    global_chain: tuple[int, ...]
    revision: str
    effective: str
    watched: tuple[str, ...]
    watched_folders: tuple[str, ...] = ()
    dropins: tuple[DropIn, ...] = ()
    texts: tuple[FileText, ...] = field(default=(), repr=False)
    secrets: SecretStores = field(default_factory=SecretStores)
