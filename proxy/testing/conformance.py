"""What every plugin must do, held against one: an author's test is one line.

async def test_it_is_a_good_plugin() -> None:
    await check_plugin(WorkingHours, {"until": 18})
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from aiohttp import web
from jsonschema import Draft7Validator, SchemaError

from proxy.errors import GatewayError, Unavailable
from proxy.plugin.answer import Answer
from proxy.plugin.base import Authenticator, Plugin
from proxy.plugin.context import PluginContext
from proxy.plugin.exchange import Client
from proxy.runtime.context import Context
from proxy.runtime.shared import Shared
from proxy.tasks import Tasks
from proxy.testing.calls import ADDRESS, call, chain_of
from proxy.testing.making import context_of, make, running
from proxy.testing.messages import TestRoute, request_of, upstream_answer
from proxy.testing.store import Store, TestSecrets

Options = Mapping[str, Any]


class Given(NamedTuple):
    """What a plugin is made of and finds."""

    options: Options
    store: Store


Check = Callable[[type[Plugin], Given], Coroutine[Any, Any, None]]

PATIENCE = 2.0
"""Seconds in which anything that a check waits for has happened."""


async def check_plugin(
    plugin: type[Plugin],
    options: Options | None = None,
    *,
    reads_bodies: bool = False,
    store: Store | None = None,
) -> None:
    """Raise AssertionError, a line for each, for what `plugin` does not do as a plugin must.

    `options` are some that the gateway takes, as in YAML; `store` is what those of `format: secret`
    lead to. `reads_bodies` excuses one that needs a
    whole body from letting streams pass. A schema that says what the constructor takes; an end
    without a whole beginning; streams, cancellations and errors that pass; two lives at once, as in
    a reload; and, where the package blockbuster is installed, no call that blocks the loop.
    """
    given = Given(options or {}, store or {})
    failures = _schema_failures(plugin)
    acts = plugin.__call__ is not Plugin.__call__ or plugin.setup is not Plugin.setup
    if not (acts or issubclass(plugin, Authenticator)):
        failures.append("it defines neither __call__ nor setup, so that it does nothing")
    for check in _CHECKS:
        if check is _streams_pass and reads_bodies:
            continue
        try:
            failures += await _failures(check, plugin, given)
        except TimeoutError:
            # What never ends now would not in the other checks either.
            failures.append(f"{_said(check)}: it never came to an end")
            break
    if failures:
        told = "\n".join(f"- {failure}" for failure in failures)
        raise AssertionError(f"{plugin.__name__} is not yet a good plugin:\n{told}")


async def _failures(check: Check, plugin: type[Plugin], given: Given) -> list[str]:
    try:
        await asyncio.wait_for(check(plugin, given), PATIENCE * 2)
    except AssertionError as error:
        return [str(error)]
    except TimeoutError:
        raise
    except Exception as error:
        return [f"{_said(check)}: {type(error).__name__}: {error}"]
    return []


def _said(check: Check) -> str:
    return (check.__doc__ or "").strip().rstrip(".")


# -- the schema


def _schema_failures(plugin: type[Plugin]) -> list[str]:
    schema = plugin.schema
    try:
        Draft7Validator.check_schema(schema)
    except SchemaError as error:
        return [f"its schema is no JSON Schema (draft-07): {error.message}"]
    failures = []
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        failures.append('its schema must say "type": "object" and "additionalProperties": False')
    known: Mapping[str, Any] = schema.get("properties", {})
    failures += [
        f"option '{name}' has no description"
        for name in known
        if not known[name].get("description")
    ]
    return failures + list(_signature_failures(plugin, known, schema.get("required", ())))


def _signature_failures(
    plugin: type[Plugin], known: Mapping[str, Any], required: Any
) -> Iterator[str]:
    """Compare the options of the schema with the parameters of the constructor."""
    parameters = dict(inspect.signature(plugin.__init__).parameters)
    parameters.pop("self", None)
    kinds = {parameter.kind for parameter in parameters.values()}
    if plugin.__init__ is Plugin.__init__ or inspect.Parameter.VAR_KEYWORD in kinds:
        return
    for name in known.keys() - parameters.keys():
        yield f"option '{name}' is no parameter of __init__"
    for name, parameter in parameters.items():
        optional = parameter.default is not inspect.Parameter.empty
        if name not in known and not optional:
            yield f"parameter '{name}' of __init__ is no option of the schema"
        elif not (optional or name in required or "default" in known.get(name, {})):
            yield f"option '{name}' needs a default in the schema, or to be required"


# -- the life


async def _closes_without_a_setup(plugin: type[Plugin], given: Given) -> None:
    """close() works on an instance that was never set up."""
    await make(plugin, given.options).close()


async def _explains_without_a_setup(plugin: type[Plugin], given: Given) -> None:
    """explain() works on an instance that was never set up"""
    made = make(plugin, given.options)
    told = made.explain(_request(made).exchange)
    assert all(isinstance(line, str) for line in told), "explain() returns lines of text"


async def _closes_after_half_a_setup(plugin: type[Plugin], given: Given) -> None:
    """close() works after a setup that broke off."""
    context = context_of(plugin.__name__, Shared(), TestSecrets(given.store))
    made = make(plugin, given.options)
    try:
        async with asyncio.timeout(PATIENCE):
            await made.setup(cast("PluginContext", _Away(context)))
    except Unavailable:
        pass
    except TimeoutError:
        raise AssertionError("setup() does not return") from None
    finally:
        await context.stop_tasks()
        await made.close()
        context.release()


class _Away:
    """A context of which nothing but `entry` and `logger` is to be had."""

    def __init__(self, context: Context) -> None:
        self.entry, self.logger = context.entry, context.logger

    def __getattr__(self, name: str) -> Any:
        raise Unavailable(f"context.{name} is away")


async def _two_live_at_once(plugin: type[Plugin], given: Given) -> None:
    """As in a reload: a second instance begins, and serves on when the first one has closed."""
    shared = Shared()
    try:
        async with running(plugin, given.options, store=given.store, shared=shared) as second:
            async with running(plugin, given.options, store=given.store, shared=shared) as first:
                await call(first)
                await call(second)
            await call(second)
    finally:
        await shared.close()


# -- requests


async def _streams_pass(plugin: type[Plugin], given: Given) -> None:
    """A stream's first bytes pass before its last ones have come."""
    seen = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await seen.wait()
        yield b"last"

    async with running(plugin, given.options, store=given.store) as made:
        answer = await _answer(made, lambda _: upstream_answer(body=pieces()))
        async for piece in answer.body:
            if piece:
                seen.set()
        if answer.origin == "upstream":
            assert seen.is_set(), "a stream's bytes are lost"


