"""Paths over the wire: matched on a canonical view, forwarded as sent (semantics.md, rows 1-3)."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream

WEBSOCKET = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
DIGEST = sha256(b"opensesame").hexdigest()


async def serving(gateway: MakeGateway, upstream: RecordingUpstream, *more: str) -> Gateway:
    """Run one public service `crm` whose upstream path is /v2, with further lines of options."""
    options = "".join(f"\n            {line}" for line in more)
    return await gateway(
        f"""
        version: 1
        services:
          crm:
            upstream: {upstream.url}/v2
            public: true{options}
        """
    )


AS_SENT = [
    ("/api/brain/crm", "/v2"),
    ("/api/brain/crm/", "/v2/"),
    ("/api/brain/crm?", "/v2?"),
    ("/api/brain/crm/x?", "/v2/x?"),
    ("/api/brain/crm/x??a=?", "/v2/x??a=?"),
    ("/api/brain/crm/%41%27%7e", "/v2/%41%27%7e"),
    ("/api/brain/crm/%zz/100%", "/v2/%zz/100%"),
    ("/api/brain/crm/%C3%a9/%e9", "/v2/%C3%a9/%e9"),
    ("/api/brain/crm/a;b=c/d,e:@!$&'()*+", "/v2/a;b=c/d,e:@!$&'()*+"),
    ("/api/brain/crm/%252e%252e/%252f", "/v2/%252e%252e/%252f"),
    ("/api/brain/crm/.../..a/a../.well-known", "/v2/.../..a/a../.well-known"),
    ("/%61pi/br%61in/%63rm/%78", "/v2/%78"),
    ("/api/brain/crm/x?q=../..&r=%2f%00&s=//&t=\\", "/v2/x?q=../..&r=%2f%00&s=//&t=\\"),
    ('/api/brain/crm/x?a+b=%20&c=[]{}|^`"<>', '/v2/x?a+b=%20&c=[]{}|^`"<>'),
]


async def test_path_and_query_are_forwarded_byte_for_byte(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    for sent, received in AS_SENT:
        # Twice: the second time the line is remembered.
        for _ in range(2):
            assert (await running.get(sent)).status == 200, sent
            assert upstream.last.target == received


ESCAPES = r"""
/.. /../admin /x/../../admin /./x /x/. /x/.. /. /x/./y /../ /../../../etc/passwd
/%2e%2e/admin /%2E%2E/admin /.%2e/admin /%2e./admin /%2e/x /x/%2e%2e /%2e%2e%2fadmin
/..%2fadmin /..%2Fadmin /x/..%2f..%2fadmin /x%2f..%2fadmin /x%2f%2e%2e%2f /%2f..%2f /x%2fy
/..\admin /x\..\admin /..%5cadmin /%2e%2e%5cadmin /x%5c..%5cy /\evil.example /x\y /x%5Cy
/..;/admin /..;v=1/admin /.;/x /%2e%2e;/admin /..%3b/admin /%2e%2e%3b/admin
//admin /x//y //../admin /x/..//y // /%2f /%5c
/x%00 /%00 /x%00.png /x%0d%0aX-Evil:1 /x%0a /x%09 /x%1f /x%7f
/x#y /#/../admin /x?#&admin=1 /x?a=1#b
/%c0%ae%c0%ae/admin /..%c0%afadmin /%c1%9c /%e0%80%ae%e0%80%ae/ /%f0%80%80%ae/
""".split()  # noqa: SIM905  a list of this length would hide its pattern


async def test_no_escape_from_the_authorised_path_reaches_the_upstream(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    assert len(ESCAPES) > 41
    running = await serving(gateway, upstream)
    for escape in ESCAPES:
        reply = await running.get("/api/brain/crm" + escape)
        assert (reply.status, b'"bad_path"' in reply.body) == (400, True), escape
        assert escape.encode() not in reply.body or len(escape) < 4
    assert upstream.seen == []


@pytest.mark.parametrize(
    "raw", [b"\0", b"\t", b"\x01", b"\x7f", b"\xc3\xa9", b"\xff", b" x", b"\r"]
)
async def test_a_raw_control_or_a_byte_above_ascii_in_the_path_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream, raw: bytes
) -> None:
    running = await serving(gateway, upstream)
    line = b"GET /api/brain/crm/a" + raw + b"b HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await running.ask(line)).status == 400
    assert upstream.seen == []


async def test_an_encoded_slash_passes_where_the_route_opts_in_and_dots_never_do(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(
        gateway,
        upstream,
        "routes: [{match: {path: '/files/{name}'}, allow_encoded_slash: true}]",
    )
    for sent in ("/files/a%2Fb", "/files/a%5cb", "/files/%2fa", "/files/a%2F"):
        assert (await running.get("/api/brain/crm" + sent)).status == 200, sent
        assert upstream.last.target == "/v2" + sent
    upstream.seen.clear()
    for sent in ("/files/..%2fb", "/files/a%2f..", "/files/a%2F%2e%2e%5cb", "/other/a%2fb"):
        assert (await running.get("/api/brain/crm" + sent)).status == 400, sent
    assert upstream.seen == []


@pytest.mark.parametrize(
    "path",
    ["/api/brain/crmx", "/api/brain/cr", "/api/brain/crm-2/x", "/api%2fbrain/crm", "/api/brain"],
)
async def test_a_prefix_ends_at_a_segment(
    gateway: MakeGateway, upstream: RecordingUpstream, path: str
) -> None:
    running = await serving(gateway, upstream)
    reply = await running.get(path)
    assert (reply.status, b'"no_route"' in reply.body) == (404, True)
    assert upstream.seen == []


async def test_strip_false_keeps_the_prefix(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "strip: false")
    await running.get("/api/brain/%63rm/x?y")
    assert upstream.last.target == "/v2/api/brain/%63rm/x?y"
    assert upstream.last.header("X-Forwarded-Prefix") is None


async def test_a_rewrite_replaces_what_matched_and_keeps_the_rest_byte_for_byte(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          crm:
            aliases: [django, /api/brain/crm-old/v1]
            upstream: {upstream.url}/v2
            public: true
            routes:
              - {{match: {{path: "/old/*"}}, rewrite: /new/place/}}
              - match: {{path: "/by/{{id}}"}}
                rewrite: /items/${{request.path.id}}/view
                allow_encoded_slash: true
              - {{match: {{path: "/said/*"}}, rewrite: "/tenants/${{request.header.x-t}}/"}}
        routes:
          - {{match: {{path: /graphql}}, upstream: service/crm, rewrite: /graphql/, public: true}}
        """
    )
    for sent, received in [
        ("/api/brain/crm/old", "/v2/new/place/"),
        ("/api/brain/crm/old/", "/v2/new/place/"),
        ("/api/brain/crm/%6fld/%78/?y=%27", "/v2/new/place/%78/?y=%27"),
        ("/api/brain/crm/by/4%3f2", "/v2/items/4%3F2/view"),
        ("/api/brain/crm/by/a%2fb%5c", "/v2/items/a%2Fb%5C/view"),
        ("/api/brain/django/by/7%252f", "/v2/items/7%252f/view"),
        ("/api/brain/crm-old/v1/by/7", "/v2/items/7/view"),
        ("/graphql?q", "/v2/graphql/?q"),
        ("/graphql/", "/v2/graphql/"),
    ]:
        assert (await running.get(sent)).status == 200, sent
        assert upstream.last.target == received
    await running.get("/api/brain/crm/said/x", "X-T: a b")
    assert upstream.last.target == "/v2/tenants/a%20b/x"


