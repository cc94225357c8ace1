"""Stages have one order; inside a stage it is global, service, route, each as listed."""

from __future__ import annotations

import pytest

from proxy import Stage
from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.plugins_for_tests import HERE, public


def trace(name: str, stage: str = "TRANSFORM") -> str:
    return f'{{use: "{HERE}:Trace", as: {name}, with: {{name: {name}, stage: {stage}}}}}'


async def test_stages_stand_in_their_order_however_they_are_listed(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    names = [stage.name for stage in Stage if stage is not Stage.AUTHENTICATE]
    listed = [trace(name.lower(), name) for name in reversed(names)]
    running = await gateway(public(upstream.url, *listed))
    reply = await running.get("/api/brain/echo/")
    expected = [name.lower() for name in names]
    assert expected[0] == "observe"
    assert expected[-1] == "credentials"
    assert upstream.last.all("X-Trace") == expected
    assert reply.all("X-Trace") == expected[::-1]


async def test_inside_a_stage_it_is_global_then_service_then_route(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [{trace("g1")}, {trace("g2")}, {trace("early", "GUARD")}]
        services:
          echo:
            upstream: "{upstream.url}"
            public: true
            plugins: [{trace("s1")}, {trace("s2")}]
            routes:
              - match: {{path: /deep/*}}
                plugins: [{trace("r1")}, {trace("first", "OBSERVE")}]
        """
    )
    await running.get("/api/brain/echo/deep/x")
    assert upstream.last.all("X-Trace") == ["first", "early", "g1", "g2", "s1", "s2", "r1"]
    await running.get("/api/brain/echo/other")
    assert upstream.last.all("X-Trace") == ["early", "g1", "g2", "s1", "s2"]


async def test_a_level_skips_and_overrides_by_identity(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    other = f'{{use: "{HERE}:Trace", as: g2, with: {{name: instead}}}}'
    running = await gateway(
        f"""
        version: 1
        plugins: [{trace("g1")}, {trace("g2")}]
        services:
          plain: {{upstream: "{upstream.url}", public: true}}
          without: {{upstream: "{upstream.url}", public: true, skip: [g1]}}
          instead: {{upstream: "{upstream.url}", public: true, plugins: [{other}]}}
        """
    )
    for service, expected in {
        "plain": ["g1", "g2"],
        "without": ["g2"],
        "instead": ["g1", "instead"],
    }.items():
        await running.get(f"/api/brain/{service}/")
        assert upstream.last.all("X-Trace") == expected


async def test_a_global_entry_is_one_instance_for_all_routes(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [{trace("g1")}]
        services:
          one: {{upstream: "{upstream.url}", public: true}}
          two: {{upstream: "{upstream.url}", public: true}}
        """
    )
    assert len(running.host.gateway.snapshot.instances.held) == 1


async def test_what_no_route_takes_runs_the_global_chain_without_what_needs_a_route(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    names = [stage.name for stage in Stage if stage is not Stage.AUTHENTICATE]
    running = await gateway(
        f"""
        version: 1
        plugins: [{", ".join(trace(name.lower(), name) for name in names)}]
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    reply = await running.get("/nowhere")
    assert reply.status == 404
    assert reply.all("X-Trace") == ["transform", "guard", "cors", "observe"]


# -- use: module:attr


async def test_a_plain_aiohttp_middleware_works_by_use(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(public(upstream.url, f'{{use: "{HERE}:plain_middleware"}}'))
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.header("X-Middleware") == "plain"


async def test_a_middleware_may_answer_by_aiohttps_own_response(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(public(upstream.url, f'{{use: "{HERE}:answering_middleware"}}'))
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, reply.body) == (203, b"short")
    assert reply.header("X-Own") == "1"
    assert reply.header("Content-Type") == "text/plain; charset=utf-8"
    assert reply.all("Set-Cookie") == ["taste=sweet; Path=/"]
    assert reply.all("Content-Length") == ["5"]
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("given", "header", "value"),
    [("", "X-Made", "by default"), (", with: {header: X-Other, value: v}", "X-Other", "v")],
)
async def test_a_factory_is_called_with_its_options(
    gateway: MakeGateway, upstream: RecordingUpstream, given: str, header: str, value: str
) -> None:
    running = await gateway(public(upstream.url, f'{{use: "{HERE}:middleware_factory"{given}}}'))
    assert (await running.get("/api/brain/echo/")).header(header) == value


async def test_an_object_with_an_async_call_is_the_middleware(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(public(upstream.url, f'{{use: "{HERE}:middleware_object"}}'))
    assert (await running.get("/api/brain/echo/")).header("X-Object") == "1"


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (f'{{use: "{HERE}:plain_middleware", with: {{a: 1}}}}', "takes no 'with'"),
        (f'{{use: "{HERE}:middleware_factory", with: {{nothing: 1}}}}', "nothing"),
        (f'{{use: "{HERE}:NOT_A_PLUGIN"}}', "neither a Plugin class nor"),
        (f'{{use: "{HERE}:Missing"}}', "can't import"),
        ('{use: "no.such.module:x"}', "can't import"),
    ],
)
async def test_what_use_can_not_mean_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream, use: str, said: str
) -> None:
    with pytest.raises(InvalidConfig, match=r"(?s)BG.*routes0\.yaml") as refused:
        await gateway(public(upstream.url, use))
    assert said in str(refused.value)
