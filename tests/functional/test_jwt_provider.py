"""jwt before real issuers: people log in, clients ask for themselves, and their tokens let them in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply
from tests.functional.oidckit import Authority, Issuer, Provider, running, unread

PATH = "/api/brain/crm/contacts"


@pytest.fixture
async def provider() -> AsyncIterator[Issuer]:
    async with running(Provider()) as issuer:
        yield issuer


@pytest.fixture
async def authority() -> AsyncIterator[Issuer]:
    async with running(Authority()) as issuer:
        yield issuer


async def in_front(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: Issuer, options: str
) -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins:
          - jwt: {{issuer: "{issuer.issuer}", {options}}}
          - identity-headers
        services:
          crm: "{upstream.url}"
        """
    )


async def ask(door: Gateway, token: str) -> Reply:
    return await door.get(PATH, f"Authorization: Bearer {token}", "X-Tenant-Id: umbrella")


async def told(door: Gateway, token: str) -> tuple[int, str]:
    reply = await ask(door, token)
    return reply.status, json.loads(reply.body)["code"]


# -- OpenID Connect: ID tokens


async def test_who_has_logged_in_is_let_in_by_the_id_token(
    gateway: MakeGateway, upstream: RecordingUpstream, provider: Provider
) -> None:
    door = await in_front(gateway, upstream, provider, "audience: portal")
    await provider.describe("kim", tenant_id="acme", groups=["Admin", "Partner"])
    tokens = await provider.log_in("kim")
    for _ in range(2):
        assert (await ask(door, tokens["id_token"])).status == 200
        assert upstream.last.all("X-User-Id") == ["kim"]
        assert upstream.last.all("X-Tenant-Id") == ["acme"]
        assert upstream.last.header("Authorization") is None
    # Its access token is a word that the provider alone understands.
    assert await told(door, tokens["access_token"]) == (401, "token_invalid")
    assert len(upstream.seen) == 2


async def test_a_login_elsewhere_opens_nothing(
    gateway: MakeGateway, upstream: RecordingUpstream, provider: Provider
) -> None:
    door = await in_front(gateway, upstream, provider, "audience: portal")
    game = await provider.log_in("kim", client="game")
    assert await told(door, game["id_token"]) == (401, "token_audience_wrong")
    async with running(Provider()) as other:
        there = await other.log_in("kim")
        assert await told(door, there["id_token"]) == (401, "token_issuer_unknown")
    assert upstream.seen == []


async def test_a_token_ends_while_it_is_remembered(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    async with running(Provider(lifetime=2)) as brief:
        door = await in_front(gateway, upstream, brief, "audience: portal, leeway: 0s")
        token = (await brief.log_in("kim"))["id_token"]
        assert (await ask(door, token)).status == 200
        async with asyncio.timeout(5):
            while (await ask(door, token)).status == 200:
                await asyncio.sleep(0.05)
        assert await told(door, token) == (401, "token_expired")


async def test_a_provider_that_comes_back_with_another_key_is_believed_and_its_old_one_forgotten(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks.FLOOR", 0.0)
    door = await in_front(gateway, upstream, provider, "audience: portal")
    old = (await provider.log_in("kim"))["id_token"]
    assert (await ask(door, old)).status == 200
    await provider.stop()
    assert (await ask(door, old)).status == 200, "keys outlive their issuer for a while"
    await provider.start()
    # It names its keys in no token: that a signature does not fit is all that tells of a new one.
    new = (await provider.log_in("kim"))["id_token"]
    assert (await ask(door, new)).status == 200
    assert await told(door, old) == (401, "token_invalid")


# -- OAuth 2.0: access tokens


async def test_who_has_logged_in_is_let_in_by_the_access_token(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: Authority
) -> None:
    door = await in_front(gateway, upstream, authority, "audience: brain, clients: [portal]")
    tokens = await authority.log_in("kim@acme")
    assert (await ask(door, tokens["access_token"])).status == 200
    assert upstream.last.all("X-User-Id") == ["kim@acme"]
    assert upstream.last.all("X-Tenant-Id") == ["acme"]
    # The ID token is for the portal alone.
    assert await told(door, tokens["id_token"]) == (401, "token_audience_wrong")
    stolen = await authority.log_in("kim@acme", code_verifier="x" * 48)
    assert (stolen["status"], stolen["error"]) == (400, "invalid_grant")


async def test_a_client_is_let_in_for_itself_and_has_no_tenant(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: Authority
) -> None:
    door = await in_front(gateway, upstream, authority, "audience: brain")
    tokens = await authority.for_itself("worker")
    assert (await ask(door, tokens["access_token"])).status == 200
    assert upstream.last.all("X-User-Id") == ["worker"]
    assert upstream.last.all("X-Tenant-Id") == []
    narrow = await in_front(gateway, upstream, authority, "audience: brain, clients: [portal]")
    assert await told(narrow, tokens["access_token"]) == (401, "token_invalid")


@pytest.mark.parametrize(
    ("client", "code"), [("late", "token_expired"), ("stranger", "token_audience_wrong")]
)
async def test_what_has_expired_or_is_for_others_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: Authority, client: str, code: str
) -> None:
    door = await in_front(gateway, upstream, authority, "audience: brain")
    tokens = await authority.for_itself(client)
    assert await told(door, tokens["access_token"]) == (401, code)
    assert upstream.seen == []


async def test_scopes_of_a_client_say_what_it_may(
    gateway: MakeGateway, upstream: RecordingUpstream, authority: Authority
) -> None:
    door = await gateway(
        f"""
        version: 1
        plugins:
          - jwt: {{issuer: "{authority.issuer}", audience: brain}}
          - authorize: {{allow: [{{scopes: [crm]}}]}}
        services: {{crm: "{upstream.url}"}}
        """
    )
    both = await authority.for_itself("worker", "crm cms")
    assert unread(both["access_token"])["scope"] == "crm cms"
    assert (await ask(door, both["access_token"])).status == 200
    other = await authority.for_itself("worker", "cms")
    assert await told(door, other["access_token"]) == (403, "scope_missing")
    assert len(upstream.seen) == 1
