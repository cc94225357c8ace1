"""OAuth tokens in parts: what a server's answer is, what it is asked, which options can't be meant."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from plugins.credentials import Credentials
from plugins.credentials.oauth import client as asking
from plugins.credentials.oauth.answer import (
    MOST_SECONDS,
    Granted,
    Mistaken,
    Rejected,
    Unusable,
    granted,
)
from plugins.credentials.oauth.obtained import Obtained, seconds_of
from plugins.credentials.oauth.options import SCHEMA, settings_of
from proxy import GatewayError, SecretError
from proxy.plugin.options import convert
from proxy.testing import OptionsError, call, make, running
from tests.functional.oauthkit import CLIENT, TokenServer

GOOD = {"access_token": "s3same-a", "token_type": "Bearer"}
CANARY = "s3same"


def read(said: Any, status: int = 200, after: str = "", kind: str = "Bearer") -> Granted:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return granted(status, after, body, kind)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (GOOD, ("s3same-a", None, None)),
        ({**GOOD, "token_type": "bearer", "expires_in": 3599}, ("s3same-a", 3599.0, None)),
        ({**GOOD, "expires_in": "3599", "scope": "a b"}, ("s3same-a", 3599.0, None)),
        ({**GOOD, "expires_in": 59.5, "refresh_token": "r"}, ("s3same-a", 59.5, "r")),
        ({**GOOD, "expires_in": 10**40}, ("s3same-a", float(MOST_SECONDS), None)),
        ({**GOOD, "error": None, "refresh_token": None}, ("s3same-a", None, None)),
    ],
)
def test_a_token_is_taken(said: Mapping[str, Any], wanted: tuple[object, ...]) -> None:
    found = read(said)
    assert (found.access_token, found.seconds, found.refresh_token) == wanted
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, b""),
        (200, b"access_token=s3same&token_type=bearer"),
        (200, b"\xff\xfe"),
        (200, b"[" * 100_000),
        (200, b'{"access_token": "s3same", "token_type": "Bearer", "expires_in": NaN}'),
        (200, [GOOD]),
        (200, {}),
        (200, {**GOOD, "access_token": ""}),
        (200, {**GOOD, "access_token": 5}),
        (200, {**GOOD, "access_token": "a\nb"}),
        (200, {**GOOD, "access_token": "ä"}),
        (200, {**GOOD, "access_token": "a" * 40_000}),
        (200, {"access_token": "a"}),
        (200, {**GOOD, "token_type": "mac"}),
        (200, {**GOOD, "token_type": ["Bearer"]}),
        (200, {**GOOD, "expires_in": 0}),
        (200, {**GOOD, "expires_in": -5}),
        (200, {**GOOD, "expires_in": True}),
        (200, {**GOOD, "expires_in": "soon"}),
        (200, {**GOOD, "expires_in": [60]}),
        (200, {**GOOD, "refresh_token": ""}),
        (200, {**GOOD, "refresh_token": "r\r\n"}),
        (200, {"error": "bad_refresh_token", "error_description": CANARY}),
        (201, GOOD),
        (204, b""),
        (302, GOOD),
        (400, b"<html>s3same"),
        (400, {"error": f"s3same invalid_grant {CANARY}"}),
        (400, {"error": ["invalid_grant"]}),
        (403, {"error": "invalid_grant"}),
        (404, GOOD),
        (429, {"error": "invalid_grant"}),
        (500, {"error": "invalid_grant"}),
        (503, GOOD),
    ],
)
def test_what_is_no_token_is_none_and_is_not_repeated(status: int, said: Any) -> None:
    with pytest.raises(Unusable) as raised:
        read(said, status)
    assert CANARY not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_grant", Rejected),
        ("invalid_client", Rejected),
        ("unauthorized_client", Rejected),
        ("invalid_scope", Mistaken),
        ("invalid_request", Mistaken),
        ("unsupported_grant_type", Mistaken),
    ],
)
def test_a_refusal_is_told_by_its_code_alone(
    status: int, code: str, kind: type[SecretError]
) -> None:
    with pytest.raises(kind, match=code) as raised:
        read({"error": code, "error_description": CANARY, "error_uri": CANARY}, status)
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("after", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("-1", None), ("9" * 20, None)]
)
def test_how_long_to_wait_is_taken_from_the_server(after: str, seconds: float | None) -> None:
    with pytest.raises(Unusable) as raised:
        read(b"", 503, after)
    assert raised.value.retry_after == seconds


# -- what is asked


def settings(**more: Any) -> Any:
    given = {"token_url": "https://issuer.example/token", "grant": "refresh_token", **more}
    return settings_of(convert(SCHEMA, given))


FIELDS = {"client_id": "a:b c", "client_secret": "ü&=%", "refresh_token": "r+/="}


def test_basic_encodes_both_halves_as_a_form_does() -> None:
    """RFC 6749, 2.3.1: a colon in the client's id would else end it."""
    given = settings(client_auth="basic")
    headers, body = asking.request_of(given, asking.credentials_of(given, FIELDS, FIELDS))
    pair = b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
    assert pair == "a%3Ab+c:%C3%BC%26%3D%25"
    assert body == b"grant_type=refresh_token&refresh_token=r%2B%2F%3D"


