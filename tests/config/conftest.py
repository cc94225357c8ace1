"""A catalog of small plugins, one for each stage that matters to the language, and of real ones."""

from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web

from plugins.authorize import Authorize
from plugins.basic import Basic
from plugins.credentials import Credentials
from plugins.forward_auth import ForwardAuth
from plugins.identity_headers import IdentityHeaders
from plugins.ip_filter import IpFilter
from plugins.rate_limit import RateLimit
from plugins.webhook import Webhook
from proxy.config.load import Loaded, load
from proxy.errors import ConfigError
from proxy.plugin.answer import Answer
from proxy.plugin.base import Authenticator, Handler, Plugin, Problems
from proxy.plugin.catalog import Catalog
from proxy.plugin.principal import Principal
from proxy.plugin.stages import Stage
from proxy.plugin.stores import STORE_SCHEMA


def options(**properties: Any) -> Mapping[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


class RequestId(Plugin):
    stage = Stage.OBSERVE


class Cors(Plugin):
    stage = Stage.CORS
    schema: ClassVar[Mapping[str, Any]] = options(
        origins={"type": "array", "items": {"type": "string"}},
        max_age={"type": "string", "format": "duration", "default": "10m"},
    )

    def __init__(self, **given: Any) -> None:
        self.given = given

    def check(self, problems: Problems) -> None:
        for index, origin in enumerate(self.given.get("origins", ())):
            if origin == "*":
                problems.add(f"origins.{index}", "any origin is too many", hint="list them")
            if origin.startswith("http:"):
                problems.warn(f"origins.{index}", "this origin is not encrypted")


class Named(Authenticator):
    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        return None


class Jwt(Named):
    schema: ClassVar[Mapping[str, Any]] = {
        **options(
            issuer={"type": "string"},
            audience={"type": ["string", "array"], "items": {"type": "string"}},
        ),
        "required": ["issuer"],
    }


class ApiKey(Named):
    schema: ClassVar[Mapping[str, Any]] = options(
        keys={"type": "array", "items": {"type": "string"}},
    )


class Headers(Plugin):
    schema: ClassVar[Mapping[str, Any]] = options(
        set={"type": "object", "additionalProperties": {"type": "string", "format": "template"}},
    )


class Limit(Plugin):
    stage = Stage.GUARD
    per_worker = "counts of callers"
    schema: ClassVar[Mapping[str, Any]] = options(
        rate={"type": "string", "format": "rate"},
        share={"type": "string", "format": "percent"},
        burst={"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "format": "size"}]},
    )

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        return handler(request)


class Tickets(Plugin):
    schema: ClassVar[Mapping[str, Any]] = options(store=STORE_SCHEMA)

    def __init__(self, *, store: Mapping[str, Any] | None = None) -> None:
        self.one_process = None if store else "the list of used tickets"


class Lock(Plugin):
    schema: ClassVar[Mapping[str, Any]] = options(
        pin={"type": ["string", "integer"], "writeOnly": True, "minLength": 99},
        pins={"type": "array", "items": {"type": "string", "writeOnly": True, "minLength": 99}},
        size={"type": "string", "format": "size"},
    )


class Safe(Plugin):
    schema: ClassVar[Mapping[str, Any]] = options(sha256={"type": "string"})


class Sealed(Plugin):
    reference: Mapping[str, Any] = {"type": "object", "format": "secret", "description": "A key."}
    schema: ClassVar[Mapping[str, Any]] = options(
        key=reference,
        keys={"type": "array", "items": reference},
        digest={"anyOf": [{"type": "string", "pattern": "^[0-9a-f]{8}$"}, reference]},
    )

    def __init__(self, **given: Any) -> None:
        self.given = given


class Refuses(Plugin):
    def __init__(self, **given: Any) -> None:
        raise ConfigError("nothing suits me", hint="take another")


class Fails(Plugin):
    def __init__(self, **given: Any) -> None:
        raise ZeroDivisionError("a bug")


INSTALLED: Mapping[str, type[Plugin]] = {
    "api-key": ApiKey,
    "cors": Cors,
    "fails": Fails,
    "headers": Headers,
    "jwt": Jwt,
    "limit": Limit,
    "lock": Lock,
    "refuses": Refuses,
    "request-id": RequestId,
    "safe": Safe,
    "sealed": Sealed,
    "tickets": Tickets,
}

REAL: Mapping[str, type[Plugin]] = {
    "basic": Basic,
    "authorize": Authorize,
    "credentials": Credentials,
    "forward-auth": ForwardAuth,
    "identity-headers": IdentityHeaders,
    "ip-filter": IpFilter,
    "rate-limit": RateLimit,
    "webhook": Webhook,
}
"""Plugins of ours whose own options have a golden file."""


class Installed(Catalog):
    """The catalog without entry points; `use` imports as the real one does."""

    def __init__(self) -> None:
        super().__init__(())
        self.asked: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return iter(INSTALLED)

    def __contains__(self, name: object) -> bool:
        return name in INSTALLED or name in REAL

    def get(self, name: str) -> type[Plugin]:
        self.asked.append(name)
        return INSTALLED.get(name) or REAL[name]


class Write:
    """Writes files into a folder and loads them from there, by their bare names."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self.catalog = catalog
        self.environment: dict[str, str] = {}

    def file(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def load(self, *names: str, run_plugins: bool = True) -> Loaded:
        return load(
            names or ("routes.yaml",),
            environment=self.environment,
            catalog=self.catalog,
            run_plugins=run_plugins,
        )

    def text(self, text: str, **environment: str) -> Loaded:
        self.environment.update(environment)
        self.file("routes.yaml", text)
        return self.load()

    def errors(self, text: str, **environment: str) -> list[str]:
        """The codes and messages of a file, each with its line and column."""
        found = self.text(text, **environment).diagnostics
        return [f"{each.code} {each.span.line}:{each.span.column} {each.message}" for each in found]


@pytest.fixture
def catalog() -> Installed:
    return Installed()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: Installed) -> Write:
    monkeypatch.chdir(tmp_path)
    return Write(tmp_path, catalog)
