"""basic on a real gateway: passwords by the wire, and floods of wrong ones."""

from __future__ import annotations

import asyncio
import base64
import json
from time import perf_counter

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply
from tests.plugins.test_basic import PASSWORD, argon2

TOOL = "/api/brain/tool/x"


def sent(name: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["code"]


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    return await gateway(
        f"""
        version: 1
        secrets: {{env: {{prefix: TEST_}}}}
        services:
          tool:
            upstream: "{upstream.url}"
            plugins:
              - basic:
                  users: [{{name: ops, hash: {{secret: tools, field: ops}}}}]
                  checks: 1
          open: {{upstream: "{upstream.url}", public: true}}
        """,
        TEST_TOOLS_OPS=argon2(),
    )


async def test_a_password_lets_in_and_goes_no_further(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    assert (await running.get(TOOL, sent("ops", PASSWORD))).status == 200
    assert upstream.last.header("Authorization") is None
    await running.get("/api/brain/open/x", sent("ops", PASSWORD))
    assert upstream.last.header("Authorization") is None
    refused = await running.get(TOOL, sent("ops", "wrong"))
    assert code(refused) == (401, "credentials_invalid")
    assert refused.header("WWW-Authenticate") == 'Basic realm="brain", charset="UTF-8"'
    assert code(await running.get(TOOL)) == (401, "credentials_missing")


async def test_a_flood_of_wrong_passwords_stops_nobody_else(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    assert (await running.get(TOOL, sent("ops", PASSWORD))).status == 200
    flood = [asyncio.ensure_future(running.get(TOOL, sent("ops", f"w{n}"))) for n in range(100)]
    await asyncio.sleep(0.05)
    began = perf_counter()
    assert (await running.get(TOOL, sent("ops", PASSWORD))).status == 200
    assert (await running.get("/api/brain/open/x")).status == 200
    assert not all(task.done() for task in flood), "both were answered while passwords are checked"
    assert perf_counter() - began < 5
    codes = {code(reply) for reply in await asyncio.gather(*flood)}
    assert codes == {(401, "credentials_invalid"), (503, "password_checks_busy")}


async def test_another_sites_page_does_not_act_with_a_remembered_password(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    good = sent("ops", PASSWORD)
    evil = await running.get(TOOL, good, "Origin: https://evil.example", method="POST", body=b"x")
    assert code(evil) == (403, "csrf_refused")
    own = await running.get(TOOL, good, "Origin: http://gateway.test", method="POST", body=b"x")
    assert own.status == 200


async def test_neither_name_nor_password_meets_a_log(
    running: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await running.get(TOOL, sent("ops", PASSWORD))
    await running.get(TOOL, sent("ops", "hush-hush"))
    assert "hush-hush" not in caplog.text
    assert PASSWORD not in caplog.text
    assert argon2() not in caplog.text
