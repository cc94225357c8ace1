"""One scrape of a real gateway on which everything has happened that an operator may see."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from tests.functional.baokit import Bao
from tests.functional.conftest import (
    MakeGateway,
    _near_clients,  # noqa: F401  fixtures are found by their names
    gateway,  # noqa: F401
    upstream,  # noqa: F401
)
from tests.functional.kit import Gateway, RecordingUpstream, request
from tests.functional.scraping import Scrape, scrape
from tests.functional.vaultkit import Entry

_BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_FOUND: list[Scrape] = []
"""The scrape, once it was made: it is only read."""

CONFIG = """
version: 1
gateway: {{tls: {{cert: {folder}/cert.pem, key: {folder}/key.pem}}}}
secrets: {secrets}
plugins: [metrics, {{rate-limit: {{limits: 1000/s, key: address}}}}]
services:
  shop:
    public: true
    retry: {{statuses: [503], budget: 0%, floor: 1}}
    upstream:
      targets: ["{good}", "{bad}"]
      health: {{path: /health, status: 200-599}}
      outliers: {{failures: 4}}
      breaker: {{failures: 3}}
  new:
    public: true
    upstream: "{good}"
    split: [{{upstream: "{good}/v2", share: 100%}}]
    mirror: {{upstream: "{good}/copy", share: 100%}}
  billing:
    public: true
    upstream: "{good}"
    plugins: [{{credentials: {{secret: platform/lago, headers: {{X-Key: "${{secret.key}}"}}}}}}]
  ads:
    public: true
    upstream: "{good}"
    plugins:
      - credentials:
          secret: platform/ads
          oauth: {{token_url: "http://127.0.0.1:1/token", grant: client_credentials}}
"""


@pytest.fixture
async def bad() -> AsyncIterator[RecordingUpstream]:
    """A target that answers 503."""
    server = RecordingUpstream()
    server.answer = _BAD
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def scraped(
    gateway: MakeGateway,  # noqa: F811
    upstream: RecordingUpstream,  # noqa: F811
    bad: RecordingUpstream,
    tmp_path: Path,
) -> Scrape:
    """What Prometheus reads after traffic that was good, bad, tried again, split, and for nobody."""
    if not _FOUND:
        authority = trustme.CA()
        leaf = authority.issue_cert("gateway.test")
        leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
        leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        with contextlib.ExitStack() as stack:
            bao = await asyncio.to_thread(stack.enter_context, Bao())
            bao.put("platform/lago", key="x")
            bao.put("platform/ads", client_id="x", client_secret="y")
            entry = await asyncio.to_thread(Entry.made, bao, tmp_path)
            running = await gateway(
                CONFIG.format(
                    folder=tmp_path, good=upstream.url, bad=bad.url, secrets=entry.section()
                )
            )
            _FOUND.append(await _after_traffic(running, authority))
    return _FOUND[0]


async def _after_traffic(running: Gateway, authority: trustme.CA) -> Scrape:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    paths = [*["/api/brain/shop/"] * 8, "/api/brain/new/", "/nowhere"]
    for path in paths:
        client = await running.client(ssl=context, server_hostname="gateway.test")
        client.send(request(path))
        await client.reply()
        client.close()
    async with asyncio.timeout(5.0):
        while not _complete(found := await scrape(running)):
            await asyncio.sleep(0.02)
    return found


def _complete(found: Scrape) -> bool:
    """Tell whether what happens behind the requests has happened."""
    looked = found.value("brain_event_loop_lag_seconds_count")
    checked, copied = "brain_target_health_checks_total", "brain_mirror_requests_total"
    return bool(looked and found.all(checked) and found.all(copied))