async def _answer(made: Plugin, upstream: Callable[[web.BaseRequest], Any]) -> Answer:
    async def handler(request: web.BaseRequest) -> Answer:
        answer: Answer = upstream(request)
        return answer

    try:
        return await asyncio.wait_for(chain_of(made, handler)(_request(made)), PATIENCE)
    except TimeoutError:
        raise AssertionError("it reads a stream to its end before it passes it on") from None


def _request(made: Plugin) -> Any:
    return request_of(
        "GET",
        "/",
        client=Client(ADDRESS, "https", "brain.example.com"),
        route=TestRoute(),
        plugin=made,
    )


async def _a_cancellation_passes(plugin: type[Plugin], given: Given) -> None:
    """When the client leaves, the cancellation passes."""
    begun = asyncio.Event()

    async def handler(_request: web.BaseRequest) -> Answer:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def serve(made: Plugin) -> Answer:
        return await chain_of(made, handler)(_request(made))

    tasks = Tasks()
    async with running(plugin, given.options, store=given.store) as made:
        task = tasks.spawn(serve(made), name="request", quiet=True)
        reached = tasks.spawn(begun.wait(), name="handler", quiet=True)
        await asyncio.wait((task, reached), timeout=PATIENCE, return_when="FIRST_COMPLETED")
        reached.cancel()
        if task.done():
            return  # it answers itself
        task.cancel()
        await asyncio.wait((task,), timeout=PATIENCE)
        assert task.cancelled(), "it swallows the cancellation that comes when the client leaves"


async def _an_error_passes(plugin: type[Plugin], given: Given) -> None:
    """An error of what stands further in comes as an answer, which passes or is replaced."""
    failure = GatewayError("upstream_connect_refused")
    async with running(plugin, given.options, store=given.store) as made:
        called = await call(made, answer=failure)
    error = called.answer.error
    assert error is None or error.code != "plugin_failed", (
        f"an answer of 502 breaks it:\n{called.log}"
    )


async def _nothing_of_a_request_stays(plugin: type[Plugin], given: Given) -> None:
    """Two requests at once do not meet on the instance."""
    if issubclass(plugin, Authenticator):
        return
    async with running(plugin, given.options, store=given.store) as made:
        await call(made)
        before = dict(vars(made))
        await asyncio.gather(*(call(made, path=f"/{number}") for number in range(8)))
        after = vars(made)
        kept = [name for name in after if isinstance(after[name], web.BaseRequest | Answer)]
        kept += after.keys() - before.keys()
    assert not kept, f"it keeps what belongs to one request on self: {', '.join(sorted(kept))}"


async def _nothing_blocks(plugin: type[Plugin], given: Given) -> None:
    """It serves a request without a bug, and without a call that blocks the event loop."""
    with _blocking_is_an_error(plugin):
        async with running(plugin, given.options, store=given.store) as made:
            called = await call(made)
    error = called.answer.error
    if error is not None and error.code == "plugin_failed":
        last = called.log.rstrip().rpartition("\n")[2]
        raise AssertionError(f"it fails on a plain GET: {last}")


@contextmanager
def _blocking_is_an_error(plugin: type[Plugin]) -> Iterator[None]:
    """Make a blocking call of the plugin's module an error, where blockbuster is there to see it."""
    try:
        from blockbuster import blockbuster_ctx
    except ImportError:
        yield
        return
    with blockbuster_ctx([sys.modules[plugin.__module__]]):
        yield


_CHECKS: tuple[Check, ...] = (
    _closes_without_a_setup,
    _explains_without_a_setup,
    _closes_after_half_a_setup,
    _nothing_blocks,
    _two_live_at_once,
    _streams_pass,
    _a_cancellation_passes,
    _an_error_passes,
    _nothing_of_a_request_stays,
)
