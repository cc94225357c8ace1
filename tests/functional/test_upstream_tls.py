"""TLS to upstreams: verified, unless the file says otherwise; each failure is a 502 of one code."""

from __future__ import annotations

import asyncio
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Reply, Script

MakeSecure = Callable[[trustme.LeafCert], Awaitable[RecordingUpstream]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secure() -> AsyncIterator[MakeSecure]:
    """Make recording upstreams that show a certificate: `await secure(authority.issue_cert(…))`."""
    servers: list[RecordingUpstream] = []

    async def make(certificate: trustme.LeafCert) -> RecordingUpstream:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server = RecordingUpstream()
        await server.start(context)
        servers.append(server)
        return server

    yield make
    for server in servers:
        await server.close()


async def serving(gateway: MakeGateway, upstream: RawUpstream, tls: str) -> Gateway:
    return await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: {{url: "{upstream.url}", tls: {tls}}}, public: true}}
        """
    )


def code(reply: Reply) -> str:
    found = json.loads(reply.body)["code"]
    assert isinstance(found, str)
    return found


def written(authority: trustme.CA, folder: Path) -> Path:
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


async def test_a_certificate_of_the_named_authority_is_accepted(
    gateway: MakeGateway, secure: MakeSecure, authority: trustme.CA, tmp_path: Path
) -> None:
    server = await secure(authority.issue_cert("127.0.0.1"))
    running = await serving(gateway, server, f"{{ca: {written(authority, tmp_path)}}}")
    assert (await running.get("/api/brain/echo/")).status == 200
    assert server.last.header("Host") == f"127.0.0.1:{server.port}"


async def test_another_name_is_asked_for_where_the_file_says_so(
    gateway: MakeGateway, secure: MakeSecure, authority: trustme.CA, tmp_path: Path
) -> None:
    server = await secure(authority.issue_cert("inner.example"))
    ca = written(authority, tmp_path)
    named = await serving(gateway, server, f"{{ca: {ca}, server_name: inner.example}}")
    assert (await named.get("/api/brain/echo/")).status == 200
    unnamed = await serving(gateway, server, f"{{ca: {ca}}}")
    assert code(await unnamed.get("/api/brain/echo/")) == "upstream_tls_failed"


async def test_a_wrong_name_an_expired_and_an_unknown_certificate_are_502(
    gateway: MakeGateway, secure: MakeSecure, authority: trustme.CA, tmp_path: Path
) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    bad = {
        "wrong name": authority.issue_cert("other.example"),
        "expired": authority.issue_cert("127.0.0.1", not_after=yesterday),
        "unknown authority": trustme.CA().issue_cert("127.0.0.1"),
    }
    ca = written(authority, tmp_path)
    for what, certificate in bad.items():
        server = await secure(certificate)
        running = await serving(gateway, server, f"{{ca: {ca}}}")
        reply = await running.get("/api/brain/echo/")
        assert (reply.status, code(reply)) == (502, "upstream_tls_failed"), what
        assert b"certificate verify" not in reply.body, "what exactly is for the log"
        assert server.seen == []


async def test_without_an_authority_of_its_own_the_systems_roots_decide(
    gateway: MakeGateway, secure: MakeSecure, authority: trustme.CA
) -> None:
    server = await secure(authority.issue_cert("127.0.0.1"))
    running = await serving(gateway, server, "{}")
    assert code(await running.get("/api/brain/echo/")) == "upstream_tls_failed"


async def test_verification_can_be_turned_off(
    gateway: MakeGateway, secure: MakeSecure, authority: trustme.CA
) -> None:
    server = await secure(authority.issue_cert("other.example"))
    running = await serving(gateway, server, "{verify: false}")
    assert (await running.get("/api/brain/echo/")).status == 200


async def test_an_upstream_that_speaks_no_tls_is_502(
    gateway: MakeGateway, raw_upstream: Callable[[Script], Awaitable[RawUpstream]]
) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(16)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    server = await raw_upstream(plain)
    server.url = server.url.replace("http:", "https:")
    running = await serving(gateway, server, "{verify: false}")
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, code(reply)) == (502, "upstream_tls_failed")


async def test_a_renewed_authority_counts_after_a_reload(
    gateway: MakeGateway, secure: MakeSecure, authority: trustme.CA, tmp_path: Path
) -> None:
    fresh = trustme.CA()
    server = await secure(fresh.issue_cert("127.0.0.1"))
    ca = written(authority, tmp_path)
    running = await serving(gateway, server, f"{{ca: {ca}}}")
    assert code(await running.get("/api/brain/echo/")) == "upstream_tls_failed"
    written(fresh, tmp_path)
    assert await running.reload() is None
    assert (await running.get("/api/brain/echo/")).status == 200
