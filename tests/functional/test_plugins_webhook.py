"""webhook on a real gateway: signed deliveries as bytes on a socket."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest

from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.hookkit import ENVIRONMENT, SECRET, STORES, VALUES, hook
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Reply, request
from tests.functional.plugins_for_tests import HERE
from tests.functional.valkeykit import Server
from tests.plugins.tokens import ISSUER, pem, rsa, token

TARGET = "/api/brain/shop/hooks"
BODY = b'{"type": "invoice.paid", "text": "\xc3\xa4\xff\x00 "}\r\n'


def github(body: bytes = BODY, secret: str = SECRET) -> str:
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return f"X-Hub-Signature-256: sha256={made}"


def stripe(body: bytes = BODY, at: float = 0.0, secret: str = SECRET) -> str:
    when = int(time.time() + at)
    made = hmac.new(secret.encode(), b"%d." % when + body, hashlib.sha256).hexdigest()
    return f"Stripe-Signature: t={when},v1={made}"


TOKEN = f'{{use: "{HERE}:Token", as: token, with: {{header: Authorization}}}}'


def config(upstream: RawUpstream, entry: str, workers: str = "", outside: str = TOKEN) -> str:
    return f"""
version: 1
{STORES}
{workers}
plugins:
  - {outside}
services:
  shop:
    upstream: "{upstream.url}"
    routes:
      - match: {{path: /hooks}}
        plugins: [{entry}]
