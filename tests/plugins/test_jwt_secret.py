"""jwt with an issuer that signs by a secret: what the store says counts at once, and for it alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import OctKey

from plugins.jwt import Jwt
from proxy import ConfigError, Unavailable
from proxy.testing import call, running
from proxy.testing.store import TestSecrets
from tests.plugins.tokens import ISSUER, NOW, claims, pem, rsa, signed, token

OLD = "https://old.example.com/"
SECRET, NEXT = "s" * 32, "n" * 40
OPTIONS: Mapping[str, Any] = {
    "issuer": ISSUER,
    "audience": "brain",
    "key": pem(rsa()),
    "issuers": [
        {"issuer": OLD, "audience": "brain", "secret": {"secret": "gateway/old", "field": "key"}}
    ],
}


class Frozen(Jwt):
    """At a time that does not pass."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, now=lambda: NOW)


def old(secret: str = SECRET, **header: str) -> str:
    payload = json.dumps(claims(iss=OLD)).encode()
    return signed({"alg": "HS256", **header}, payload, OctKey.import_key(secret))


async def told(plugin: Jwt, text: str) -> str:
    """Return the code that a token gets, "" where it is let in."""
    called = await call(plugin, headers={"Authorization": f"Bearer {text}"})
    return "" if called.answer.error is None else called.answer.error.code


async def until(plugin: Jwt, text: str, code: str) -> None:
    async with asyncio.timeout(5):
        while await told(plugin, text) != code:
            await asyncio.sleep(0.01)


async def test_a_secret_that_is_taken_back_lets_nobody_in_who_was_known_by_it() -> None:
    store = {"gateway/old": {"key": SECRET}}
    async with running(Frozen, OPTIONS, store=store) as plugin:
        assert await told(plugin, old()) == ""
        del store["gateway/old"]
        await until(plugin, old(), "keys_unavailable")
        assert "gateway/old#key" in str(await plugin.ready())
        assert await told(plugin, token()) == ""
        store["gateway/old"] = {"key": SECRET}
        await until(plugin, old(), "")
        assert await plugin.ready() is None


async def test_a_new_secret_is_used_at_once_and_forgets_what_the_old_one_verified() -> None:
    store = {"gateway/old": {"key": SECRET}}
    async with running(Frozen, OPTIONS, store=store) as plugin:
        assert await told(plugin, old()) == ""
        store["gateway/old"] = {"key": NEXT}
        await until(plugin, old(NEXT), "")
        assert await told(plugin, old()) == "token_invalid"


async def test_a_new_secret_that_could_be_guessed_is_not_used() -> None:
    store = {"gateway/old": {"key": SECRET}}
    async with running(Frozen, OPTIONS, store=store) as plugin:
        assert await told(plugin, old()) == ""
        store["gateway/old"] = {"key": "short"}
        await until(plugin, old(), "keys_unavailable")
        assert "under 32 bytes" in str(await plugin.ready())
        assert await told(plugin, token()) == ""


@pytest.mark.parametrize("store", [{"gateway/old": {"key": "short"}}, {}])
async def test_a_secret_that_is_none_refuses_the_load(store: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError):
        async with running(Frozen, OPTIONS, store=store):
            pass


async def test_a_store_that_is_away_keeps_no_other_issuer_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bind, away = TestSecrets.bind, True

    async def gone(self: TestSecrets, reference: Any) -> Any:
        if away:
            raise Unavailable(f"secret {reference}: the store is away", code="secret_unavailable")
        return await bind(self, reference)

    monkeypatch.setattr(TestSecrets, "bind", gone)
    monkeypatch.setattr("plugins.jwt.shared.AGAIN", 0.02)
    async with running(Frozen, OPTIONS, store={"gateway/old": {"key": SECRET}}) as plugin:
        assert await told(plugin, token()) == ""
        assert await told(plugin, old()) == "keys_unavailable"
        assert "the store is away" in str(await plugin.ready())
        away = False
        await until(plugin, old(), "")
        assert await plugin.ready() is None
