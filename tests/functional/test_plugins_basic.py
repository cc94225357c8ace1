"""basic on a real gateway: passwords by the wire, and floods of wrong ones."""

from __future__ import annotations

import asyncio
import base64
import json
from time import perf_counter

import pytest

from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply, request
from tests.plugins.test_basic import PASSWORD, argon2, by_bcrypt

TOOL, OPEN = "/api/brain/tool/x", "/api/brain/open/x"
FLOOD = 200
ZOE, HERS = "zo\u00eb", "p\u00e4ss:w:\u4e16"


def sent(name: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["code"]


def routes(upstream: RecordingUpstream, more: str = "checks: 1") -> str:
    return f"""
        version: 1
        secrets: {{env: {{prefix: TEST_}}}}
        services:
          tool:
            upstream: "{upstream.url}"
            plugins:
              - basic:
                  users:
                    - {{name: ops, hash: {{secret: tools, field: ops}}}}
                    - {{name: {ZOE}, hash: "{by_bcrypt(HERS)}"}}
                  {more}
          open: {{upstream: "{upstream.url}", public: true}}
        """


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    return await gateway(routes(upstream), TEST_TOOLS_OPS=argon2())


async def test_a_password_lets_in_and_goes_no_further(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    for name, password in (("ops", PASSWORD), (ZOE, HERS)):
        assert (await running.get(TOOL, sent(name, password))).status == 200
        assert upstream.last.header("Authorization") is None
        await running.get(OPEN, sent(name, password))
        assert upstream.last.header("Authorization") is None


@pytest.mark.parametrize("public", [TOOL, OPEN])
@pytest.mark.parametrize("value", ["basic {}", "BASIC   {}", "Basic\t{}"])
async def test_no_way_of_writing_it_brings_a_password_to_an_upstream(
    running: Gateway, upstream: RecordingUpstream, public: str, value: str
) -> None:
    written = value.format(base64.b64encode(f"ops:{PASSWORD}".encode()).decode())
    await running.get(public, f"Authorization: {written}")
    await running.get(public, f"Authorization: {written}", "authorization: Bearer x")
    await running.get(public, "Authorization: Bearer x", f"authorization: {written}")
    assert all(b"Bearer" not in seen.raw_head or public == OPEN for seen in upstream.seen)
    assert all(written.split()[1].encode() not in seen.raw_head for seen in upstream.seen)


async def test_all_others_hear_the_same(running: Gateway, upstream: RecordingUpstream) -> None:
    wrong = await running.get(TOOL, sent("ops", "wrong"))
    for headers in (
        [sent("nobody", PASSWORD)],
        [sent(ZOE, PASSWORD)],
        [sent("ops", PASSWORD + "\n")],
        [sent("ops", PASSWORD), sent("ops", PASSWORD)],
        [sent("ops", PASSWORD), "Authorization: Bearer x"],
        ["Authorization: Basic"],
    ):
        refused = await running.get(TOOL, *headers)
        assert code(refused) == code(wrong) == (401, "credentials_invalid")
        assert refused.header("WWW-Authenticate") == 'Basic realm="brain", charset="UTF-8"'
        assert json.loads(refused.body)["detail"] == json.loads(wrong.body)["detail"]
    assert code(await running.get(TOOL)) == (401, "credentials_missing")
    assert code(await running.get(TOOL, "Authorization: Bearer x")) == (401, "credentials_missing")
    assert upstream.seen == []


async def test_a_flood_of_wrong_passwords_stops_nobody_else(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    """Slowest of what others get, and who is answered at once: what is too much for the checks."""
    good = sent("ops", PASSWORD)
    assert (await running.get(TOOL, good)).status == 200
    flood = [asyncio.ensure_future(running.get(TOOL, sent("ops", f"w{n}"))) for n in range(FLOOD)]
    await asyncio.sleep(0.05)
    client = await running.client()
    slowest = 0.0
    while not all(task.done() for task in flood):
        for raw in (request(OPEN), request(TOOL, good)):
            began = perf_counter()
            client.send(raw)
            assert (await client.reply()).status == 200
            slowest = max(slowest, perf_counter() - began)
    assert 0 < slowest < 0.5
    replies = await asyncio.gather(*flood)
    busy = [reply for reply in replies if code(reply) == (503, "password_checks_busy")]
    assert {code(reply) for reply in replies if reply not in busy} == {(401, "credentials_invalid")}
    assert len(busy) > FLOOD / 2
    assert {reply.header("Retry-After") for reply in busy} == {"1"}
    assert all(json.loads(reply.body)["retryable"] for reply in busy)
    assert (await running.get(TOOL, good)).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_another_sites_page_does_not_act_with_a_remembered_password(
    running: Gateway, upstream: RecordingUpstream, method: str
) -> None:
    good = sent("ops", PASSWORD)
    assert (await running.get(TOOL, good)).status == 200
    for page in ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Origin: null"):
        evil = await running.get(TOOL, good, page, method=method, body=b"x")
        assert code(evil) == (403, "csrf_refused")
    assert len(upstream.seen) == 1
    own = await running.get(TOOL, good, "Origin: http://gateway.test", method=method, body=b"x")
    assert own.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_tool_may_write_for_it_says_nothing_of_a_page(
    running: Gateway, upstream: RecordingUpstream, method: str
) -> None:
    for _ in range(2):  # checked, and remembered
        reply = await running.get(TOOL, sent("ops", PASSWORD), method=method, body=b"x")
        assert reply.status == 200
        assert upstream.last.body == b"x"


async def test_neither_password_nor_hash_meets_a_log_or_a_page(
    running: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await running.get(TOOL, sent("ops", PASSWORD))
    await running.get(TOOL, sent("ops", "hush-hush"))
    await running.get(TOOL, sent("hush-name", "x"))
    page = (await running.admin("/config")).body.decode()
    assert "zo" in page
    secrets = ("hush", PASSWORD, argon2(), by_bcrypt(HERS))
    for secret in secrets:
        assert secret not in caplog.text
        assert secret not in page


async def test_a_new_file_ends_a_remembered_password(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    good = sent(ZOE, HERS)
    assert (await running.get(TOOL, good)).status == 200
    text = running.path.read_text()
    running.path.write_text(text.replace(by_bcrypt(HERS), by_bcrypt("new")))
    assert await running.reload() is None
    assert code(await running.get(TOOL, good)) == (401, "credentials_invalid")
    assert (await running.get(TOOL, sent(ZOE, "new"))).status == 200


@pytest.mark.parametrize("kept", ["plain", "$1$abcdefgh$abcdefghijklmnopqrstuv"])
async def test_a_stored_hash_that_is_none_refuses_the_load_with_a_remedy(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: str
) -> None:
    with pytest.raises(Exception, match="no hash of argon2id or bcrypt") as refused:
        await gateway(routes(upstream), TEST_TOOLS_OPS=kept)
    assert kept not in str(refused.value)


async def test_a_hash_in_the_file_that_is_none_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    text = routes(upstream).replace(by_bcrypt(HERS), "hunter2hunter2")
    with pytest.raises(InvalidConfig) as refused:
        await gateway(text, TEST_TOOLS_OPS=argon2())
    assert "python -c" in str(refused.value)
    assert "hunter2" not in str(refused.value)
