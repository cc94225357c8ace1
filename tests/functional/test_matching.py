"""Which route takes a request (routes-language.md, "Matching" and "Prefix")."""

from __future__ import annotations

import json

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply


async def taken(running: Gateway, upstream: RecordingUpstream, *asked: str, **how: str) -> str:
    """Return the path that arrived: each route of these tests has one of its own upstream."""
    reply = await running.get(*asked, **how)  # type: ignore[arg-type]
    return upstream.last.target if reply.status == 200 else code(reply)


def code(reply: Reply) -> str:
    return str(json.loads(reply.body)["code"])


@pytest.fixture
async def many(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    """Routes that overlap, each with an upstream path that tells its name."""
    url = upstream.url
    return await gateway(
        f"""
        version: 1
        gateway:
          expose: {{health: any}}
        services:
          crm:
            aliases: [django-crm, /legacy/crm]
            upstream: {url}/service
            public: true
            routes:
              - {{match: {{path: /exact}}, upstream: "{url}/exact"}}
              - {{match: {{path: "/exact/*"}}, upstream: "{url}/below"}}
              - {{match: {{path: "/{{id}}"}}, upstream: "{url}/named"}}
              - {{match: {{path: "/{{id}}/parts", method: GET}}, upstream: "{url}/parts"}}
              - match: {{path: /kind, header: {{X-Kind: "v1*"}}}}
                upstream: {url}/kind-v1
              - match: {{path: /kind, query: {{debug: true}}}}
                upstream: {url}/kind-debug
              - {{match: {{path: /kind}}, upstream: "{url}/kind"}}
              - {{match: {{path: /site, host: "*.example"}}, upstream: "{url}/site"}}
        routes:
          - {{match: {{path: /graphql, method: POST}}, upstream: service/crm, public: true}}
          - {{match: {{path: "/{{a}}/where/*"}}, upstream: "{url}/wide", public: true}}
        """
    )


ROUTES = [
    ("/api/brain/crm", "/service"),
    ("/api/brain/crm/", "/service/"),
    ("/api/brain/crm/a/b", "/service/a/b"),
    ("/api/brain/crm/exact", "/exact/exact"),
    ("/api/brain/crm/exact/", "/exact/exact/"),
    ("/api/brain/crm/%65xact", "/exact/%65xact"),
    ("/api/brain/crm/exact/x", "/below/exact/x"),
    ("/api/brain/crm/other", "/named/other"),
    ("/api/brain/crm/7/parts", "/parts/7/parts"),
    ("/api/brain/crm/7/parts/", "/parts/7/parts/"),
    ("/api/brain/crm/kind", "/kind/kind"),
    ("/api/brain/crm/kind?debug", "/kind-debug/kind?debug"),
    ("/api/brain/crm/site", "/named/site"),
    ("/api/brain/django-crm/exact", "/exact/exact"),
    ("/legacy/crm/a/b", "/service/a/b"),
    ("/legacy/crmx/a", "no_route"),
    ("/any/where/else", "/wide/any/where/else"),
    ("/any", "no_route"),
    ("/", "no_route"),
    ("/health/", "no_route"),
    ("/graphql", "method_not_allowed"),
]


async def test_the_most_specific_route_takes_the_request_every_time(
    many: Gateway, upstream: RecordingUpstream
) -> None:
    for _ in range(2):
        for sent, arrived in ROUTES:
            assert await taken(many, upstream, sent) == arrived, sent


async def test_header_query_and_host_are_asked_each_time_and_not_remembered(
    many: Gateway, upstream: RecordingUpstream
) -> None:
    for _ in range(2):
        kind = "/api/brain/crm/kind"
        assert await taken(many, upstream, kind) == "/kind/kind"
        assert await taken(many, upstream, kind, "X-Kind: v1.2") == "/kind-v1/kind"
        assert await taken(many, upstream, kind, "X-Kind: v2") == "/kind/kind"
        assert await taken(many, upstream, kind + "?debug=1") == "/kind-debug/kind?debug=1"
        site = "GET /api/brain/crm/site HTTP/1.1\r\nHost: %b\r\n\r\n"
        for host, arrived in [(b"a.example:80", "/site/site"), (b"example", "/named/site")]:
            await many.ask(site.encode() % host)
            assert upstream.last.target == arrived


async def test_methods_are_asked_each_time_and_get_includes_head(
    many: Gateway, upstream: RecordingUpstream
) -> None:
    for _ in range(2):
        for method, arrived in [
            ("GET", "/parts/7/parts"),
            ("HEAD", "/parts/7/parts"),
            ("POST", "/service/7/parts"),
            ("DELETE", "/service/7/parts"),
        ]:
            reply = await many.get("/api/brain/crm/7/parts", method=method)
            assert (reply.status, upstream.last.method) == (200, method)
            assert upstream.last.target == arrived


async def test_a_wrong_method_is_405_with_allow_and_a_page_of_the_gateway_stays_its_own(
    many: Gateway, upstream: RecordingUpstream
) -> None:
    for _ in range(2):
        assert (await many.get("/graphql", method="POST", body=b"{}")).status == 200
        reply = await many.get("/graphql")
        assert (reply.status, reply.all("Allow")) == (405, ["POST"])
        assert (await many.get("/graphql", method="OPTIONS")).status == 405
        assert (await many.get("/health")).status == 200
        assert (await many.get("/health", method="HEAD")).status == 200
    assert [seen.target for seen in upstream.seen] == ["/service/graphql"] * 2


async def test_a_preflight_takes_the_route_of_the_method_that_it_asks_for(
    many: Gateway, upstream: RecordingUpstream
) -> None:
    asks = ("Origin: https://app.example", "Access-Control-Request-Method: GET")
    for _ in range(2):
        path = "/api/brain/crm/7/parts"
        arrived = await taken(many, upstream, path, *asks, method="OPTIONS")
        assert arrived == "/parts/7/parts"
        assert await taken(many, upstream, path, method="OPTIONS") == "/service/7/parts"
        assert (
            await taken(many, upstream, "/graphql", *asks, method="OPTIONS") == "method_not_allowed"
        )


async def test_an_encoded_slash_is_refused_however_often_its_plain_path_was_taken(
    many: Gateway, upstream: RecordingUpstream
) -> None:
    for _ in range(2):
        assert (await many.get("/api/brain/crm/7/parts")).status == 200
        assert (await many.get("/api/brain/crm/7%2fparts")).status == 400


async def test_the_fallback_takes_what_no_route_does_and_never_a_wrong_method(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        gateway:
          expose: {{health: any}}
        services:
          crm: {{upstream: "{upstream.url}/crm", public: true}}
        routes:
          - {{match: {{path: /g, method: POST}}, upstream: "{upstream.url}/g", public: true}}
        fallback: {{upstream: "{upstream.url}/old", public: true}}
        """
    )
    for _ in range(2):
        assert await taken(running, upstream, "/x/%27?y") == "/old/x/%27?y"
        assert await taken(running, upstream, "/") == "/old/"
        assert await taken(running, upstream, "/api/brain/none/x") == "/old/api/brain/none/x"
        assert await taken(running, upstream, "/api/brain/crm/x") == "/crm/x"
        assert await taken(running, upstream, "/g") == "method_not_allowed"
        assert await taken(running, upstream, "/%2e%2e/x") == "bad_path"
        assert await taken(running, upstream, "/a%2fb") == "bad_path"
        assert b"ok" in (await running.get("/health")).body
    await running.get("/x")
    assert upstream.last.header("X-Forwarded-Prefix") is None


async def test_a_top_level_route_keeps_its_whole_path(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        routes:
          - {{match: {{path: "/shop/*"}}, upstream: "{upstream.url}/v1", public: true}}
        """
    )
    assert await taken(running, upstream, "/shop/x%27/?y") == "/v1/shop/x%27/?y"
    assert await taken(running, upstream, "/shop") == "/v1/shop"
    assert await taken(running, upstream, "/shopping") == "no_route"
    assert upstream.last.header("X-Forwarded-Prefix") is None


async def test_a_page_that_a_plugin_opens_later_is_not_hidden_by_what_was_remembered(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    """A wide route takes the page's path at first; nothing of that may be kept."""
    running = await gateway(
        f"""
        version: 1
        routes:
          - {{match: {{path: "/{{any}}/*"}}, upstream: "{upstream.url}/wide", public: true}}
        """
    )
    router = running.host.gateway.snapshot.router
    for path in ("/api/brain/_later", "/api/brain/sooner"):
        assert await taken(running, upstream, path) == f"/wide{path}"
    assert router.known("GET", "/api/brain/_later") is None
    assert router.known("GET", "/api/brain/sooner") is not None
