"""`jwt` by itself: which tokens are taken, whom they mean, what is remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey
from plugin_kit import Found, Kit

from plugins.jwt import Jwt
from proxy.testing import UNREACHED, OptionsError, call, make, running
from tests.plugins.tokens import ISSUER, NOW, claims, part, pem, rsa, signed, token

GOOD: Mapping[str, Any] = {"issuer": ISSUER, "audience": "brain", "key": pem(rsa())}


class Frozen(Jwt):
    """At a time that does not pass."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, now=lambda: NOW)


async def told(text: str, options: Mapping[str, Any] = GOOD, scheme: str = "Bearer ") -> str:
    """Return the code that a token gets, "" where it is let in."""
    called = await call(Frozen, options=options, headers={"Authorization": scheme + text})
    return "" if called.answer.error is None else called.answer.error.code


async def test_a_good_token_makes_a_principal() -> None:
    called = await call(
        Frozen,
        options=GOOD,
        headers={"Authorization": f"Bearer {token(scope='a b', name='Ada')}"},
    )
    caller = called.exchange.principal
    assert caller is not None
    assert (caller.subject, caller.tenant, caller.by) == ("ada", "acme", "Frozen")
    assert (caller.roles, caller.scopes) == ({"Admin"}, {"a", "b"})
    assert caller.claims["email"] == "ada@example.com"
    assert not caller.ambient
    assert called.outgoing.header("Authorization") is None


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])
async def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    assert await told(token(), scheme=scheme) == ""


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"aud": ["x", "brain"]}, ""),
        ({"aud": "other"}, "token_audience_wrong"),
        ({"aud": ["other"]}, "token_audience_wrong"),
        ({"aud": None}, "token_audience_wrong"),
        ({"aud": []}, "token_audience_wrong"),
        ({"aud": [["brain"]]}, "token_audience_wrong"),
        ({"aud": {"brain": 1}}, "token_audience_wrong"),
        ({"iss": ISSUER[:-1]}, "token_issuer_unknown"),
        ({"iss": ISSUER.upper()}, "token_issuer_unknown"),
        ({"iss": ISSUER.replace("https", "http")}, "token_issuer_unknown"),
        ({"iss": None}, "token_issuer_unknown"),
        ({"iss": [ISSUER]}, "token_issuer_unknown"),
        ({"exp": NOW - 29}, ""),
        ({"exp": NOW - 30}, "token_expired"),
        ({"exp": None}, "token_invalid"),
        ({"exp": str(NOW + 9)}, "token_invalid"),
        ({"exp": True}, "token_invalid"),
        ({"exp": 1e400}, "token_invalid"),
        ({"nbf": NOW + 30}, ""),
        ({"nbf": NOW + 31}, "token_not_yet_valid"),
        ({"iat": NOW + 31}, "token_not_yet_valid"),
        ({"iat": "now"}, "token_invalid"),
        ({"sub": None}, "token_invalid"),
        ({"sub": ""}, "token_invalid"),
        ({"sub": 7}, "token_invalid"),
        ({"tenant_id": ["acme"]}, "token_invalid"),
        ({"groups": {"Admin": 1}}, "token_invalid"),
        ({"groups": [1]}, "token_invalid"),
    ],
)
async def test_claims_are_judged(options: dict[str, Any], sent: str) -> None:
    payload = json.dumps(claims(**options)).encode()
    assert await told(signed({"alg": "RS256", "typ": "JWT"}, payload, rsa())) == sent