def test_in_the_body_the_client_stands_beside_what_it_asks_for() -> None:
    given = settings(parameters={"audience": "https://a"}, scope="x y")
    headers, body = asking.request_of(given, asking.credentials_of(given, FIELDS, FIELDS))
    assert "Authorization" not in headers
    assert body == (
        b"audience=https%3A%2F%2Fa&grant_type=refresh_token&refresh_token=r%2B%2F%3D&scope=x+y"
        b"&client_id=a%3Ab+c&client_secret=%C3%BC%26%3D%25"
    )


def test_a_public_client_has_no_secret() -> None:
    given = settings(client_auth="none")
    fields = {"client_id": "app", "refresh_token": "r"}
    _, body = asking.request_of(given, asking.credentials_of(given, fields, fields))
    assert body == b"grant_type=refresh_token&refresh_token=r&client_id=app"


@pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
def test_without_one_of_its_fields_nothing_is_asked(name: str) -> None:
    fields = {key: value for key, value in FIELDS.items() if key != name}
    with pytest.raises(GatewayError) as raised:
        asking.credentials_of(settings(), fields, fields)
    assert raised.value.code == "credential_missing"


def test_nothing_shows_what_a_token_is_asked_for_with() -> None:
    shown = repr(asking.Credentials("id-s3same", "s3same", "s3same"))
    assert CANARY not in shown + repr(Obtained("s3same", 1, "s3same", frozenset()))


@pytest.mark.parametrize(
    ("text", "ended"),
    [("1700000000", False), ("", True), ("soon", True), ("1e9", True), ("-5", True), ("٣", True)],
)
def test_an_end_that_is_no_number_has_passed(text: str, ended: bool) -> None:
    assert (seconds_of({"expires_at": text}, "expires_at") < 0) == ended


# -- options

NEEDED = {"secret": "platform/mail"}


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"token_url": "http://issuer.example/token"}, "oauth.token_url"),
        ({"token_url": "http://10.0.0.5/token"}, "oauth.token_url"),
        ({"token_url": "http://2130706433/token"}, "oauth.token_url"),
        ({"token_url": "https://issuer.example:99999/token"}, "oauth.token_url"),
        ({"token_url": "https://u:p@issuer.example/token"}, "oauth.token_url"),
        ({"token_url": "https://[::1/token"}, "oauth.token_url"),
        ({"grant": "password"}, "oauth.grant"),
        ({"client": "platform/${principal.tenant}"}, "oauth.client"),
        ({"parameters": {"client_secret": "s3same"}}, "oauth.parameters.client_secret"),
        ({"timeout": "21s"}, "oauth.timeout"),
        ({"scope": "a  b"}, "oauth.scope"),
    ],
)
def test_options_that_can_not_be_meant_are_refused(more: Mapping[str, Any], at: str) -> None:
    given = {"token_url": "https://issuer.example/token", "grant": "refresh_token", **more}
    with pytest.raises(OptionsError) as raised:
        make(Credentials, {**NEEDED, "headers": {"X": "${secret.access_token}"}, "oauth": given})
    assert at in raised.value.problems


