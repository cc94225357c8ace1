"""Secrets of a store in the authors' kit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

import pytest
from aiohttp import web

from proxy import (
    EXCHANGE,
    Answer,
    BoundSecret,
    ConfigError,
    Handler,
    Plugin,
    PluginContext,
    SecretRef,
)
from proxy.testing import OptionsError, call, check_plugin, running

REFERENCE = {"secret": "platform/redis", "field": "url"}
STORE = {"platform/redis": {"url": "s3same"}}


class Sends(Plugin):
    """Sends a secret as a header, or tells it where it should not."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["key"],
        "properties": {
            "key": {"type": "object", "format": "secret", "description": "What is sent."},
            "leaks": {"type": "boolean", "default": False, "description": "Logs it."},
        },
    }

    def __init__(self, *, key: SecretRef, leaks: bool) -> None:
        self._key = key
        self._leaks = leaks
        self._bound: BoundSecret | None = None
        self._log: Any = None

    async def setup(self, context: PluginContext) -> None:
        self._bound = await context.secrets.bind(self._key)
        self._log = context.logger

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        assert self._bound is not None
        if self._leaks:
            self._log.info("the key is %s", self._bound.current)
        request[EXCHANGE].outgoing.add_header("X-Key", self._bound.current)
        return handler(request)


@pytest.mark.parametrize("more", [{}, {"store": "file"}])
async def test_a_reference_leads_to_the_tests_store(more: dict[str, str]) -> None:
    called = await call(Sends, options={"key": REFERENCE | more}, store=STORE)
    assert called.outgoing.header("X-Key") == "s3same"


async def test_a_value_of_the_store_that_shows_fails_the_test_by_its_place() -> None:
    with pytest.raises(AssertionError, match="'platform/redis#url' shows in the log") as caught:
        await call(Sends, options={"key": REFERENCE, "leaks": True}, store=STORE)
    assert "s3same" not in str(caught.value)


async def test_a_change_of_the_store_is_seen() -> None:
    store = {"platform/redis": {"url": "old"}}
    async with running(Sends, {"key": REFERENCE}, store=store) as made:
        assert made._bound is not None
        store["platform/redis"]["url"] = "new"
        async with asyncio.timeout(2):
            while made._bound.current != "new":
                await asyncio.sleep(0.005)
        del store["platform/redis"]
        async with asyncio.timeout(2):
            while (await call(made)).answer.status != 503:
                await asyncio.sleep(0.005)


async def test_what_the_store_does_not_have_is_refused_as_a_gateway_does() -> None:
    with pytest.raises(ConfigError, match="the test's store has no 'platform/redis'"):
        await call(Sends, options={"key": REFERENCE})


@pytest.mark.parametrize("given", ["s3same", {"secret": "a"}, {"secret": "../a", "field": "b"}])
async def test_what_is_no_reference_is_refused(given: Any) -> None:
    with pytest.raises(OptionsError):
        await call(Sends, options={"key": given}, store=STORE)


async def test_a_plugin_with_secrets_is_held_to_what_all_are() -> None:
    await check_plugin(Sends, {"key": REFERENCE}, store=STORE)
