"""jwt on a real gateway: what a caller gets, what the upstream sees, how the file is shown."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.keykit import KeyServer
from tests.functional.kit import RecordingUpstream, Reply
from tests.plugins.tokens import ISSUER, jwks, pem, rsa, token


def fresh(**more: object) -> str:
    now = int(time.time())
    return token(**{"iat": now, "exp": now + 300, **more})  # type: ignore[arg-type]


def bearer(text: str) -> str:
    return f"Authorization: Bearer {text}"


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["code"]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "issuer.pem"
    path.write_text(pem(rsa()))
    return path


def by_key(upstream: RecordingUpstream, key_file: Path, more: str = "") -> str:
    return f"""
        version: 1
        plugins:
          - jwt: {{issuer: "{ISSUER}", audience: brain, key_file: "{key_file}"{more}}}
        services:
          echo: "{upstream.url}"
        """


async def test_a_token_lets_in_and_goes_no_further(
    gateway: MakeGateway, upstream: RecordingUpstream, key_file: Path
) -> None:
    running = await gateway(by_key(upstream, key_file))
    for _ in range(3):
        assert (await running.get("/api/brain/echo/x", bearer(fresh()))).status == 200
        assert upstream.last.header("Authorization") is None
    refused = await running.get("/api/brain/echo/x")
    assert code(refused) == (401, "credentials_missing")
    assert refused.header("WWW-Authenticate") == 'Bearer realm="brain"'


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"exp": 1}, "token_expired"),
        ({"nbf": int(time.time()) + 3600}, "token_not_yet_valid"),
        ({"iss": "https://evil.example/"}, "token_issuer_unknown"),
        ({"aud": "other"}, "token_audience_wrong"),
        ({"sub": None}, "token_invalid"),
    ],
)
async def test_a_bad_one_is_told_by_its_code(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    key_file: Path,
    claims: dict[str, object],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await gateway(by_key(upstream, key_file))
    text = fresh(**claims)
    reply = await running.get("/api/brain/echo/x", bearer(text))
    assert code(reply) == (401, told)
    assert reply.header("WWW-Authenticate") == 'Bearer realm="brain", error="invalid_token"'
    assert upstream.seen == []
    assert text not in caplog.text


async def test_a_key_file_is_followed_and_a_bad_one_changes_nothing(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plugins.jwt.sources.LOOK_EVERY", 0.02)
    running = await gateway(by_key(upstream, key_file))
    old, new = bearer(fresh()), bearer(fresh(key=rsa("two")))
    assert (await running.get("/api/brain/echo/x", old)).status == 200
    key_file.write_text("no key")
    while b"no public key" not in (await running.admin("/ready")).body:
        pass
    assert (await running.get("/api/brain/echo/x", old)).status == 200
    key_file.write_text(pem(rsa("two")))
    while (await running.get("/api/brain/echo/x", new)).status != 200:
        pass
    # What the old key has verified is forgotten with it.
    assert code(await running.get("/api/brain/echo/x", old)) == (401, "token_invalid")


async def test_an_issuer_that_is_away_keeps_others_served_and_comes_back(
    gateway: MakeGateway, upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks._RETRY_FIRST", 0.05)
    monkeypatch.setattr("proxy.plugin.jwks._RETRY_MOST", 0.05)
    port = unused_port()
    issuer = f"http://127.0.0.1:{port}/app/"
    running = await gateway(
        f"""
        version: 1
        plugins: [{{jwt: {{issuer: "{issuer}", audience: brain}}}}]
        services:
          echo: "{upstream.url}"
          open: {{upstream: "{upstream.url}", public: true}}
        """
    )
    sent = bearer(fresh(iss=issuer))
    assert code(await running.get("/api/brain/echo/x", sent)) == (503, "keys_unavailable")
    assert code(await running.get("/api/brain/echo/x")) == (401, "credentials_missing")
    assert (await running.get("/api/brain/open/x")).status == 200
    ready = json.loads((await running.admin("/ready")).body)
    assert ready["status"] == "degraded"
    assert "can't be fetched" in json.dumps(ready)
    assert await running.reload() is None
    app = web.Application()
    told = {"issuer": issuer, "jwks_uri": f"{issuer}keys"}
    app.router.add_get("/app/.well-known/openid-configuration", says(json.dumps(told)))
    app.router.add_get("/app/keys", says(jwks(rsa(), use="sig")))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        while (await running.get("/api/brain/echo/x", sent)).status != 200:
            pass
        ready = json.loads((await running.admin("/ready")).body)
        assert ready["status"] == "ok"
    finally:
        await runner.cleanup()


def says(text: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=text)

    return handler


async def test_an_issuer_that_calls_itself_another_is_told_by_both_names(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    issuer = KeyServer(rsa())
    await issuer.start()
    name = issuer.issuer.removesuffix("/")
    try:
        running = await gateway(
            f"""
            version: 1
            plugins: [{{jwt: {{issuer: "{name}", audience: brain}}}}]
            services: {{echo: "{upstream.url}"}}
            """
        )
        ready = (await running.admin("/ready")).body.decode()
    finally:
        await issuer.stop()
    assert f"the keys of {name} can't be fetched: it calls itself '{name}/'" in ready


async def test_a_profile_is_shown_written_out(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins:
          - jwt: {{profile: authentik, issuer: "${{SSO:-http://127.0.0.1:1/o/brain/}}", audience: brain}}
        services: {{echo: "{upstream.url}"}}
        """
    )
    shown = json.loads((await running.admin("/config")).body)
    (entry,) = shown["effective"]["plugins"]
    assert entry["jwt"]["jwks_uri"].endswith("/o/brain/}/jwks/")
    assert entry["jwt"]["issuer"].startswith("${SSO:-")
    assert entry["jwt"]["claims"]["tenant"] == ["tenant_id", "ak_tenant"]


async def test_without_an_audience_nothing_is_loaded(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    with pytest.raises(InvalidConfig, match="no audience says which are for this one"):
        await gateway(
            f"""
            version: 1
            plugins: [{{jwt: {{profile: authentik, issuer: "{ISSUER}"}}}}]
            services: {{echo: "{upstream.url}"}}
            """
        )


async def test_what_comes_before_the_first_keys_waits_for_them(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response(text=jwks(rsa(), use="sig"))

    app = web.Application()
    app.router.add_get("/keys", slowly)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    keys = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    try:
        began = time.perf_counter()
        running = await gateway(
            f"""
            version: 1
            plugins: [{{jwt: {{issuer: "{ISSUER}", audience: brain, jwks_uri: "{keys}"}}}}]
            services: {{echo: "{upstream.url}"}}
            """
        )
        assert time.perf_counter() - began < 0.45, "a start does not wait for keys"
        asked = [running.get("/api/brain/echo/x", bearer(fresh())) for _ in range(5)]
        assert [reply.status for reply in await asyncio.gather(*asked)] == [200] * 5
    finally:
        await runner.cleanup()