@pytest.mark.parametrize("value", ["..", ".", "", "a/b", "../..", "a\\b"])
async def test_no_value_of_the_client_makes_another_path_of_a_rewrite(
    gateway: MakeGateway, upstream: RecordingUpstream, value: str
) -> None:
    running = await serving(
        gateway,
        upstream,
        'routes: [{match: {path: "/said/*"}, rewrite: "/tenants/${request.header.x-t}/"}]',
    )
    assert (await running.get("/api/brain/crm/said/x", f"X-T: {value}")).status == 400
    assert (await running.get("/api/brain/crm/said/x")).status == 400
    assert upstream.seen == []


async def test_a_rewrite_by_principal_uses_who_was_authenticated(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          crm:
            upstream: {upstream.url}/v2
            plugins:
              - api-key:
                  keys:
                    - {{name: ada, tenant: t-1, sha256: "{DIGEST}"}}
            routes:
              - {{match: {{path: "/mine/*"}}, rewrite: "/tenants/${{principal.tenant}}/"}}
        """
    )
    assert (await running.get("/api/brain/crm/mine/x")).status == 401
    assert upstream.seen == []
    reply = await running.get("/api/brain/crm/mine/x%27?y=1", "X-Api-Key: opensesame")
    assert reply.status == 200
    assert upstream.last.target == "/v2/tenants/t%2D1/x%27?y=1"


async def test_a_request_that_its_route_can_not_forward_runs_the_chain_of_its_route(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          crm:
            upstream: {upstream.url}/v2
            websocket: false
            plugins:
              - headers: {{response: {{set: {{X-Service: crm}}}}}}
              - api-key: {{keys: [{{name: ada, sha256: "{DIGEST}"}}]}}
            routes:
              - {{match: {{path: "/said/*"}}, rewrite: "/tenants/${{request.header.x-t}}/"}}
        """
    )
    missing = "/api/brain/crm/said/x"
    refused = ("/api/brain/crm/y", "Connection: Upgrade", "Upgrade: websocket", *WEBSOCKET)
    for path, *fields in ((missing,), refused):
        assert (await running.get(path, *fields)).status == 401
        reply = await running.get(path, *fields, "X-Api-Key: opensesame")
        assert (reply.status, reply.header("X-Service")) == (400, "crm")
        assert b'"service": "crm"' in reply.body
    assert upstream.seen == []
