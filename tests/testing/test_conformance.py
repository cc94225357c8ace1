"""`check_plugin`: each way of being a bad plugin is found, and named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

import pytest
from aiohttp import web

from proxy import (
    EXCHANGE,
    Answer,
    Authenticator,
    Exchange,
    Handler,
    Plugin,
    PluginContext,
    Principal,
)
from proxy.testing import check_plugin, conformance

NO_OPTIONS: Mapping[str, Any] = {"type": "object", "additionalProperties": False}


def options(**properties: Any) -> Mapping[str, Any]:
    return {**NO_OPTIONS, "properties": properties}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "PATIENCE", 0.3)


async def said(plugin: type[Plugin], given: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(AssertionError) as caught:
        await check_plugin(plugin, given)
    return str(caught.value)


# -- the schema


class NoSchema(Plugin):
    schema: ClassVar[Mapping[str, Any]] = {"type": "nothing"}


class Open(Plugin):
    schema: ClassVar[Mapping[str, Any]] = {"type": "object"}


class Undescribed(Plugin):
    schema: ClassVar[Mapping[str, Any]] = options(word={"type": "string", "default": "x"})

    def __init__(self, *, word: str) -> None: ...


class Unasked(Plugin):
    schema: ClassVar[Mapping[str, Any]] = options(word={"type": "string", "description": "One."})

    def __init__(self, *, wrod: str = "") -> None: ...


class Unsaid(Plugin):
    def __init__(self, *, word: str) -> None: ...


class Undefaulted(Plugin):
    schema: ClassVar[Mapping[str, Any]] = options(word={"type": "string", "description": "One."})

    def __init__(self, *, word: str) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "given", "expected"),
    [
        (NoSchema, {}, "its schema is no JSON Schema (draft-07)"),
        (Open, {}, 'its schema must say "type": "object" and "additionalProperties": False'),
        (Undescribed, {}, "option 'word' has no description"),
        (Unasked, {}, "option 'word' is no parameter of __init__"),
        (Unsaid, {}, "parameter 'word' of __init__ is no option of the schema"),
        (Undefaulted, {"word": "x"}, "option 'word' needs a default in the schema"),
    ],
)
async def test_schema_and_constructor_must_agree(
    plugin: type[Plugin], given: Mapping[str, Any], expected: str
) -> None:
    assert expected in await said(plugin, given)


# -- the life


class NeedsSetupToClose(Plugin):
    async def setup(self, context: PluginContext) -> None:
        self._task = asyncio.create_task(asyncio.sleep(0))

    async def close(self) -> None:
        self._task.cancel()


class NeedsAllOfSetupToClose(Plugin):
    _begun = False

    async def setup(self, context: PluginContext) -> None:
        self._begun = True
        self._http = context.http

    async def close(self) -> None:
        if self._begun:
            del self._http


class Alone(Plugin):
    running: ClassVar[bool] = False

    async def setup(self, context: PluginContext) -> None:
        if Alone.running:
            raise RuntimeError("there is one already")
        Alone.running = True

    async def close(self) -> None:
        Alone.running = False


class NeverCloses(Plugin):
    async def close(self) -> None:
        await asyncio.Event().wait()


class NeverSetUp(Plugin):
    async def setup(self, context: PluginContext) -> None:
        await asyncio.Event().wait()


class ExplainsLate(Plugin):
    async def setup(self, context: PluginContext) -> None:
        self._word = "hello"

    def explain(self, exchange: Exchange) -> list[str]:
        return [self._word]


class Idle(Plugin):
    async def _call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        return Answer(status=403)


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (NeedsSetupToClose, "close() works on an instance that was never set up: AttributeError"),
        (NeedsAllOfSetupToClose, "close() works after a setup that broke off: AttributeError"),
        (Alone, "As in a reload: a second instance begins"),
        (NeverCloses, "it never came to an end"),
        (NeverSetUp, "setup() does not return"),
        (ExplainsLate, "explain() works on an instance that was never set up: AttributeError"),
        (Idle, "it defines neither __call__ nor setup"),
    ],
)
async def test_a_life_may_be_cut_short_and_overlap_another(
    plugin: type[Plugin], expected: str
) -> None:
    assert expected in await said(plugin)


# -- requests


class Whole(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(request)
        await answer.read(1_000_000)
        return answer


class Swallows(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        try:
            return await handler(request)
        except BaseException:
            return Answer(status=500)


class Trusting(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(request)
        if answer.status != 200:
            raise KeyError("a bug")
        return answer


class Blocks(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        time.sleep(0.001)
        return await handler(request)


class Buggy(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        raise KeyError("a bug")


class Keeps(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        self.request = request
        return await handler(request)


class Prepares(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(request)
        await answer.prepare(request)
        return answer


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Whole, "it reads a stream to its end before it passes it on"),
        (Swallows, "it swallows the cancellation that comes when the client leaves"),
        (Trusting, "an answer of 502 breaks it"),
        (Blocks, "BlockingError: Blocking call to time.sleep"),
        (Buggy, "it fails on a plain GET: KeyError: 'a bug'"),
        (Keeps, "it keeps what belongs to one request on self: request"),
        (Prepares, "never calls prepare()"),
    ],
)
async def test_requests_pass_and_leave_nothing(plugin: type[Plugin], expected: str) -> None:
    assert expected in await said(plugin)


async def test_all_failures_are_told_at_once() -> None:
    told = await said(type("Both", (Whole, Undescribed), {}))
    assert "has no description" in told
    assert "before it passes it on" in told


# -- good ones


class Marks(Plugin):
    schema: ClassVar[Mapping[str, Any]] = options(
        word={"type": "string", "default": "hi", "description": "What is said."}
    )

    def __init__(self, *, word: str) -> None:
        self._word = word

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        request[EXCHANGE].on_answer(lambda _, answer: answer.add_header("X-Word", self._word))
        return handler(request)


class Nobody(Authenticator):
    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        return None


class Answers(Plugin):
    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        async def answer() -> Answer:
            return Answer(body=b"mine")

        return answer()


@pytest.mark.parametrize("plugin", [Marks, Nobody, Answers])
async def test_good_plugins_pass(plugin: type[Plugin]) -> None:
    await check_plugin(plugin)


async def test_one_that_needs_whole_bodies_says_so() -> None:
    await check_plugin(Whole, reads_bodies=True)