@pytest.mark.parametrize(
    ("options", "log"),
    [
        ({"aud": ["other", "x"]}, "the token is for other, x"),
        ({"aud": []}, "the token is for nobody"),
        (
            {"iss": ISSUER[:-1]},
            f"its iss has no slash at the end, unlike the listed issuer '{ISSUER}'",
        ),
        ({"iss": "https://x/\n"}, "its iss is 'https://x/\\n', and that issuer is not listed"),
    ],
)
async def test_the_log_says_whose_the_token_is_and_for_whom(
    options: dict[str, Any], log: str
) -> None:
    text = signed({"alg": "RS256"}, json.dumps(claims(**options)).encode(), rsa())
    called = await call(Frozen, options=GOOD, headers={"Authorization": f"Bearer {text}"})
    error = called.answer.error
    assert error is not None
    assert error.log == log
    assert log not in called.body.decode()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, None),
        ({"exp": NOW - 90}, "token_expired: the token has expired"),
        ({"aud": "other"}, "token_audience_wrong: the token is for other"),
        (
            {"iss": "https://x/"},
            "token_issuer_unknown: its iss is 'https://x/', and that issuer is not listed",
        ),
    ],
)
async def test_what_is_wrong_with_a_tokens_claims_is_explained(
    more: dict[str, Any], said: str | None
) -> None:
    exchange = (await call(Frozen, options=GOOD, optional=True)).exchange
    plugin = make(Frozen, GOOD)
    exchange.principal = plugin.principal_of(claims(**more))
    refused = [line.partition("401 ")[2] for line in plugin.explain(exchange) if "401" in line]
    assert refused == ([] if said is None else [said])
    exchange.principal = plugin.principal_of({"sub": "ada"})
    assert not any("401" in line for line in plugin.explain(exchange))


def resigned(header: dict[str, Any]) -> str:
    return signed({"alg": "RS256", **header}, json.dumps(claims()).encode(), rsa())


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/x"},
        {"jwk": rsa().as_dict(private=False)},
        {"x5c": ["MIIB"]},
        {"typ": "logout+jwt"},
        {"enc": "A256GCM"},
        {"zip": "DEF"},
    ],
)
async def test_a_header_that_brings_more_than_it_may_is_refused(header: dict[str, Any]) -> None:
    assert await told(resigned(header)) == "token_invalid"


@pytest.mark.parametrize(
    "header", [{"nonce": "x"}, {"ver": 1}, {"x5t": "abc"}, {"cty": "JWT"}, {"note": "x" * 2000}]
)
async def test_what_else_a_header_says_is_ignored(header: dict[str, Any]) -> None:
    assert await told(resigned(header)) == ""


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+JWT"])
async def test_kinds_of_tokens_that_say_who_calls_are_taken(typ: str) -> None:
    assert await told(resigned({"typ": typ})) == ""


NAN = '{"exp": NaN}'


def _broken() -> dict[str, str]:
    good = token()
    head, body, sign = good.split(".")
    twice = part('{"alg":"RS256","alg":"RS256"}')
    double = part(json.dumps(claims())[:-1] + ', "sub": "eve"}')
    last = "AEIMQUYcgkosw048"
    odd = sign[:-1] + chr(ord(sign[-1]) + 1) if sign[-1] in last else sign[:-1] + "B"
    return {
        "nothing": "",
        "a word": "opaque",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.x",
        "five parts": f"{good}.x.y",
        "no signature": f"{head}.{body}.",
        "padding": f"{head}=.{body}.{sign}",
        "a newline": f"{good}\t",
        "standard base64": good.replace("_", "/").replace("-", "+") + "+",
        "a length that none has": f"{head}.{body}.{sign[: len(sign) // 4 * 4 + 1]}",
        "odd bits": f"{head}.{body}.{odd}",
        "another signature": f"{head}.{body}.{token(sub='eve').split('.')[2]}",
        "another body": f"{head}.{part(json.dumps(claims(sub='eve')))}.{sign}",
        "no JSON": f"{part('x')}.{body}.{sign}",
        "a list": f"{part('[]')}.{body}.{sign}",
        "a body that is none": f"{head}.{part('7')}.{sign}",
        "NaN": f"{head}.{part(NAN)}.{sign}",
        "a header twice": f"{twice}.{body}.{sign}",
        "a claim twice": f"{head}.{double}.{sign}",
        "depth": f"{head}.{part('[' * 4000)}.{sign}",
        "no algorithm": f"{part('{}')}.{body}.{sign}",
        "another typ": f"{part(json.dumps({'alg': 'RS256', 'typ': 7}))}.{body}.{sign}",
        "another kid's type": f"{part(json.dumps({'alg': 'RS256', 'kid': 7}))}.{body}.{sign}",
        "too long": token(pad="x" * 9000),
    }


