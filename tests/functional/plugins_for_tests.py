"""Plugins that tests name by `use: tests.functional.plugins_for_tests:Name`.

`Behave` does what the test itself says, so that a test's plugin stands in the test; the others have
a lifetime, options or a class of their own. `NOTES` is what any of them wrote down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from proxy import (
    EXCHANGE,
    Answer,
    Authenticator,
    BoundSecret,
    ConfigError,
    Handler,
    Plugin,
    PluginContext,
    Principal,
    Problems,
    SecretRef,
    Stage,
    TenantHosts,
    Unauthenticated,
    Unavailable,
)

HERE = "tests.functional.plugins_for_tests"
Behaviour = Callable[[web.BaseRequest, Handler], Awaitable[Any]]
Setup = Callable[[PluginContext], Awaitable[None]]

BEHAVIOURS: dict[str, Behaviour] = {}
SETUPS: dict[str, Setup] = {}
NOTES: list[Any] = []


class Sealed(Plugin):
    """Sends a secret to the upstream, in X-Key, with its version."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["key"],
        "properties": {"key": {"type": "object", "format": "secret", "description": "A key."}},
    }

    def __init__(self, *, key: SecretRef) -> None:
        self._key = key
        self._bound: BoundSecret | None = None

    async def setup(self, context: PluginContext) -> None:
        self._bound = await context.secrets.bind(self._key)

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        assert self._bound is not None
        value = f"{self._bound.current} {self._bound.version}"
        request[EXCHANGE].outgoing.add_header("X-Key", value)
        return handler(request)


class Behave(Plugin):
    """Does what the test registered under `do`; where nothing is registered it does nothing."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "do": {"type": "string"},
            "stage": {"type": "string", "default": "TRANSFORM"},
            "protects": {"type": "array", "items": {"type": "string"}, "default": []},
        },
    }

    def __init__(self, *, do: str, stage: str, protects: list[str]) -> None:
        self._do = do
        self.stage = Stage[stage]
        self.protects = frozenset(protects)

    async def setup(self, context: PluginContext) -> None:
        if self._do in SETUPS:
            await SETUPS[self._do](context)

    async def ready(self) -> str | None:
        return READY.get(self._do)

    async def close(self) -> None:
        NOTES.append(f"close {self._do}")

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Any]:
        found = BEHAVIOURS.get(self._do)
        return handler(request) if found is None else found(request, handler)


READY: dict[str, str] = {}


class Ends(Plugin):
    """Closes badly, or never."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"how": {"enum": ["badly", "never"]}},
    }

    def __init__(self, *, how: str) -> None:
        self._how = how

    async def close(self) -> None:
        if self._how == "badly":
            raise KeyError("a bug")
        await asyncio.Event().wait()


class Tenant(Plugin):
    """Sends a request to the base URL in its X-Base, with a credential; again to X-Again on a 401.

    `NOTES` has the exchanges.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "suffixes": {"type": "array", "default": []},
            "networks": {"type": "array", "default": []},
            "ports": {"type": "array", "default": [443]},
            "stage": {"type": "string", "default": "CREDENTIALS"},
        },
    }

    def __init__(self, *, stage: str, **rules: Any) -> None:
        self.stage = Stage[stage]
        self._rules = rules

    async def setup(self, context: PluginContext) -> None:
        self._hosts = TenantHosts(**self._rules)

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        exchange = request[EXCHANGE]
        NOTES.append(exchange)
        outgoing = exchange.outgoing
        bases = [outgoing.headers.popall(name, [])[:1] for name in ("X-Base", "X-Again")]
        outgoing.headers["X-Key"] = "tenants-own"
        for base in (one for found in bases for one in found):
            outgoing.send_to(self._hosts.origin(base))
            answer = await handler(request)
            if answer.status != 401:
                return answer
        return await handler(request) if not bases[0] else answer


class Trace(Plugin):
    """Appends its name to the request's and to the answer's `X-Trace`: the order is on the wire."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string"},
            "stage": {"type": "string", "default": "TRANSFORM"},
        },
    }

    def __init__(self, *, name: str, stage: str) -> None:
        self._name = name
        self.stage = Stage[stage]

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        request[EXCHANGE].outgoing.add_header("X-Trace", self._name)
        answer = await handler(request)
        answer.add_header("X-Trace", self._name)
        return answer


