"""Tokens of seconds under a steady load: renewed, exchanged, and never missed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.loadkit import load
from tests.functional.vaultkit import Entry, ask, calling, routes, write_keys

TENANTS = [f"life-{number}" for number in range(10)]


@pytest.mark.parametrize(
    "seconds",
    [13.0, pytest.param(60.0, marks=[pytest.mark.soak, pytest.mark.timeout(120)], id="long")],
)
async def test_tokens_of_four_seconds_with_a_maximum_of_eight_fail_nobody(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path, seconds: float
) -> None:
    """Each lives for six to eight seconds: renewed until that adds nothing, then exchanged."""
    write_keys(bao, TENANTS)
    entry = Entry.made(bao, tmp_path, ttl="4s", max_ttl="8s")
    bao.forget_requests()
    running = await gateway(routes(entry.section(), upstream.url))
    make = lambda number: calling(TENANTS[number % len(TENANTS)])  # noqa: E731
    async with load(running, rate=100, make=make) as seen:
        await asyncio.sleep(seconds)
    assert seen.failures() == []
    assert len(seen.outcomes) > 60 * seconds
    assert max(one.seconds for one in seen.outcomes) < 0.5
    keys = {one.header("Authorization") for one in upstream.seen}
    assert keys == {f"Token key-of-{tenant}" for tenant in TENANTS}
    asked = bao.requests()
    assert sum(path.startswith("secret/data/") for _, path in asked) > len(TENANTS) * seconds * 0.7
    assert seconds / 8.0 <= bao.logins() <= seconds / 60.0 * 14.0 + 1
    assert ("update", "auth/token/renew-self") in asked


async def test_a_batch_token_is_exchanged_before_it_ends(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    write_keys(bao, TENANTS)
    entry = Entry.made(bao, tmp_path, ttl="2s", max_ttl="2s", token_type="batch")
    bao.forget_requests()
    running = await gateway(routes(entry.section(), upstream.url))
    async with load(running, rate=60, make=lambda _: calling(TENANTS[0])) as seen:
        await asyncio.sleep(3.2)
    assert seen.failures() == []
    assert 2 <= bao.logins() <= 5
    assert not [path for _, path in bao.requests() if path == "auth/token/renew-self"]


async def test_a_token_that_is_revoked_is_exchanged_within_the_request_that_notices(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    write_keys(bao, TENANTS)
    entry = Entry.made(bao, tmp_path)
    running = await gateway(routes(entry.section(), upstream.url))
    assert (await ask(running, TENANTS[0])).status == 200
    bao.forget_requests()
    for accessor in bao.call("LIST", "auth/token/accessors")["data"]["keys"]:
        found = bao.write("auth/token/lookup-accessor", accessor=accessor)["data"]
        if found["path"] == "auth/approle/login" and "test-a-token" in str(found["meta"]):
            bao.write("auth/token/revoke-accessor", accessor=accessor)
    replies = await asyncio.gather(*[ask(running, tenant) for tenant in TENANTS[1:]])
    assert {reply.status for reply in replies} == {200}
    assert bao.logins() == 1
