"""Deliveries of Saleor on a real gateway, with keys from a server of its own."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream, Reply

BODY = b'{"event": {"issuedAt": "2027-01-15T08:00:00+00:00"}}'
TARGET = "/api/brain/shop/hooks"
KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(body: bytes = BODY, key: int = 0, kid: str = "1", **more: object) -> str:
    """Sign as Saleor does: the encoded header, a dot, the body as it is (RFC 7797)."""
    header = {"typ": "JWT", "alg": "RS256", "kid": kid, "b64": False, **more}
    part = encoded(json.dumps(header).encode())
    made = KEYS[key].sign(part.encode() + b"." + body, padding.PKCS1v15(), hashes.SHA256())
    return f"Saleor-Signature: {part}..{encoded(made)}"


def jwks(key: int = 0, kid: str = "1") -> bytes:
    numbers = KEYS[key].public_key().public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    found = {
        "kty": "RSA",
        "use": "sig",
        "key_ops": ["verify"],
        "kid": kid,
        "n": encoded(numbers.n.to_bytes(size, "big")),
        "e": encoded(numbers.e.to_bytes(3, "big")),
    }
    body = json.dumps({"keys": [found]}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.fixture
async def saleor() -> AsyncIterator[RecordingUpstream]:
    server = RecordingUpstream()
    server.answer = jwks()
    await server.start()
    yield server
    await server.close()


def config(upstream: RecordingUpstream, saleor: RecordingUpstream, more: str = "") -> str:
    url = f"{saleor.url}/.well-known/jwks.json"
    return f"""
version: 1
services:
  shop:
    upstream: "{upstream.url}"
    plugins: [{{webhook: {{provider: saleor, jwks_uri: "{url}"{more}}}}}]
"""


async def deliver(running: object, header: str, body: bytes = BODY) -> Reply:
    return await running.get(TARGET, header, method="POST", body=body)  # type: ignore[attr-defined]


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["code"]


async def test_what_saleor_signs_goes_on_byte_for_byte(
    gateway: MakeGateway, upstream: RecordingUpstream, saleor: RecordingUpstream
) -> None:
    running = await gateway(config(upstream, saleor))
    for header in (signed(), signed(crit=["b64"])):
        assert (await deliver(running, header)).status == 200
        assert upstream.last.body == BODY
    assert code(await deliver(running, signed(b"other"))) == (401, "signature_invalid")
    assert code(await deliver(running, signed(alg="none"))) == (401, "signature_invalid")
    assert code(await deliver(running, signed(b64=True))) == (401, "signature_invalid")
    assert len(upstream.seen) == 2
    assert [seen.target for seen in saleor.seen] == ["/.well-known/jwks.json"]


async def test_the_same_question_may_come_twice_unless_the_file_says_otherwise(
    gateway: MakeGateway, upstream: RecordingUpstream, saleor: RecordingUpstream
) -> None:
    running = await gateway(config(upstream, saleor))
    for _ in range(2):
        assert (await deliver(running, signed())).status == 200
    strict = await gateway(config(upstream, saleor, ", replay: 10m"))
    assert (await deliver(strict, signed())).status == 200
    for header in (signed(), signed(crit=["b64"])):
        assert code(await deliver(strict, header)) == (409, "webhook_replayed")


async def test_a_key_that_was_replaced_under_its_name_is_found(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    saleor: RecordingUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks.FLOOR", 0.0)
    running = await gateway(config(upstream, saleor))
    assert (await deliver(running, signed())).status == 200
    saleor.answer = jwks(1)
    assert (await deliver(running, signed(key=1))).status == 200
    assert code(await deliver(running, signed())) == (401, "signature_invalid")


async def test_forged_signatures_fetch_the_keys_at_most_once_in_a_while(
    gateway: MakeGateway, upstream: RecordingUpstream, saleor: RecordingUpstream
) -> None:
    running = await gateway(config(upstream, saleor))
    forged = [deliver(running, signed(key=1, kid=str(number))) for number in range(20)]
    assert {reply.status for reply in await asyncio.gather(*forged)} == {401}
    assert len(saleor.seen) <= 2


async def test_without_keys_nobody_gets_in(
    gateway: MakeGateway, upstream: RecordingUpstream, saleor: RecordingUpstream
) -> None:
    saleor.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    running = await gateway(config(upstream, saleor))
    assert code(await deliver(running, signed())) == (503, "keys_unavailable")
    ready = json.loads((await running.admin("/ready")).body)
    assert "can't be fetched" in json.dumps(ready)
    assert upstream.seen == []
