"""A plugin's options, setup, readiness and end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy import ConfigError, PluginContext, Unavailable
from proxy.config.load import InvalidConfig
from proxy.runtime import instances
from tests.functional import plugins_for_tests
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.plugins_for_tests import HERE, Setup, entry, public

AtSetup = Callable[[Setup], Setup]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not true():
            await asyncio.sleep(0.005)


# -- options


async def test_options_are_converted_by_format_and_defaults_applied(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        public(upstream.url, f'{{use: "{HERE}:Typed", with: {{pause: 2s, share: 5%}}}}')
    )
    shown = json.loads((await running.get("/api/brain/echo/")).body)
    assert shown["pause"] == "float 2.0"
    assert shown["most"] == "int 2048"
    assert shown["share"] == "float 0.05"
    assert shown["even"] == "int 2"
    assert shown["rate"].startswith("Rate ")
    assert shown["text"].startswith("Template ")


@pytest.mark.parametrize(
    ("options", "said", "column"),
    [
        ("even: 3", "expected an even number", "even"),
        ("pause: soon", "pause", "pause"),
        ("pauze: 2s", "pauze", "pauze"),
    ],
)
async def test_what_is_wrong_with_an_option_is_told_at_its_own_line(
    gateway: MakeGateway, upstream: RecordingUpstream, options: str, said: str, column: str
) -> None:
    text = (
        f'version: 1\nservices:\n  echo:\n    upstream: "{upstream.url}"\n    public: true\n'
        f'    plugins:\n      - use: "{HERE}:Typed"\n        with:\n          {options}\n'
    )
    with pytest.raises(InvalidConfig) as refused:
        await gateway(text)
    told = str(refused.value)
    assert said in told
    assert "routes0.yaml:9:" in told


# -- setup


async def test_a_config_error_in_setup_refuses_the_start_with_the_entrys_place(
    gateway: MakeGateway, upstream: RecordingUpstream, notes: list[Any]
) -> None:
    first = entry("first")
    with pytest.raises(ConfigError, match=r"routes0\.yaml:6.*this can't be served") as refused:
        await gateway(public(upstream.url, first, f'{{use: "{HERE}:Refuses", as: no}}'))
    assert refused.value.hint == "leave it out"
    assert notes == ["close first", "closed shared"], "half a setup is closed"


async def test_a_bug_in_setup_refuses_the_start_and_names_the_plugin(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    with pytest.raises(ConfigError, match="plugin 'odd': KeyError"):
        await gateway(public(upstream.url, f'{{use: "{HERE}:Buggy", as: odd}}'))


async def test_a_setup_that_refuses_a_reload_leaves_the_old_one_serving(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(public(upstream.url))
    running.path.write_text(public(upstream.url, f'{{use: "{HERE}:Refuses", as: no}}'))
    refused = await running.reload()
    assert refused is not None
    assert "this can't be served" in refused
    assert (await running.get("/api/brain/echo/")).status == 200
    ready = json.loads((await running.admin("/ready")).body)
    assert ready["status"] == "degraded"


async def test_what_is_unavailable_answers_503_and_comes_back_by_itself(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    at_setup: AtSetup,
    notes: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instances, "RETRY_SETUP_FIRST", 0.02)
    away = True

    @at_setup
    async def needy(context: PluginContext) -> None:
        notes.append("setup")
        context.share("held", plugins_for_tests.Closed)
        context.serve("GET", "page", _page)
        if away:
            raise Unavailable("the store is sealed", code="secret_unavailable")

    running = await gateway(
        f"""
        version: 1
        services:
          needs: {{upstream: "{upstream.url}", public: true, plugins: [{entry("needy")}]}}
          other: {{upstream: "{upstream.url}", public: true}}
        """
    )
    reply = await running.get("/api/brain/needs/")
    assert reply.status == 503
    assert json.loads(reply.body)["code"] == "secret_unavailable"
    assert "sealed" not in reply.body.decode()
    assert reply.header("Retry-After") is not None
    assert (await running.get("/api/brain/other/")).status == 200
    waiting = await running.get("/api/brain/_page")
    assert (waiting.status, json.loads(waiting.body)["code"]) == (503, "secret_unavailable")
    ready = await running.admin("/ready")
    assert ready.status == 200
    assert json.loads(ready.body)["checks"]["needy"] == "the store is sealed"
    away = False
    async with asyncio.timeout(2):
        while (await running.get("/api/brain/needs/")).status != 200:
            await asyncio.sleep(0.01)
    assert json.loads((await running.admin("/ready")).body)["status"] == "ok"
    assert (await running.get("/api/brain/_page")).body == b"page", "pages of a late setup serve"
    # What each failed attempt took was given back before the next one began.
    assert notes.count("closed shared") == notes.count("setup") - 1


async def _page(asked: Any) -> Any:
    from proxy import Answer

    return Answer(body=b"page")


async def test_a_retry_that_fails_for_good_keeps_the_routes_closed_and_says_so(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    at_setup: AtSetup,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(instances, "RETRY_SETUP_FIRST", 0.02)
    tries: list[int] = []

    @at_setup
    async def needy(context: PluginContext) -> None:
        tries.append(1)
        if len(tries) > 1:
            raise KeyError("a bug")
        raise Unavailable("away")

    running = await gateway(public(upstream.url, "needy"))
    await until(lambda: "needy: setup died" in caplog.text)
    assert (await running.get("/api/brain/echo/")).status == 503
    checks = json.loads((await running.admin("/ready")).body)["checks"]
    assert checks["needy: setup"] == "task died: KeyError"


async def test_a_setup_that_never_returns_is_a_dependency_that_is_away(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    at_setup: AtSetup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instances, "SETUP_WITHIN", 0.05)

    @at_setup
    async def stuck(context: PluginContext) -> None:
        await asyncio.Event().wait()

    running = await gateway(public(upstream.url, "stuck"))
    assert (await running.get("/api/brain/echo/")).status == 503
    checks = json.loads((await running.admin("/ready")).body)["checks"]
    assert checks["stuck"] == "setup() takes longer than 0.05 s"


async def test_a_setup_that_never_returns_refuses_a_reload(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    at_setup: AtSetup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instances, "SETUP_WITHIN", 0.05)

    @at_setup
    async def stuck(context: PluginContext) -> None:
        await asyncio.Event().wait()

    running = await gateway(public(upstream.url))
    running.path.write_text(public(upstream.url, "stuck"))
    refused = await running.reload()
    assert refused is not None
    assert "plugin 'stuck': setup() takes longer than 0.05 s" in refused
    assert (await running.get("/api/brain/echo/")).status == 200


# -- ready and close


@pytest.mark.parametrize(
    ("ends", "said"),
    [("badly", "plugin 'bad' failed to close"), ("never", "'bad': close() takes longer than")],
)
async def test_a_plugin_that_does_not_close_keeps_no_other_from_it(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    notes: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ends: str,
    said: str,
) -> None:
    monkeypatch.setattr(instances, "CLOSE_WITHIN", 0.05)
    bad = f'{{use: "{HERE}:Ends", as: bad, with: {{how: {ends}}}}}'
    running = await gateway(public(upstream.url, "first", bad, "last"))
    running.path.write_text(public(upstream.url))
    assert await running.reload() is None
    await until(lambda: len(notes) == 2)
    assert notes == ["close last", "close first"]
    assert said in caplog.text
    assert (await running.get("/api/brain/echo/")).status == 200


async def test_a_plugin_that_is_not_ready_is_shown_and_asked_again(
    gateway: MakeGateway, upstream: RecordingUpstream, at_setup: AtSetup
) -> None:
    @at_setup
    async def slow(context: PluginContext) -> None:
        plugins_for_tests.READY["slow"] = "warming up"

    running = await gateway(public(upstream.url, "slow"))
    ready = json.loads((await running.admin("/ready")).body)
    assert (ready["status"], ready["checks"]["slow"]) == ("degraded", "warming up")
    plugins_for_tests.READY.clear()
    assert json.loads((await running.admin("/ready")).body)["status"] == "ok"


async def test_plugins_are_closed_in_the_reverse_order_when_the_gateway_ends(
    gateway: MakeGateway, upstream: RecordingUpstream, notes: list[Any]
) -> None:
    running = await gateway(public(upstream.url, "first", "second", "third"))
    await running.stop()
    assert notes == ["close third", "close second", "close first"]


async def test_a_reload_closes_the_old_instances_after_the_last_request(
    gateway: MakeGateway, upstream: RecordingUpstream, notes: list[Any]
) -> None:
    running = await gateway(public(upstream.url, "first"))
    running.path.write_text(public(upstream.url, "second"))
    assert await running.reload() is None
    await until(lambda: notes)
    assert notes == ["close first"]
    assert (await running.get("/api/brain/echo/")).status == 200