@pytest.mark.parametrize(
    "url",
    ["https://issuer.example/token?a=b", "http://localhost:1/t", "http://127.0.0.1:1", "http://[::1]:1/t"],
)  # fmt: skip
def test_addresses_that_secrets_may_be_sent_to(url: str) -> None:
    make(
        Credentials,
        Credentials.expand({**NEEDED, "oauth": {"token_url": url, "grant": "refresh_token"}}),
    )


def test_where_nothing_is_put_it_is_a_bearer_token() -> None:
    oauth: dict[str, Any] = {"token_url": "https://issuer.example/token", "grant": "refresh_token"}
    expanded = Credentials.expand({**NEEDED, "oauth": oauth})
    assert expanded["headers"] == {"Authorization": "Bearer ${secret.access_token}"}
    own = {**NEEDED, "oauth": oauth, "query": {"key": "${secret.access_token}"}}
    assert Credentials.expand(own) == own
    assert Credentials.expand(NEEDED) == NEEDED


# -- a store that can't be written


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    made = TokenServer()
    await made.start()
    yield made
    await made.stop()


def options(server: TokenServer, **more: Any) -> Mapping[str, Any]:
    oauth = {"token_url": server.url, "grant": "client_credentials", **more}
    return Credentials.expand({**NEEDED, "oauth": oauth})


async def test_the_clients_own_token_is_kept_in_memory(server: TokenServer) -> None:
    store = {"platform/mail": {"client_id": CLIENT[0], "client_secret": CLIENT[1]}}
    async with running(Credentials, options(server), store=store) as plugin:
        for _ in range(3):
            called = await call(plugin)
            assert (called.outgoing.header("Authorization") or "")[7:] in server.good
    assert server.exchanges == 1


async def test_another_secret_of_the_client_is_used_at_once(server: TokenServer) -> None:
    fields = {"client_id": CLIENT[0], "client_secret": "s3same-wr0ng"}
    store = {"platform/mail": fields}
    async with running(Credentials, options(server), store=store) as plugin:
        called = await call(plugin)
        assert called.answer.error is not None
        assert called.answer.error.code == "credential_rejected"
        fields["client_secret"] = CLIENT[1]
        while (called := await call(plugin)).answer.status == 424:
            pass
        assert called.reached == 1
    assert server.exchanges == 2


async def test_a_secret_that_is_rejected_does_not_refuse_the_file(server: TokenServer) -> None:
    store = {"platform/mail": {"client_id": CLIENT[0], "client_secret": "s3same-wr0ng"}}
    async with running(Credentials, options(server), store=store):
        assert server.exchanges == 1


async def test_a_refresh_token_is_never_put_on_a_request(server: TokenServer) -> None:
    store = {
        "platform/mail": {
            "client_id": CLIENT[0],
            "client_secret": CLIENT[1],
            "refresh_token": "s3same-r",
            "account": "a",
        }
    }
    headers = {"X-Token": "${secret.access_token}", "X-Id": "${secret.account}"}
    given = {**options(server), "headers": headers}
    async with running(Credentials, given, store=store) as plugin:
        called = await call(plugin)
        assert called.outgoing.header("X-Id") == "a"
    given = {**given, "headers": {"X-Token": "${secret.refresh_token}"}}
    with pytest.raises(Exception, match="has no 'refresh_token'"):
        async with running(Credentials, given, store=store):
            pass
