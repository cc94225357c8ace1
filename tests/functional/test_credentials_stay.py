"""Where an upstream's credential, and what it opens, must not get to: other hosts, callers, clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.tenantkit import ACME, TenantServer, answer
from tests.functional.test_plugins_access import bearer, code_of
from tests.functional.test_plugins_credentials import (
    ask,
    connect,
    kept,  # noqa: F401  a fixture is found by its name
    put,
    routes,
    shops,
)

SHARED = """- credentials:
                  secret: platform/ads
                  headers: {developer-token: "${secret.token}"}
                as: of-platform
              """


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("hosts", "status"), [("networks: [127.0.0.0/8]", 502), ("NAMED, networks: [127.0.0.0/8]", 200)]
)
async def test_what_all_callers_share_goes_to_no_host_that_one_of_them_names(
    gateway: MakeGateway,
    tenant: TenantServer,
    tenant_ca: Path,
    kept: Path,  # noqa: F811
    hosts: str,
    status: int,
    first: bool,
) -> None:
    put(kept / "platform/ads.yaml", "token: s3same-of-all")
    connect(kept, "acme", f"https://{ACME}:{tenant.port}/")
    text = shops(tenant, tenant_ca, hosts.replace("NAMED", "suffixes: [shops.example]"))
    own = "- credentials: {secret"
    text = (
        text.replace(own, SHARED + own)
        if first
        else text.replace("\n          \n", f"\n              {SHARED.rstrip()}\n", 1)
    )
    running = await gateway(text)
    reply = await ask(running)
    assert reply.status == status
    if status == 502:
        assert code_of(reply) == "credential_invalid"
        assert not tenant.seen
    else:
        assert tenant.last.header("developer-token") == "s3same-of-all"


async def test_an_answer_to_one_tenants_credential_is_nobody_elses(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    kept: Path,  # noqa: F811
) -> None:
    text = routes(upstream.url).replace("- access-log", "- cache")
    running = await gateway(text)
    for name in ("acme", "globex"):
        public = "Cache-Control: public, max-age=60"
        upstream.answer = answer("200 OK", public, body=f"of {name}".encode())
        assert (await ask(running, name)).body == f"of {name}".encode()


async def test_an_answer_to_a_credential_that_all_share_may_be_everyones(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    kept: Path,  # noqa: F811
) -> None:
    put(kept / "platform/cms.yaml", "key: s3same-of-all")
    options = 'secret: platform/cms, headers: {X-Key: "${secret.key}"}'
    running = await gateway(routes(upstream.url, options).replace("- access-log", "- cache"))
    upstream.answer = answer("200 OK", "Cache-Control: public, max-age=60", body=b"pages")
    for name in ("acme", "globex"):
        assert (await ask(running, name)).body == b"pages"
    assert len(upstream.seen) == 1


async def test_no_interim_answer_and_no_trailer_repeats_it(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    kept: Path,  # noqa: F811
) -> None:
    running = await gateway(routes(upstream.url))
    echo = b"X-Echo: Token s3same-of-acme\r\n"
    upstream.answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n" + echo + b"\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + echo + b"\r\n"
        b"2\r\nok\r\n0\r\nX-Trail: 1\r\n" + echo + b"\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    token = bearer(tenant="acme")
    writer.write(
        f"GET /api/brain/crm/x HTTP/1.1\r\nHost: a\r\n{token}\r\n"
        "TE: trailers\r\nConnection: close, TE\r\n\r\n".encode()
    )
    said = await reader.read()
    writer.close()
    assert b"103 Early Hints\r\nLink: </x>" in said
    assert b"X-Trail: 1" in said
    assert b"s3same" not in said