@pytest.mark.parametrize("name", list(_broken()))
async def test_what_is_not_written_as_a_token_is_refused(name: str) -> None:
    assert await told(_broken()[name]) == "token_invalid"


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "nOnE", "HS256", "hs256", "", "RS1", "ES256K"]
)
async def test_an_algorithm_that_the_issuer_does_not_use_is_refused(name: str) -> None:
    body = part(json.dumps(claims()))
    for signature in ("", part(b"x" * 256)):
        text = f"{part(json.dumps({'alg': name, 'typ': 'JWT'}))}.{body}.{signature}"
        assert await told(text) == "token_invalid"


KEYS = {
    "RS256": rsa(),
    "RS512": rsa(),
    "PS384": rsa(),
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "ES512": ECKey.generate_key("P-521"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("alg", list(KEYS))
async def test_each_algorithm_verifies_by_a_key_of_its_own_type(alg: str) -> None:
    options = {**GOOD, "key": pem(KEYS[alg])}
    assert await told(token(KEYS[alg], alg=alg), options) == ""
    for other, key in KEYS.items():
        if key is not KEYS[alg]:
            assert await told(token(key, alg=other), options) == "token_invalid"
    assert (
        await told(token(KEYS[alg], alg=alg), {**options, "algorithms": ["PS256"]})
        == "token_invalid"
    )


async def test_clients_and_required_claims_narrow_it() -> None:
    options = {**GOOD, "clients": ["portal"], "required_claims": ["tenant_id"]}
    assert await told(token(azp="portal"), options) == ""
    assert await told(token(client_id="portal"), options) == ""
    assert await told(token(azp="other", client_id="portal"), options) == "token_invalid"
    for odd in (["portal"], [["portal"]], {"portal": 1}, 7, True):
        assert await told(token(azp=odd), options) == "token_invalid"
    assert await told(token(), options) == "token_invalid"
    assert await told(token(azp="portal", tenant_id=None), options) == "token_invalid"


async def test_claims_are_named_by_the_file_and_there_is_no_default_tenant() -> None:
    options = {**GOOD, "claims": {"tenant": ["ak_tenant", "org"], "roles": "r", "subject": "email"}}
    async with running(Frozen, options) as plugin:
        sent = {"Authorization": f"Bearer {token(org='globex', r='one')}"}
        caller = (await call(plugin, headers=sent)).exchange.principal
        assert caller is not None
        assert (caller.subject, caller.tenant) == ("ada@example.com", "globex")
        assert caller.roles == {"one"}
        sent = {"Authorization": f"Bearer {token()}"}
        caller = (await call(plugin, headers=sent)).exchange.principal
        assert caller is not None
        assert caller.tenant is None


async def test_two_lines_of_authorization_are_none() -> None:
    headers = [("Authorization", f"Bearer {token()}"), ("Authorization", "Basic eDp5")]
    called = await call(Frozen, options=GOOD, headers=headers, answer=UNREACHED)
    assert called.answer.error is not None
    assert called.answer.error.code == "token_invalid"


@pytest.mark.parametrize("value", ["Basic eDp5", "Token abc", "", "Negotiate Bearer"])
async def test_what_is_no_bearer_is_none_of_its_business(value: str) -> None:
    called = await call(Frozen, options=GOOD, headers={"Authorization": value}, optional=True)
    assert called.reached
    assert called.exchange.principal is None


async def test_a_cookie_is_read_where_it_is_named_and_is_ambient() -> None:
    cookie = {"Cookie": f"a=b; brain={token()}"}
    assert (await call(Frozen, options=GOOD, headers=cookie)).answer.status == 401
    called = await call(Frozen, options={**GOOD, "cookie": "brain"}, headers=cookie)
    assert called.exchange.principal is not None
    assert called.exchange.principal.ambient


@pytest.mark.parametrize("other", ["x", "", token(sub="eve"), token()])
async def test_two_cookies_of_the_name_are_none(other: str) -> None:
    for cookies in (f"brain={token()}; brain={other}", f"brain={other}; a=b; brain={token()}"):
        sent = {"Cookie": cookies}
        called = await call(Frozen, options={**GOOD, "cookie": "brain"}, headers=sent)
        assert called.answer.error is not None
        assert called.answer.error.code == "token_invalid"


async def test_a_cookie_of_a_longer_name_is_another() -> None:
    options = {**GOOD, "cookie": "brain"}
    sent = {"Cookie": f'my-brain=x; brain2=y; Brain=z; brain="{token()}"; "brain"=q'}
    assert (await call(Frozen, options=options, headers=sent)).reached
    sent = {"Cookie": f"my-brain={token()}; brain2={token()}; Brain={token()}; brain"}
    called = await call(Frozen, options=options, headers=sent)
    assert called.answer.error is not None
    assert called.answer.error.code == "credentials_missing"


async def test_a_websocket_brings_it_as_a_subprotocol() -> None:
    upgrade = {"Upgrade": "websocket", "Sec-WebSocket-Protocol": f"brain.bearer, {token()}, chat"}
    assert (await call(Frozen, options=GOOD, headers=upgrade)).reached
    plain = {"Sec-WebSocket-Protocol": f"brain.bearer, {token()}"}
    assert (await call(Frozen, options=GOOD, headers=plain)).answer.status == 401
    off = {**GOOD, "subprotocol": False}
    assert (await call(Frozen, options=off, headers=upgrade)).answer.status == 401


class Passing(Jwt):
    """At a time that the test turns forward, counting what is verified."""

    clock = float(NOW)
    verified = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, now=lambda: type(self).clock)

    def _verify(self, *given: Any) -> Any:
        type(self).verified += 1
        return super()._verify(*given)


async def test_a_token_is_verified_once_and_forgotten_when_it_ends() -> None:
    Passing.clock, Passing.verified = float(NOW), 0
    sent = {"Authorization": f"Bearer {token(exp=NOW + 50)}"}
    async with running(Passing, GOOD) as plugin:
        callers = [(await call(plugin, headers=sent)).exchange.principal for _ in range(5)]
        assert callers[0] is not None
        assert all(caller is callers[0] for caller in callers)
        assert Passing.verified == 1
        Passing.clock = NOW + 50.0
        await call(plugin, headers=sent)
        assert Passing.verified == 2  # within the leeway it is taken, and not by memory
        Passing.clock = NOW + 80.0
        assert (await call(plugin, headers=sent)).answer.status == 401


async def test_what_is_remembered_is_bounded() -> None:
    async with running(Frozen, {**GOOD, "remember": 10}) as plugin:
        for number in range(40):
            await call(plugin, headers={"Authorization": f"Bearer {token(jti=str(number))}"})
        assert 5 <= len(plugin._memory) <= 10


async def test_long_tokens_count_as_several() -> None:
    groups = [f"group-{number}" for number in range(240)]
    async with running(Frozen, {**GOOD, "remember": 20}) as plugin:
        for number in range(20):
            long = token(jti=str(number), groups=groups)
            assert 4096 < len(long) < 5120
            await call(plugin, headers={"Authorization": f"Bearer {long}"})
        assert 2 <= len(plugin._memory) <= 4


async def test_a_token_that_is_verified_again_and_again_pushes_no_other_out() -> None:
    Passing.clock, Passing.verified = float(NOW), 0
    good = {"Authorization": f"Bearer {token()}"}
    ended = {"Authorization": f"Bearer {token(exp=NOW - 10)}"}  # within the leeway
    async with running(Passing, {**GOOD, "remember": 10}) as plugin:
        await call(plugin, headers=good)
        for _ in range(40):
            await call(plugin, headers=ended)
        assert Passing.verified == 41
        await call(plugin, headers=good)
        assert Passing.verified == 41


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, ""),
        ({"issuer": ISSUER}, "issuer"),
        ({"audience": "brain"}, "audience"),
        ({**GOOD, "jwks_uri": "https://x/"}, "key"),
        ({**GOOD, "algorithms": ["HS256"]}, "algorithms"),
        ({**GOOD, "key": pem(rsa("small", 1024))}, "key"),
        ({**GOOD, "key": rsa().as_pem(private=True).decode()}, "key"),
        ({**GOOD, "leeway": "6m"}, "leeway"),
        ({**GOOD, "max_token": "1MiB"}, "max_token"),
        ({**GOOD, "issuer": "https://ada:pass@sso.example.com/"}, "issuer"),
        ({"issuer": ISSUER, "audience": "b", "jwks_uri": "https://ada@keys.example/"}, "jwks_uri"),
        ({"issuer": "http://sso.example.com/", "audience": "b"}, "issuer"),
        ({"issuer": ISSUER, "audience": "b", "jwks_uri": "http://sso.example.com/"}, "jwks_uri"),
        ({**GOOD, "issuers": [{"issuer": ISSUER, "audience": "x"}]}, "issuers.0.issuer"),
        ({"issuers": [{"issuer": ISSUER}]}, "issuers.0"),
    ],
)
def test_options_that_could_let_in_anybody_are_refused(
    options: dict[str, Any], option: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        make(Jwt, options)
    assert option in refused.value.problems


def test_an_issuer_of_authentik_without_its_slash_is_a_warning(kit: Kit) -> None:
    found = Found()
    options = {"issuer": ISSUER.removesuffix("/"), "audience": "brain", "profile": "authentik"}
    kit.make(Jwt, options).check(found)
    assert (list(found.errors), list(found.warnings)) == ([], ["issuer"])


@pytest.mark.parametrize(
    ("given", "keys", "tenant"),
    [
        ({}, f"{ISSUER}jwks/", ["tenant_id", "ak_tenant"]),
        ({"jwks_uri": "https://k/"}, "https://k/", ["tenant_id", "ak_tenant"]),
        ({"claims": {"tenant": "org"}}, f"{ISSUER}jwks/", "org"),
    ],
)
def test_a_profile_is_written_out_and_the_file_wins(
    given: dict[str, Any], keys: str, tenant: Any
) -> None:
    whole = {"profile": "authentik", "issuer": ISSUER, "audience": "brain", **given}
    for expanded in (Jwt.expand(whole), Jwt.expand({"issuers": [whole]})["issuers"][0]):
        assert expanded["jwks_uri"] == keys
        assert expanded["algorithms"] == ["RS256"]
        assert expanded["claims"]["roles"] == "groups"
        assert expanded["claims"]["tenant"] == tenant
        make(Jwt, expanded)
    whole.pop("jwks_uri", None)
    assert "jwks_uri" not in Jwt.expand({**whole, "key_file": "x"})
    assert Jwt.expand(GOOD) == GOOD


async def test_what_it_takes_and_makes_of_it_is_explained() -> None:
    whole = {"profile": "authentik", "issuer": ISSUER, "audience": ["brain", "portal"]}
    plugin = make(Jwt, {**Jwt.expand(whole), "clients": ["b", "a"], "required_claims": ["email"]})
    claims = "subject sub, tenant tenant_id or ak_tenant, roles groups, scopes scope"
    places = "the header Authorization (Bearer) or the WebSocket subprotocol brain.bearer"
    assert plugin.explain((await call(plugin, optional=True)).exchange) == [
        f"looks for a token in {places}",
        f"takes tokens of {ISSUER} for brain or portal, signed (RS256) by keys at {ISSUER}jwks/",
        f"reads in its claims: {claims}, name name or preferred_username",
        "takes those alone that were given to a or b",
        "takes those alone that have email",
        "a token is kept from the upstream",
    ]
