"""A plugin as the loader makes it, and its life: made, set up, closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import time
from typing import Any, TypeVar

from aiohttp import web
from jsonschema import Draft7Validator

from proxy.config.models import Entry, Gateway, Place
from proxy.errors import GatewayError
from proxy.plugin.base import Authenticator, Plugin
from proxy.plugin.context import GatewayStatus
from proxy.plugin.options import convert
from proxy.plugin.principal import Principal
from proxy.plugin.references import with_references
from proxy.ports.secrets import Secrets
from proxy.runtime.context import Context
from proxy.runtime.instances import CLOSE_WITHIN
from proxy.runtime.pages import OwnPages
from proxy.runtime.shared import Shared
from proxy.testing.store import Store, TestSecrets
from proxy.version import VERSION

P = TypeVar("P", bound=Plugin)


class OptionsError(ValueError):
    """Options that the gateway would refuse; `problems` has each with its option's path."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(
            "; ".join(f"{at}: {text}" if at else text for at, text in problems.items())
        )


class _Problems:
    """Takes what `Plugin.check` finds. Warnings refuse nothing."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}

    def add(self, option: str, message: str, *, hint: str | None = None) -> None:
        self.errors[option] = message

    def warn(self, option: str, message: str, *, hint: str | None = None) -> None:
        pass


def make(plugin: type[P], options: Mapping[str, Any] | None = None) -> P:
    """Return an instance of options as YAML has them: "2s", not 2.0.

    They are validated by the plugin's schema, converted by its formats, and checked by `check`.
    Raises OptionsError for what a gateway would refuse.
    """
    given = dict(options or {})
    errors = {
        ".".join(map(str, error.absolute_path)): error.message
        for error in Draft7Validator(with_references(plugin.schema)).iter_errors(given)
    }
    if errors:
        raise OptionsError(errors)
    try:
        made = plugin(**convert(plugin.schema, given))
    except ValueError as error:
        raise OptionsError({"": str(error)}) from error
    problems = _Problems()
    made.check(problems)
    if problems.errors:
        raise OptionsError(problems.errors)
    return made


@asynccontextmanager
async def running(
    plugin: type[P],
    options: Mapping[str, Any] | None = None,
    *,
    shared: Shared | None = None,
    store: Store | None = None,
) -> AsyncIterator[P]:
    """Make a plugin, set it up, and close it afterwards with all that its context gave it.

    `shared` is what outlives a reload: give one to two lives to play a reload. There are no other
    services: a plugin that calls one is tested by the fixture `brain`. `store` is what options of
    `format: secret` lead to; a change of it is seen at once. Raises what `setup` raises.
    """
    made = make(plugin, options)
    own = Shared() if shared is None else shared
    secrets = TestSecrets({} if store is None else store)
    context = context_of(plugin.__name__, own, secrets)
    try:
        await made.setup(context)
        yield made
    finally:
        await context.stop_tasks()
        async with asyncio.timeout(CLOSE_WITHIN):
            await made.close()
        await secrets.end()
        context.release()
        if shared is None:
            await own.close()


def context_of(name: str, shared: Shared, secrets: Secrets) -> Context:
    """Return the context of a gateway that has one plugin and no service."""
    entry = Entry(name, name, None, {}, Place("test", 1, 1))
    pages, gateway = OwnPages("/api/brain"), Gateway()
    return Context(entry, shared, {}, pages, _status, gateway, _no_caller, secrets)


async def _no_caller(request: web.BaseRequest, path: str, besides: Authenticator) -> Principal:
    raise GatewayError("no_route")


def _status() -> GatewayStatus:
    return GatewayStatus(
        version=VERSION,
        revision="test",
        loaded_at=time(),
        reloads={"ok": 0, "refused": 0},
        snapshots=1,
        connections=1,
        in_flight=1,
        retries={},
        upstreams=[],
    )