"""


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    return await gateway(config(upstream, hook("github")), **ENVIRONMENT)


async def deliver(running: Gateway, *headers: str, body: bytes = BODY) -> Reply:
    return await running.get(TARGET, *headers, method="POST", body=body)


async def refused(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, json.loads(reply.body)["code"]) == (status, code)


# -- what gets through


async def test_a_signed_body_goes_on_byte_for_byte(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    reply = await deliver(running, github(), "Content-Encoding: gzip", "Content-Type: a/b")
    assert reply.status == 200
    seen = upstream.last
    assert seen.body == BODY
    assert seen.header("Content-Length") == str(len(BODY))
    assert seen.header("Content-Encoding") == "gzip"
    assert seen.header("X-Hub-Signature-256") == github().partition(": ")[2]


async def test_a_chunked_body_is_verified_whole(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    head = request(TARGET, github(), "Transfer-Encoding: chunked", method="POST")
    client = await running.client()
    client.send(head)
    for byte in BODY:
        client.send(b"1\r\n%c\r\n" % byte)
        await asyncio.sleep(0)
    client.send(b"0\r\n\r\n")
    assert (await client.reply()).status == 200
    assert upstream.last.body == BODY


async def test_who_expects_a_100_gets_it_once_there_is_a_signature_to_check(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    more = ("Expect: 100-continue", f"Content-Length: {len(BODY)}")
    client = await running.client()
    client.send(request(TARGET, github(), *more, method="POST"))
    assert (await client.head()).status == 100
    client.send(BODY)
    assert (await client.reply()).status == 200
    assert upstream.last.body == BODY
    unsigned = await running.client()
    unsigned.send(request(TARGET, *more, method="POST"))
    await refused(await unsigned.reply(), 401, "credentials_missing")


async def test_the_principal_is_the_provider(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    entry = hook("stripe", name="billing", tenant="acme")
    headers = '{headers: {request: {set: {X-Who: "${principal.subject}/${principal.tenant}"}}}}'
    running = await gateway(config(upstream, f"{entry}, {headers}"), **ENVIRONMENT)
    assert (await deliver(running, stripe())).status == 200
    assert upstream.last.header("X-Who") == "billing/acme"


# -- what is refused


async def test_a_users_good_token_is_no_signature_and_a_signature_no_token(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    key_file = tmp_path / "issuer.pem"
    key_file.write_text(pem(rsa()))
    jwt = f'{{jwt: {{issuer: "{ISSUER}", audience: brain, key_file: "{key_file}"}}}}'
    running = await gateway(config(upstream, hook("github"), outside=jwt), **ENVIRONMENT)
    now = int(time.time())
    bearer = f"Authorization: Bearer {token(iat=now, exp=now + 300)}"
    reply = await deliver(running, bearer)
    await refused(reply, 401, "credentials_missing")
    assert reply.header("WWW-Authenticate") == 'Webhook realm="brain", header="X-Hub-Signature-256"'
    await refused(await deliver(running, bearer, github(b"x")), 401, "signature_invalid")
    assert (await running.get("/api/brain/shop/other", bearer)).status == 200
    unknown = await running.get("/api/brain/shop/other", github(b""))
    await refused(unknown, 401, "credentials_missing")
    assert [seen.target for seen in upstream.seen] == ["/other"]


@pytest.mark.parametrize(
    "headers",
    [
        [github(BODY + b" ")],
        [github(secret="whsec_other")],
        [github()[:-1]],
        [github().replace("sha256=", "")],
        [github(), github()],
        [github(), github(secret="whsec_other")],
    ],
)
async def test_a_wrong_signature_reaches_nobody(
    running: Gateway, upstream: RecordingUpstream, headers: list[str]
) -> None:
    await refused(await deliver(running, *headers), 401, "signature_invalid")
    assert upstream.seen == []


async def test_one_changed_byte_on_the_way_reaches_nobody(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    changed = BODY.replace(b"paid", b"pAid")
    await refused(await deliver(running, github(), body=changed), 401, "signature_invalid")
    assert upstream.seen == []


@pytest.mark.parametrize("at", [-400, 400])
async def test_a_signature_of_another_time_is_refused_before_its_body_is_read(
    gateway: MakeGateway, upstream: RecordingUpstream, at: float
) -> None:
    running = await gateway(config(upstream, hook("stripe")), **ENVIRONMENT)
    more = ("Expect: 100-continue", f"Content-Length: {len(BODY)}")
    client = await running.client()
    client.send(request(TARGET, stripe(at=at), *more, method="POST"))
    await refused(await client.reply(), 401, "webhook_expired")
    assert upstream.seen == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    gateway: MakeGateway, upstream: RecordingUpstream, chunked: bool
) -> None:
    running = await gateway(config(upstream, hook("github", max_body="1KiB")), **ENVIRONMENT)
    client = await running.client()
    if chunked:
        client.send(request(TARGET, github(), "Transfer-Encoding: chunked", method="POST"))
        client.send(b"400\r\n" + b"x" * 1024 + b"\r\n2\r\nxx\r\n")
    else:
        client.send(request(TARGET, github(), "Content-Length: 1025", method="POST"))
    await refused(await client.reply(), 413, "body_too_large")
    assert upstream.seen == []
    exact = b"x" * 1024
    assert (await deliver(running, github(exact), body=exact)).status == 200


# -- replays


async def again(running: Gateway) -> Reply:
    """Deliver once more, as soon as the exchange before is over and the delivery forgotten."""
    async with asyncio.timeout(2):
        while (reply := await deliver(running, github())).status == 409:
            await asyncio.sleep(0.01)
    return reply


async def test_a_replayed_delivery_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(config(upstream, hook("stripe")), **ENVIRONMENT)
    signed = stripe()
    assert (await deliver(running, signed)).status == 200
    for again in (signed, signed.replace(",v1", ", v1"), signed + ",v0=00"):
        await refused(await deliver(running, again), 409, "webhook_replayed")
    # The provider's own next try is signed anew.
    assert (await deliver(running, stripe(at=-1))).status == 200
    assert len(upstream.seen) == 2


async def test_a_replay_does_not_get_through_while_the_first_is_under_way(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    upstream.hold = asyncio.Event()
    first = asyncio.ensure_future(deliver(running, github()))
    async with asyncio.timeout(2):
        while not upstream.seen:
            await asyncio.sleep(0.01)
    await refused(await deliver(running, github()), 409, "webhook_replayed")
    upstream.hold.set()
    assert (await first).status == 200
    assert len(upstream.seen) == 1


async def test_what_the_service_did_not_take_its_provider_may_send_again(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    good = upstream.answer
    upstream.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    for _ in range(2):
        assert (await again(running)).status == 500
    upstream.answer = good
    assert (await again(running)).status == 200
    await refused(await deliver(running, github()), 409, "webhook_replayed")
    assert len(upstream.seen) == 3


async def test_a_provider_that_left_before_the_answer_may_send_again(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    upstream.hold = asyncio.Event()
    client = await running.client()
    client.send(request(TARGET, github(), method="POST", body=BODY))
    async with asyncio.timeout(2):
        while not upstream.seen:
            await asyncio.sleep(0.01)
    client.close()
    upstream.hold.set()
    assert (await again(running)).status == 200
    assert len(upstream.seen) == 2


async def test_a_replay_is_known_after_a_reload(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    assert (await deliver(running, github())).status == 200
    assert await running.reload() is None
    await refused(await deliver(running, github()), 409, "webhook_replayed")


async def test_a_replay_at_another_gateway_is_known_by_the_shared_store(
    gateway: MakeGateway, upstream: RecordingUpstream, valkey: Server
) -> None:
    entry = hook("github", store={"valkey": valkey.url, "timeout": "1s"})
    one, other = [await gateway(config(upstream, entry), **ENVIRONMENT) for _ in range(2)]
    upstream.answer = upstream.answer.replace(b"200 OK", b"503 No")
    assert (await deliver(one, github())).status == 503
    upstream.answer = upstream.answer.replace(b"503 No", b"200 OK")
    assert (await again(other)).status == 200
    await refused(await deliver(one, github()), 409, "webhook_replayed")
    await valkey.kill()
    await refused(await deliver(one, github(b"2"), body=b"2"), 503, "store_unavailable")
    assert len(upstream.seen) == 2


async def test_several_workers_need_a_shared_store(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    workers = "gateway: {workers: 2}"
    with pytest.raises(InvalidConfig, match="the list of received deliveries"):
        await gateway(config(upstream, hook("github"), workers), **ENVIRONMENT)


# -- secrets


async def test_a_secret_is_changed_without_losing_a_delivery(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(config(upstream, hook("stripe", ("one", "two"))), **ENVIRONMENT)
    assert (await deliver(running, stripe(secret=VALUES["one"]))).status == 200
    assert (await deliver(running, stripe(secret=VALUES["two"]), body=BODY)).status == 409
    assert (await deliver(running, stripe(b"2", secret=VALUES["two"]), body=b"2")).status == 200


async def test_neither_secret_nor_signature_meets_a_log(
    running: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await deliver(running, github())
    await deliver(running, github(secret="whsec_other"))
    assert SECRET not in caplog.text
    assert github()[-64:] not in caplog.text
