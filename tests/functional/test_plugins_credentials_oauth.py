"""OAuth tokens on a real gateway, with a real OpenBao: one exchange for all, and nothing is lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from plugins.credentials.oauth import claims, held, trouble
from proxy.errors import ConfigError
from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.oauthkit import CLIENT, Api, TokenServer, ask, connected, kept, routes
from tests.functional.oidckit import Authority, unread
from tests.functional.oidckit import running as started
from tests.functional.test_plugins_access import code_of

RENEWING = ("renewing_until", "renewing_by")


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    made = TokenServer()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    await made.start()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _app(bao: Bao) -> None:
    bao.put("platform/app", client_id=CLIENT[0], client_secret=CLIENT[1])


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.fixture(autouse=True)
def _nothing_is_told(_all_is_logged: None, caplog: pytest.LogCaptureFixture) -> object:
    yield
    assert "s3same" not in "".join(
        record.getMessage() + str(record.exc_text) for record in caplog.get_records("call")
    )


async def written(bao: Bao, tenant: str) -> dict[str, str]:
    """Return what the store has, once no claim stands in it."""
    async with asyncio.timeout(5):
        while RENEWING[0] in (fields := kept(bao, tenant)) or "access_token" not in fields:
            await asyncio.sleep(0.02)
    return fields


async def test_a_token_is_got_written_back_and_sent(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "acme")
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    assert (await ask(running, "acme")).status == 200
    assert api.sent in server.good
    fields = await written(bao, "acme")
    assert fields["access_token"] == api.sent
    assert fields["refresh_token"] == server.grants["acme"]
    assert fields["account"] == "acme@example"
    assert abs(int(fields["expires_at"]) - time.time() - 3600) < 10
    assert (await ask(running, "acme")).status == 200
    assert server.exchanges == 1
    (asked,) = server.asked
    assert (asked["grant_type"], asked["client_id"]) == ("refresh_token", CLIENT[0])
    assert "s3same" not in (await running.admin("/metrics")).body.decode()


async def test_two_hundred_requests_at_its_end_make_one_exchange(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "many", access_token="s3same-0ld", expires_at=str(int(time.time()) - 1))
    server.delay = 0.2
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    replies = await asyncio.gather(*(ask(running, "many") for _ in range(200)))
    assert Counter(reply.status for reply in replies) == {200: 200}
    assert (server.exchanges, server.reused) == (1, 0)
    metrics = (await running.admin("/metrics")).body.decode()
    assert 'brain_oauth_renewals_total{credential="credentials",outcome="renewed"} 1.0' in metrics


async def test_three_gateways_with_one_store_make_one_exchange(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "shared")
    server.delay = 0.3
    text = routes(bao, server, api)
    several = [await gateway(text, VAULT_TOKEN=bao.root) for _ in range(3)]
    replies = await asyncio.gather(*(ask(each, "shared") for each in several for _ in range(5)))
    assert {reply.status for reply in replies} == {200}
    assert (server.exchanges, server.reused) == (1, 0)
    assert len({seen.header("Authorization") for seen in api.seen}) == 1


async def test_near_its_end_it_is_renewed_behind_requests_that_use_it(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    server.seconds = 3
    connected(bao, server, "soon")
    running = await gateway(routes(bao, server, api, early="30s"), VAULT_TOKEN=bao.root)
    await ask(running, "soon")
    first = api.sent
    server.seconds, server.delay = 3600, 1.0
    async with asyncio.timeout(5):
        while server.exchanges < 2:
            started = time.monotonic()
            assert (await ask(running, "soon")).status == 200
            assert time.monotonic() - started < 0.8
            assert api.sent == first
            await asyncio.sleep(0.02)
        while api.sent == first:
            assert (await ask(running, "soon")).status == 200
            await asyncio.sleep(0.02)
    assert (server.exchanges, server.reused) == (2, 0)


async def test_a_claim_whose_holder_died_is_taken_over_when_it_has_run_out(
    gateway: MakeGateway,
    bao: Bao,
    server: TokenServer,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "WATCHED", 0.3)
    until = int(time.time()) + 1
    connected(bao, server, "crashed", renewing_until=str(until), renewing_by="another")
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    assert (await ask(running, "crashed")).status == 200
    assert time.time() > until
    assert server.exchanges == 1
    assert set(RENEWING).isdisjoint(await written(bao, "crashed"))


async def test_who_waits_for_another_is_answered_in_time(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    until = str(int(time.time()) + 20)
    connected(bao, server, "waits", renewing_until=until, renewing_by="another")
    running = await gateway(routes(bao, server, api, timeout="300ms"), VAULT_TOKEN=bao.root)
    started = time.monotonic()
    reply = await ask(running, "waits")
    assert time.monotonic() - started < 1
    assert (reply.status, code_of(reply)) == (503, "secret_unavailable")
    assert reply.header("Retry-After")
    fields = kept(bao, "waits")
    bao.put(
        "tenants/waits/mail", **{**fields, "access_token": "s3same-theirs", "expires_at": until}
    )
    async with asyncio.timeout(5):
        while (await ask(running, "waits")).status != 200:
            await asyncio.sleep(0.1)
    assert api.sent == "s3same-theirs"
    assert server.exchanges == 0


# -- who refuses


async def test_a_grant_that_has_ended_has_to_be_connected_again(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "ended")
    server.grants.clear()
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    for _ in range(3):
        reply = await ask(running, "ended")
        assert (reply.status, code_of(reply)) == (424, "credential_rejected")
        assert "tenants" not in reply.body.decode()
    assert server.exchanges == 1
    assert set(RENEWING).isdisjoint(kept(bao, "ended"))
    assert not api.seen
    connected(bao, server, "ended")
    await running.reload()
    async with asyncio.timeout(3):
        while (await ask(running, "ended")).status != 200:
            await _refresh(running)
    assert server.exchanges == 2


async def _refresh(running: object) -> None:
    """Let the gateway read anew, as `brain secrets refresh` does."""
    secrets = running.host.gateway.snapshot.secrets  # type: ignore[attr-defined]
    await secrets.store().refresh("tenants/ended/mail")


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ((401, b'{"error": "invalid_client"}', {}), (424, "credential_rejected")),
        ((400, b'{"error": "unauthorized_client"}', {}), (424, "credential_rejected")),
        ((400, b'{"error": "invalid_scope"}', {}), (502, "credential_invalid")),
        ((429, b"slow down", {"Retry-After": "7"}), (503, "secret_unavailable")),
        ((500, b"s3same-trace", {}), (503, "secret_unavailable")),
        ((302, b"", {"Location": "http://127.0.0.1:1/"}), (503, "secret_unavailable")),
        ((200, b"<html>s3same", {}), (503, "secret_unavailable")),
        ((200, b"[" * 65000, {}), (503, "secret_unavailable")),
        ((200, b" " * 200_000, {}), (503, "secret_unavailable")),
        (
            (200, b'{"access_token": "s3same\\r\\nX: 1", "token_type": "Bearer"}', {}),
            (503, "secret_unavailable"),
        ),
        (
            (200, b'{"access_token": "s3same", "token_type": "mac"}', {}),
            (503, "secret_unavailable"),
        ),
    ],
)
async def test_an_answer_that_is_no_token_is_never_sent(
    gateway: MakeGateway,
    bao: Bao,
    server: TokenServer,
    api: Api,
    answer: tuple[int, bytes, dict[str, str]],
    refused: tuple[int, str],
) -> None:
    connected(bao, server, "garbage")
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    server.next.append(answer)
    for _ in range(3):
        reply = await ask(running, "garbage")
        assert (reply.status, code_of(reply)) == refused
        assert "s3same" not in reply.body.decode()
    if answer[0] == 429:
        assert int(reply.header("Retry-After") or 0) in (6, 7)
    assert server.exchanges == 1
    assert not api.seen


async def test_a_server_that_is_down_is_asked_again_when_it_is_back(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "_PAUSES", (0.1, 0.1))
    connected(bao, server, "down")
    await server.stop()
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    reply = await ask(running, "down")
    assert (reply.status, code_of(reply)) == (503, "secret_unavailable")
    await server.start()
    async with asyncio.timeout(3):
        while (await ask(running, "down")).status != 200:
            await asyncio.sleep(0.05)
    assert (server.exchanges, server.reused) == (1, 0)


async def test_a_server_that_hangs_holds_nobody_for_longer_than_was_said(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "hangs")
    server.delay = 1.2
    running = await gateway(routes(bao, server, api, timeout="200ms"), VAULT_TOKEN=bao.root)
    started = time.monotonic()
    reply = await ask(running, "hangs")
    assert (reply.status, code_of(reply)) == (503, "secret_unavailable")
    assert time.monotonic() - started < 1.0
    await asyncio.sleep(1.2)
    assert (await ask(running, "hangs")).status == 200
    assert (server.exchanges, server.reused) == (1, 0)


async def test_what_an_upstream_refuses_is_renewed_once_and_sent_again(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "refused")
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    await ask(running, "refused")
    await written(bao, "refused")
    server.good.clear()
    api.good = server.good
    api.seen.clear()
    replies = await asyncio.gather(*(ask(running, "refused") for _ in range(10)))
    assert {reply.status for reply in replies} == {200}
    assert len(api.seen) <= 20
    assert (server.exchanges, server.reused) == (2, 0)


async def test_callers_can_not_provoke_exchanges_without_end(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "provoked")
    api.good = set()
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    for _ in range(12):
        assert (await ask(running, "provoked")).status == 401
    assert server.exchanges == 1 + held.AGAIN_BURST
    assert len(api.seen) == 12 + held.AGAIN_BURST


async def test_a_token_that_both_refuse_has_ended(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "both")
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    await ask(running, "both")
    await written(bao, "both")
    api.good = set()
    server.grants.clear()
    assert (await ask(running, "both")).status == 401
    reply = await ask(running, "both")
    assert (reply.status, code_of(reply)) == (424, "credential_rejected")


# -- the store in trouble


async def test_what_could_not_be_written_is_used_and_written_later(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    connected(bao, server, "paused")
    server.delay = 0.4
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    asking = asyncio.ensure_future(ask(running, "paused"))
    async with asyncio.timeout(3):
        while not server.exchanges:
            await asyncio.sleep(0.01)
    bao.pause()
    try:
        assert (await asking).status == 200
        assert (await ask(running, "paused")).status == 200
        async with asyncio.timeout(5):
            while "can't be written" not in (await running.admin("/ready")).body.decode():
                await asyncio.sleep(0.05)
    finally:
        bao.resume()
    fields = await written(bao, "paused")
    assert fields["refresh_token"] == server.grants["paused"]
    assert (server.exchanges, server.reused) == (1, 0)
    assert "can't be written" in caplog.text
    await asyncio.sleep(0.1)
    assert "can't be written" not in (await running.admin("/ready")).body.decode()


async def test_who_connects_again_meanwhile_wins(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "again")
    server.delay = 0.3
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    asking = asyncio.ensure_future(ask(running, "again"))
    async with asyncio.timeout(3):
        while not server.exchanges:
            await asyncio.sleep(0.01)
    bao.put("tenants/again/mail", refresh_token="s3same-theirs", account="new")
    assert (await asking).status == 200
    await asyncio.sleep(0.3)
    assert kept(bao, "again") == {"refresh_token": "s3same-theirs", "account": "new"}


async def test_other_fields_that_change_meanwhile_are_kept(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "edited")
    server.delay = 0.3
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    asking = asyncio.ensure_future(ask(running, "edited"))
    async with asyncio.timeout(3):
        while not server.exchanges:
            await asyncio.sleep(0.01)
    bao.put("tenants/edited/mail", **{**kept(bao, "edited"), "account": "new"})
    assert (await asking).status == 200
    fields = await written(bao, "edited")
    assert (fields["account"], fields["refresh_token"]) == ("new", server.grants["edited"])


async def test_a_tenant_who_disconnects_meanwhile_stays_disconnected(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "gone")
    server.delay = 0.3
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    asking = asyncio.ensure_future(ask(running, "gone"))
    async with asyncio.timeout(3):
        while not server.exchanges:
            await asyncio.sleep(0.01)
    bao.delete("tenants/gone/mail")
    await asking
    await asyncio.sleep(0.3)
    with pytest.raises(Exception, match="404"):
        kept(bao, "gone")
    reply = await ask(running, "gone")
    assert (reply.status, code_of(reply)) == (424, "credential_missing")


async def test_what_is_under_way_at_the_end_is_written_before_it(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "stopping")
    server.delay = 0.4
    running = await gateway(routes(bao, server, api, timeout="100ms"), VAULT_TOKEN=bao.root)
    assert (await ask(running, "stopping")).status == 503
    assert server.exchanges == 1
    await running.stop()
    fields = kept(bao, "stopping")
    assert fields["refresh_token"] == server.grants["stopping"]
    assert set(RENEWING).isdisjoint(fields)


async def test_a_reload_meanwhile_loses_nothing(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "reload")
    server.delay = 0.3
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.root)
    asking = asyncio.ensure_future(ask(running, "reload"))
    await asyncio.sleep(0.1)
    assert await running.reload() is None
    assert (await asking).status == 200
    assert (await ask(running, "reload")).status == 200
    assert (server.exchanges, server.reused) == (1, 0)


# -- the client's own


async def test_a_client_gets_its_own_by_basic(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    text = routes(
        bao, server, api, grant="client_credentials", client="", client_auth="basic",
        scope='"mail.read mail.send"', parameters='{audience: "https://mail.example/"}',
    ).replace('"tenants/${principal.tenant}/mail"', "platform/app")  # fmt: skip
    running = await gateway(text, VAULT_TOKEN=bao.root)
    assert (await ask(running, "any")).status == 200
    assert api.sent in server.good
    (asked,) = server.asked
    assert asked["scope"] == "mail.read mail.send"
    assert asked["audience"] == "https://mail.example/"
    assert "client_secret" not in asked
    async with asyncio.timeout(3):
        while "access_token" not in bao.read("secret/data/platform/app")["data"]:
            await asyncio.sleep(0.02)


async def test_where_the_policy_lets_nothing_be_written_it_stays_in_memory(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    bao.policy("reads", 'path "secret/data/platform/app" { capabilities = ["read"] }')
    text = routes(bao, server, api, grant="client_credentials", client="").replace(
        '"tenants/${principal.tenant}/mail"', "platform/app"
    )
    running = await gateway(text, VAULT_TOKEN=bao.token("reads"))
    for _ in range(3):
        assert (await ask(running, "any")).status == 200
    assert server.exchanges == 1
    assert "access_token" not in bao.read("secret/data/platform/app")["data"]


async def test_a_refresh_token_that_may_not_be_written_is_not_used(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    connected(bao, server, "reader")
    bao.policy("reader", 'path "secret/data/*" { capabilities = ["read"] }')
    running = await gateway(routes(bao, server, api), VAULT_TOKEN=bao.token("reader"))
    reply = await ask(running, "reader")
    assert (reply.status, code_of(reply)) == (502, "secret_forbidden")
    assert server.exchanges == 0


async def test_a_store_that_can_not_be_written_keeps_no_refresh_token(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    text = routes(bao, server, api, client="")
    vault = text[text.index("          vault:") : text.index("        plugins:")]
    with pytest.raises(ConfigError, match="could be lost") as raised:
        await gateway(text.replace(vault, "          file: {path: .}\n"))
    assert "routes0.yaml:10:" in str(raised.value)


# -- Authlib's authorization server


async def test_a_real_server_rotates_refresh_tokens_for_several_gateways(
    gateway: MakeGateway, bao: Bao, server: TokenServer, api: Api
) -> None:
    async with started(Authority()) as issuer:
        given = await issuer.log_in("ada@acme", "brief")
        bao.put("platform/app", client_id="brief", client_secret="feirb")
        bao.put("tenants/real/mail", refresh_token=given["refresh_token"])
        url = f'"{issuer.told["token_endpoint"]}"'
        text = routes(bao, server, api, token_url=url, client_auth="basic", early="1s")
        several = [await gateway(text, VAULT_TOKEN=bao.root) for _ in range(2)]
        ends = time.monotonic() + 3.2
        while time.monotonic() < ends:
            for each in several:
                assert (await ask(each, "real")).status == 200
                claims_of = unread(api.sent)
                assert (claims_of["client_id"], claims_of["tenant_id"]) == ("brief", "acme")
                assert claims_of["exp"] >= int(time.time())
            await asyncio.sleep(0.05)
        assert (await written(bao, "real"))["refresh_token"] != given["refresh_token"]
        used = await issuer.ask_token(
            {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}, "brief"
        )
        assert (used["status"], used["error"]) == (400, "invalid_grant")
    assert len({seen.header("Authorization") for seen in api.seen}) >= 3