class Typed(Plugin):
    """Answers with its converted options."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "pause": {"type": "string", "format": "duration", "default": "250ms"},
            "most": {"type": "string", "format": "size", "default": "2KiB"},
            "share": {"type": "string", "format": "percent", "default": "20%"},
            "rate": {"type": "string", "format": "rate", "default": "50/s"},
            "text": {"type": "string", "format": "template", "default": "${request.query.q}"},
            "even": {"type": "integer", "default": 2},
        },
    }

    def __init__(self, **options: Any) -> None:
        self.options = options

    def check(self, problems: Problems) -> None:
        if self.options["even"] % 2:
            problems.add("even", "expected an even number", hint="add one")

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        return Answer.json(
            {name: f"{type(value).__name__} {value}" for name, value in self.options.items()}
        )


class Named(Authenticator):
    """Takes anybody for who `X-Name` says."""

    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        name = request.headers.get("X-Name")
        return None if name is None else Principal(subject=name)


class Token(Authenticator):
    """Knows `header: good`; any other value is bad; a missing one is none of its business."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "header": {"type": "string"},
            "code": {"type": "string", "default": "credentials_invalid"},
            "away": {"type": "boolean", "default": False},
            "bug": {"type": "boolean", "default": False},
        },
    }

    def __init__(self, *, header: str, code: str, away: bool, bug: bool) -> None:
        self._header, self._code, self._away, self._bug = header, code, away, bug

    async def setup(self, context: PluginContext) -> None:
        if self._away:
            raise Unavailable("the keys can't be fetched", code="keys_unavailable")

    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        return self.judge(request)

    def judge(self, request: web.BaseRequest) -> Principal | None:
        if self._bug:
            raise KeyError("a bug")
        value = request.headers.get(self._header)
        if value is None:
            return None
        if value != "good":
            raise Unauthenticated(self._code)
        return Principal(subject=f"by {self._header}", tenant="acme", by=self._header)

    def challenge(self) -> str | None:
        return f'Token realm="{self._header}"'


class PlainToken(Token):
    """The same, and knows it at once."""

    def authenticate(self, request: web.BaseRequest) -> Principal | None:  # type: ignore[override]
        return self.judge(request)


class Refuses(Plugin):
    """Refuses the load in its setup, after it took something."""

    async def setup(self, context: PluginContext) -> None:
        context.share("held", Closed)
        raise ConfigError("this can't be served", hint="leave it out")


class Buggy(Plugin):
    """Fails in its setup by a bug."""

    async def setup(self, context: PluginContext) -> None:
        raise KeyError("a bug")


class Closed:
    """Notes that it was closed."""

    def close(self) -> None:
        NOTES.append("closed shared")


@web.middleware
async def plain_middleware(request: Any, handler: Any) -> Any:
    """An aiohttp middleware as anybody would write it."""
    answer = await handler(request)
    answer.headers["X-Middleware"] = "plain"
    return answer


@web.middleware
async def answering_middleware(request: Any, handler: Any) -> Any:
    """Answers by aiohttp's own Response, with a cookie."""
    response = web.Response(status=203, text="short", headers={"X-Own": "1"})
    response.set_cookie("taste", "sweet")
    return response


def middleware_factory(header: str = "X-Made", value: str = "by default") -> Any:
    """Makes a middleware, as libraries for aiohttp do."""

    @web.middleware
    async def made(request: Any, handler: Any) -> Any:
        answer = await handler(request)
        answer.headers[header] = value
        return answer

    return made


class MiddlewareObject:
    """A middleware that is an object with `async def __call__`."""

    async def __call__(self, request: Any, handler: Any) -> Any:
        answer = await handler(request)
        answer.headers["X-Object"] = "1"
        return answer


middleware_object = MiddlewareObject()
"""An instance: it is the middleware, and no factory."""

NOT_A_PLUGIN = 7


def entry(name: str, **options: Any) -> str:
    """Return the YAML of a chain entry that behaves as the test says under `name`."""
    given = "".join(f", {key}: {value}" for key, value in options.items())
    return f'{{use: "{HERE}:Behave", as: {name}, with: {{do: {name}{given}}}}}'


def public(url: str, *entries: str, extra: str = "") -> str:
    """Return a file with one public service, `echo`, whose chain is `entries`."""
    listed = ", ".join(each if each.startswith("{") else entry(each) for each in entries)
    return (
        "version: 1\nservices:\n  echo:\n"
        f'    upstream: {{targets: ["{url}"]}}\n    public: true\n    plugins: [{listed}]\n{extra}'
    )
