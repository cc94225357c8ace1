"""An upstream's own addresses in its answer, and its cookies (semantics.md, row 6; "Cookies")."""

from __future__ import annotations

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream


def answer(*fields: str, status: str = "302 Found") -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: 0\r\n\r\n".encode("latin-1")


async def serving(gateway: MakeGateway, upstream: RecordingUpstream, *more: str) -> Gateway:
    options = "".join(f"\n            {line}" for line in more)
    return await gateway(
        f"""
        version: 1
        services:
          crm:
            aliases: [django-crm, /old/crm]
            upstream: {upstream.url}/v2
            public: true{options}
        """
    )


@pytest.mark.parametrize("prefix", ["/api/brain/crm", "/api/brain/django-crm", "/old/crm"])
async def test_location_and_cookies_use_the_prefix_by_which_the_client_came(
    gateway: MakeGateway, upstream: RecordingUpstream, prefix: str
) -> None:
    running = await serving(gateway, upstream)
    host = f"127.0.0.1:{upstream.port}"
    for sent, told in [
        ("/v2/login?next=/v2/x", f"{prefix}/login?next=/v2/x"),
        (f"http://{host}/v2/x#y", f"{prefix}/x#y"),
        (f"//{host}/v2", prefix),
        ("/v22", "/v22"),
        ("https://elsewhere.example/v2/x", "https://elsewhere.example/v2/x"),
        (f"http://{host}.evil/v2/", f"http://{host}.evil/v2/"),
        ("relative", "relative"),
    ]:
        upstream.answer = answer(f"Location: {sent}", "Set-Cookie: a=b; Domain=x; Path=/v2/y")
        reply = await running.get(f"{prefix}/x")
        assert reply.header("Location") == told
        assert reply.header("Set-Cookie") == f"a=b; Path={prefix}/y"


async def test_a_location_with_the_clients_own_host_is_told_where_the_host_is_preserved(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "host: preserve")
    upstream.answer = answer("Location: http://gateway.test/v2/x")
    reply = await running.get("/api/brain/crm/x")
    assert upstream.last.header("Host") == "gateway.test"
    assert reply.header("Location") == "/api/brain/crm/x"


async def test_an_upstream_that_tells_public_addresses_itself_is_left_alone(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"version: 1\nservices:\n  crm: {{upstream: '{upstream.url}', public: true}}\n"
    )
    upstream.answer = answer("Location: /api/brain/crm/x", "Set-Cookie: a=b; Path=/api/brain/crm/y")
    reply = await running.get("/api/brain/crm/x")
    assert upstream.last.header("X-Forwarded-Prefix") == "/api/brain/crm"
    assert reply.header("Location") == "/api/brain/crm/x"
    assert reply.header("Set-Cookie") == "a=b; Path=/api/brain/crm/y"


async def test_rewriting_never_makes_an_address_of_another_host(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        routes:
          - {{match: {{path: "/*"}}, upstream: "{upstream.url}/v2", public: true}}
        """
    )
    for sent in ("/v2//evil.example/x", "/v2/\\evil.example", "//evil.example", "/\\evil.example"):
        upstream.answer = answer(f"Location: {sent}")
        assert (await running.get("/x")).header("Location") == sent
    upstream.answer = answer("Location: /v2?x", "Set-Cookie: a=b; Path=/v2")
    reply = await running.get("/x")
    assert (reply.header("Location"), reply.header("Set-Cookie")) == ("/?x", "a=b; Path=/")


async def test_several_cookies_stay_several_and_bytes_above_ascii_survive_rewriting(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    upstream.answer = answer(
        "Set-Cookie: a=\xff\xfe; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        "X-Between: 1",
        "set-cookie: __Host-b=1; Path=/; Secure",
        "Location: /v2/caf\xe9",
    )
    reply = await running.get("/api/brain/crm/")
    assert reply.all("Set-Cookie") == [
        "a=\xff\xfe; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/api/brain/crm",
        "__Host-b=1; Path=/; Secure",
    ]
    assert reply.header("Location") == "/api/brain/crm/caf\xe9"
    assert [name for name, _ in reply.fields[:4]] == [
        "Set-Cookie",
        "X-Between",
        "set-cookie",
        "Location",
    ]


@pytest.mark.parametrize(
    "value", ["/v2/x\rSet-Cookie: evil=1", "/v2/x\nSet-Cookie: evil=1", "/v2/x\0y"]
)
async def test_an_answer_is_not_split_by_what_an_upstream_puts_into_a_location(
    gateway: MakeGateway, upstream: RecordingUpstream, value: str
) -> None:
    running = await serving(gateway, upstream)
    upstream.answer = answer(f"Location: {value}")
    reply = await running.get("/api/brain/crm/x")
    assert reply.status == 502
    assert b"upstream_invalid_response" in reply.body
    assert b"evil" not in reply.raw_head + reply.body


async def test_keep_leaves_location_and_cookies_alone(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "location: keep", "cookies: keep")
    upstream.answer = answer("Location: /v2/x", "Set-Cookie: a=b; Domain=x; Path=/v2")
    reply = await running.get("/api/brain/crm/x")
    assert reply.header("Location") == "/v2/x"
    assert reply.header("Set-Cookie") == "a=b; Domain=x; Path=/v2"


async def test_strip_false_tells_the_path_that_the_client_would_use(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "strip: false")
    upstream.answer = answer("Location: /v2/api/brain/crm/x", "Set-Cookie: a=b; Path=/v2/y")
    reply = await running.get("/api/brain/crm/x")
    assert reply.header("Location") == "/api/brain/crm/x"
    assert reply.header("Set-Cookie") == "a=b; Path=/y"


@pytest.mark.parametrize(
    ("rule", "arrived"),
    [
        ("", ["a=1; session=2", "b=3"]),
        ("forward_cookies: all", ["a=1; session=2", "b=3"]),
        ("forward_cookies: none", []),
        ("forward_cookies: [session, x]", ["session=2"]),
        ("forward_cookies: [b, a]", ["a=1", "b=3"]),
    ],
)
async def test_cookies_go_to_an_upstream_as_the_file_says(
    gateway: MakeGateway, upstream: RecordingUpstream, rule: str, arrived: list[str]
) -> None:
    running = await serving(gateway, upstream, rule)
    await running.get("/api/brain/crm/x", "Cookie: a=1; session=2", "cookie: b=3")
    assert upstream.last.all("Cookie") == arrived
