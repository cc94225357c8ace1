"""Whom the client asked for, and whom the upstream is told (semantics.md, rows 4 and 5)."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.functional import probe
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream

PATH = b"/api/brain/crm/x"


async def serving(gateway: MakeGateway, upstream: RecordingUpstream, *more: str) -> Gateway:
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


@pytest.mark.parametrize(
    ("target", "received", "host"),
    [
        (b"http://asked.example" + PATH + b"?q=%27", "/v2/x?q=%27", "asked.example"),
        (b"HTTP://asked.example:8080" + PATH, "/v2/x", "asked.example:8080"),
        (b"https://[2001:db8::1]:8443" + PATH, "/v2/x", "[2001:db8::1]:8443"),
    ],
)
async def test_an_absolute_target_is_reduced_and_its_authority_wins_over_host(
    gateway: MakeGateway, upstream: RecordingUpstream, target: bytes, received: str, host: str
) -> None:
    running = await serving(gateway, upstream, "host: preserve")
    reply = await running.ask(b"GET " + target + b" HTTP/1.1\r\nHost: other.example\r\n\r\n")
    assert reply.status == 200
    assert upstream.last.target == received
    assert upstream.last.all("Host") == [host]
    assert upstream.last.header("X-Forwarded-Host") == host


async def test_host_predicates_look_at_the_authority_that_was_asked_for(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        routes:
          - match: {{path: /x, host: inner.example}}
            upstream: {upstream.url}/inner
            public: true
          - {{match: {{path: /x}}, upstream: "{upstream.url}/outer", public: true}}
        """
    )
    for line, arrived in [
        (b"GET /x HTTP/1.1\r\nHost: inner.example", "/inner/x"),
        (b"GET http://inner.example/x HTTP/1.1\r\nHost: outer.example", "/inner/x"),
        (b"GET http://outer.example/x HTTP/1.1\r\nHost: inner.example", "/outer/x"),
        (b"GET /x HTTP/1.1\r\nX-Forwarded-Host: inner.example\r\nHost: o.example", "/outer/x"),
        (b"GET /x HTTP/1.0", "/outer/x"),
    ]:
        await running.ask(line + b"\r\n\r\n")
        assert upstream.last.target == arrived, line


@pytest.mark.parametrize(
    "target",
    [
        b"http://user:secret@a.example/x",
        b"http://a.example:99999/x",
        b"http://[::1/x",
        b"http://[:::]/x",
        b"http:///x",
        b"http://a.example\\@b.example/x",
        b"http://a,b/x",
        b"ftp://a.example/x",
        b"a.example/x",
        b"x",
        b"?x",
        b"http://a.example/../x",
        b"http://a.example//x",
    ],
)
async def test_an_odd_target_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream, target: bytes
) -> None:
    running = await serving(gateway, upstream)
    reply = await running.ask(b"GET " + target + b" HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert reply.status == 400
    assert b"secret" not in reply.body
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"http://a.example", 404), (b"http://a.example?x", 404), (b"https://a.example/", 404)],
)
async def test_an_absolute_target_without_a_path_is_the_root(
    gateway: MakeGateway, upstream: RecordingUpstream, target: bytes, status: int
) -> None:
    running = await serving(gateway, upstream)
    reply = await running.ask(b"GET " + target + b" HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert reply.status == status
    assert b'"no_route"' in reply.body


@pytest.mark.parametrize(
    "line", [b"CONNECT a.example:443", b"CONNECT a:1", b"TRACE /api/brain/crm/x"]
)
async def test_connect_and_trace_are_405_and_the_connection_ends(
    gateway: MakeGateway, upstream: RecordingUpstream, line: bytes
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    client.send(line + b" HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
    reply = await client.reply()
    assert (reply.status, b'"method_refused"' in reply.body) == (405, True)
    assert "GET" in (reply.header("Allow") or "")
    assert await client.closed()
    assert upstream.seen == []


async def test_options_star_is_answered_here(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(f"version: 1\nfallback: {{upstream: '{upstream.url}', public: true}}\n")
    client = await running.client()
    client.send(b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n")
    reply = await client.reply()
    assert (reply.status, reply.header("Content-Length")) == (204, None)
    assert "PATCH" in (reply.header("Allow") or "")
    assert upstream.seen == []
    client.send(b"OPTIONS /* HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert (await client.reply()).status == 200
    assert upstream.last.line == "OPTIONS /* HTTP/1.1"
    assert (await running.ask(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n")).status == 400


@pytest.mark.parametrize(
    ("option", "told"),
    [("", None), ("host: preserve", "asked.example:81"), ("host: fixed.example", "fixed.example")],
)
async def test_the_upstream_gets_its_own_host_or_what_the_file_says(
    gateway: MakeGateway, upstream: RecordingUpstream, option: str, told: str | None
) -> None:
    running = await serving(gateway, upstream, option)
    await running.ask(b"GET " + PATH + b" HTTP/1.1\r\nHost: asked.example:81\r\n\r\n")
    assert upstream.last.all("Host") == [told or f"127.0.0.1:{upstream.port}"]
    assert upstream.last.header("X-Forwarded-Host") == "asked.example:81"
    await running.ask(b"GET " + PATH + b" HTTP/1.0\r\n\r\n")
    assert upstream.last.all("Host") == [
        "fixed.example" if "fixed" in option else f"127.0.0.1:{upstream.port}"
    ]
    assert upstream.last.header("X-Forwarded-Host") is None


async def test_the_servers_name_and_certificate_follow_the_upstream_whatever_the_host(
    gateway: MakeGateway, tmp_path: object
) -> None:
    """The upstream proves to be localhost, which the preserved Host is not."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    server = RecordingUpstream()
    await server.start(context)
    path = f"{tmp_path}/ca.pem"
    authority.cert_pem.write_to_path(path)
    running = await gateway(
        f"""
        version: 1
        services:
          crm:
            upstream: {{url: "https://localhost:{server.port}", tls: {{ca: {path}}}}}
            host: preserve
            public: true
        """
    )
    reply = await running.ask(b"GET " + PATH + b" HTTP/1.1\r\nHost: asked.example\r\n\r\n")
    await server.close()
    assert reply.status == 200
    assert names == ["localhost"]
    assert server.last.header("Host") == "asked.example"


async def test_an_absolute_target_that_no_route_takes_is_known_by_its_own_path_and_authority(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [{{use: "tests.functional.probe:record", as: probe}}]
        services: {{crm: {{upstream: "{upstream.url}", public: true}}}}
        """
    )
    reply = await running.ask(
        b"GET http://asked.example/nowhere?q HTTP/1.1\r\nHost: other.example\r\n\r\n"
    )
    assert reply.status == 404
    (exchange,) = probe.FINISHED
    assert (exchange.path, exchange.client.host) == ("/nowhere", "asked.example")
