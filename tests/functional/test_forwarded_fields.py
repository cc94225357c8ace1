"""Who the upstream is told came, and who may say so (semantics.md, row 10)."""

from __future__ import annotations

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request

SPOOFED = [
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Port: 666",
    "X-Forwarded-Server: evil",
    "X-Forwarded-Ssl: on",
    "X-Forwarded-Client-Cert: evil",
    "Forwarded: for=6.6.6.6;host=evil.example;proto=https",
    "X-Real-IP: 6.6.6.6",
    "X-Client-IP: 6.6.6.6",
    "True-Client-IP: 6.6.6.6",
    "CF-Connecting-IP: 6.6.6.6",
    "X-Original-URL: /admin",
    "X-Rewrite-URL: /admin",
    "X-Forwarded-For: 7.7.7.7",
]

IDENTITY = [
    "X-User-Id: root",
    "x-user-roles: admin",
    "X-Tenant-Id: other",
    "X-Auth-Request-User: root",
    "X-Forwarded-User: root",
    "X-Forwarded-Email: root@example",
    "X-Forwarded-Groups: admin",
    "X-Forwarded-Access-Token: x",
    "X_User_Id: root",
]


async def serving(gateway: MakeGateway, upstream: RecordingUpstream, trusted: str = "") -> Gateway:
    return await gateway(
        f"""
        version: 1
        gateway:
          trusted_proxies: [{trusted}]
        services:
          crm: {{upstream: "{upstream.url}/v2", public: true}}
        """
    )


def told(upstream: RecordingUpstream) -> dict[str, list[str]]:
    names = {name.lower() for name, _ in upstream.last.fields} - {"host", "x-brain-hops"}
    return {name: upstream.last.all(name) for name in names}


async def test_what_a_client_says_of_its_way_is_replaced(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    for _ in range(2):
        await running.get("/api/brain/crm/x", *SPOOFED, *IDENTITY)
        assert told(upstream) == {
            "x-forwarded-for": ["127.0.0.1"],
            "x-forwarded-proto": ["http"],
            "x-forwarded-host": ["gateway.test"],
            "x-forwarded-prefix": ["/api/brain/crm"],
            "forwarded": ["for=127.0.0.1;proto=http;host=gateway.test"],
        }
        assert b"6.6.6.6" not in upstream.last.raw_head
        assert b"evil" not in upstream.last.raw_head


async def test_a_trusted_proxy_is_believed_as_far_as_it_saw(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "127.0.0.0/8, 10.0.0.0/8")
    upstream.answer = b"HTTP/1.1 302 Found\r\nLocation: /v2/y\r\nContent-Length: 0\r\n\r\n"
    reply = await running.get(
        "/api/brain/crm/x",
        "X-Forwarded-For: 6.6.6.6, 203.0.113.9",
        "X-Forwarded-For: 10.1.1.1",
        "X-Forwarded-Proto: http, https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Host: asked.example:8443",
        "X-Forwarded-Prefix: /edge",
        "X-Real-IP: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        *IDENTITY,
    )
    assert told(upstream) == {
        "x-forwarded-for": ["203.0.113.9, 10.1.1.1, 127.0.0.1"],
        "x-forwarded-proto": ["https"],
        "x-forwarded-host": ["asked.example:8443"],
        "x-forwarded-prefix": ["/edge/api/brain/crm"],
        "forwarded": ['for=203.0.113.9;proto=https;host="asked.example:8443"'],
    }
    assert reply.header("Location") == "/edge/api/brain/crm/y"


async def test_a_trusted_proxy_may_speak_forwarded_alone(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "127.0.0.1")
    await running.get(
        "/api/brain/crm/x",
        'Forwarded: for=6.6.6.6, for="[2001:db8::7]:443";proto=https;host=a.example',
    )
    assert told(upstream) == {
        "x-forwarded-for": ["2001:db8::7, 127.0.0.1"],
        "x-forwarded-proto": ["https"],
        "x-forwarded-host": ["a.example"],
        "x-forwarded-prefix": ["/api/brain/crm"],
        "forwarded": ['for="[2001:db8::7]";proto=https;host=a.example'],
    }


@pytest.mark.parametrize(
    "odd",
    [
        ["X-Forwarded-For: junk", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: a b"],
        ["X-Forwarded-For: ", "X-Forwarded-Proto:", "X-Forwarded-Host: a;for=6.6.6.6"],
        ["X-Forwarded-Host: user@evil", "X-Forwarded-Prefix: //evil.example"],
        ["X-Forwarded-Host: \xff", "X-Forwarded-Prefix: /../x", "X-Forwarded-For: \xff"],
        ['Forwarded: for="', "X-Forwarded-Prefix: /a b"],
    ],
)
async def test_what_is_malformed_tells_nothing_even_from_a_trusted_proxy(
    gateway: MakeGateway, upstream: RecordingUpstream, odd: list[str]
) -> None:
    running = await serving(gateway, upstream, "127.0.0.1")
    assert (await running.get("/api/brain/crm/x", *odd)).status == 200
    assert told(upstream) == {
        "x-forwarded-for": ["127.0.0.1"],
        "x-forwarded-proto": ["http"],
        "x-forwarded-host": ["gateway.test"],
        "x-forwarded-prefix": ["/api/brain/crm"],
        "forwarded": ["for=127.0.0.1;proto=http;host=gateway.test"],
    }


async def test_two_clients_on_one_connection_of_a_trusted_proxy_are_not_mixed_up(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "127.0.0.1")
    client = await running.client()
    for address in ("203.0.113.1", "203.0.113.2", "203.0.113.1"):
        client.send(request("/api/brain/crm/x", f"X-Forwarded-For: {address}"))
        assert (await client.reply()).status == 200
        assert upstream.last.header("X-Forwarded-For") == f"{address}, 127.0.0.1"


async def test_a_host_predicate_hears_the_host_that_a_trusted_proxy_tells_and_no_other(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    for trusted, arrived in [("127.0.0.1", "/inner/x"), ("10.0.0.1", "/outer/x")]:
        running = await gateway(
            f"""
            version: 1
            gateway:
              trusted_proxies: [{trusted}]
            routes:
              - match: {{path: /x, host: inner.example}}
                upstream: {upstream.url}/inner
                public: true
              - {{match: {{path: /x}}, upstream: "{upstream.url}/outer", public: true}}
            """
        )
        await running.get("/x", "X-Forwarded-Host: inner.example")
        assert upstream.last.target == arrived
