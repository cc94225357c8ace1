"""TLS on the public listener: its certificate is renewed by a reload, and only by a good one."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest
import trustme

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def write(certificate: trustme.LeafCert, folder: Path) -> None:
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(p.bytes() for p in certificate.cert_chain_pems))


async def serving(gateway: MakeGateway, upstream: RecordingUpstream, folder: Path) -> Gateway:
    tls = f"{{cert: {folder}/cert.pem, key: {folder}/key.pem}}"
    return await gateway(
        f"""
        version: 1
        gateway: {{tls: {tls}, timeouts: {{tls_handshake: 200ms}}}}
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )


async def names(running: Gateway, authority: trustme.CA) -> set[str]:
    """Return the names in the certificate that a new client is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    authority.configure_trust(context)
    client = await running.client(ssl=context, server_hostname="gateway.test")
    shown = client.writer.get_extra_info("peercert")
    client.close()
    return {value for _, value in shown["subjectAltName"]}


async def test_it_serves_over_tls_and_says_so_upstream(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: trustme.CA, tmp_path: Path
) -> None:
    write(authority.issue_cert("gateway.test"), tmp_path)
    running = await serving(gateway, upstream, tmp_path)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    client = await running.client(ssl=context, server_hostname="gateway.test")
    client.send(request("/api/brain/echo/"))
    assert (await client.reply()).status == 200
    assert upstream.last.header("X-Forwarded-Proto") == "https"
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() in (None, "http/1.1")


async def test_a_reload_renews_the_certificate_and_leaves_open_connections_alone(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: trustme.CA, tmp_path: Path
) -> None:
    write(authority.issue_cert("one.test"), tmp_path)
    running = await serving(gateway, upstream, tmp_path)
    context = ssl.create_default_context()
    context.check_hostname = False
    authority.configure_trust(context)
    before = await running.client(ssl=context)
    assert await names(running, authority) == {"one.test"}
    write(authority.issue_cert("two.test"), tmp_path)
    assert await running.reload() is None
    assert await names(running, authority) == {"two.test"}
    before.send(request("/api/brain/echo/"))
    assert (await before.reply()).status == 200


async def test_files_that_do_not_belong_together_are_refused_and_the_old_ones_serve(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: trustme.CA, tmp_path: Path
) -> None:
    write(authority.issue_cert("one.test"), tmp_path)
    running = await serving(gateway, upstream, tmp_path)
    other = authority.issue_cert("two.test")
    (tmp_path / "cert.pem").write_bytes(other.cert_chain_pems[0].bytes())
    refusal = await running.reload()
    assert refusal is not None
    assert "no certificate and its key" in refusal
    assert await names(running, authority) == {"one.test"}
    (tmp_path / "key.pem").unlink()
    assert await running.reload() is not None
    assert await names(running, authority) == {"one.test"}


async def test_tls_can_not_go_while_running(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: trustme.CA, tmp_path: Path
) -> None:
    write(authority.issue_cert("one.test"), tmp_path)
    running = await serving(gateway, upstream, tmp_path)
    running.path.write_text(
        f'version: 1\nservices:\n  echo: {{upstream: "{upstream.url}", public: true}}\n'
    )
    refusal = await running.reload()
    assert refusal is not None
    assert "restart" in refusal


async def test_a_handshake_that_does_not_end_is_cut(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: trustme.CA, tmp_path: Path
) -> None:
    write(authority.issue_cert("one.test"), tmp_path)
    running = await serving(gateway, upstream, tmp_path)
    silent = await running.client()
    began = time.monotonic()
    assert await silent.closed()
    assert 0.15 < time.monotonic() - began < 1
    await asyncio.sleep(0)
