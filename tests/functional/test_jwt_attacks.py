"""Tokens that are forged, stolen from elsewhere or bent: each refused by its code, none passed on."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.forgekit import (
    bare,
    by_hand,
    by_shared,
    claims_of,
    header_of,
    public_texts,
    sealed,
    text,
    unsigned,
    with_certificate,
)
from tests.functional.keykit import KeyServer, ec, rsa
from tests.functional.kit import Gateway, RecordingUpstream
from tests.plugins.tokens import part, signed

PATH = "/api/brain/crm/contacts"
SECRET = "an-old-secret-of-32-bytes-or-more-0123"
OLD = "https://old.example.com/"
ONE, TWO, MINE = rsa("one"), rsa("two"), rsa("mine")


@pytest.fixture
async def other() -> AsyncIterator[KeyServer]:
    """Another issuer that is trusted, as itself."""
    server = KeyServer(TWO, path="/application/o/other/")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def evil() -> AsyncIterator[KeyServer]:
    """A server of the attacker's: nobody may ever ask it."""
    server = KeyServer(MINE)
    await server.start()
    yield server
    assert server.asked == []
    await server.stop()


@pytest.fixture
async def door(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer, other: KeyServer
) -> Gateway:
    issuer.keys = [ONE, ec("curve")]
    return await gateway(
        f"""
        version: 1
        secrets: {{env: {{prefix: TEST_}}}}
        plugins:
          - jwt:
              issuers:
                - {{issuer: "{issuer.issuer}", audience: brain}}
                - {{issuer: "{other.issuer}", audience: [brain, other]}}
                - {{issuer: "{OLD}", audience: brain, secret: {{secret: old, field: key}}}}
          - identity-headers
        services:
          crm: "{upstream.url}"
        """,
        TEST_OLD_KEY=SECRET,
    )


class Attacks:
    """Sends tokens and says which codes they got; a good one passes before and after."""

    def __init__(
        self,
        door: Gateway,
        upstream: RecordingUpstream,
        issuer: KeyServer,
        log: pytest.LogCaptureFixture,
    ) -> None:
        self.door = door
        self.upstream = upstream
        self.issuer = issuer
        self.log = log

    async def told(self, *headers: str, target: str = PATH) -> str:
        self.log.clear()
        reply = await self.door.get(target, *headers)
        for word in " ".join(headers).split():
            assert len(word) < 40 or word not in self.log.text, "a token never meets a log"
        found: str = json.loads(reply.body)["code"] if reply.status != 200 else "let in"
        if reply.status == 401:
            wrong = "" if found == "credentials_missing" else ', error="invalid_token"'
            assert reply.header("WWW-Authenticate") == f'Bearer realm="brain"{wrong}'
        return found

    async def refused(self, code: str, tokens: Mapping[str, str]) -> None:
        await self.good()
        before = len(self.upstream.seen)
        found = {name: await self.told(f"Authorization: Bearer {t}") for name, t in tokens.items()}
        assert found == dict.fromkeys(tokens, code)
        assert len(self.upstream.seen) == before
        await self.good()

    async def good(self) -> None:
        for key in self.issuer.keys:
            assert await self.told(f"Authorization: Bearer {self.issuer.mint(key)}") == "let in"


@pytest.fixture
def attacks(
    door: Gateway,
    upstream: RecordingUpstream,
    issuer: KeyServer,
    caplog: pytest.LogCaptureFixture,
) -> Attacks:
    return Attacks(door, upstream, issuer, caplog)


# -- the signature


async def test_a_token_without_a_signature_is_refused(attacks: Attacks, issuer: KeyServer) -> None:
    names = ["none", "None", "NONE", "nOnE", "none ", "", "null", "dir", "RS1", None, ["RS256"]]
    tokens = {f"{name!r}, empty": unsigned(issuer, name) for name in names}
    tokens |= {f"{name!r}, some": unsigned(issuer, name, part(b"x" * 256)) for name in names}
    good = issuer.mint()
    await attacks.refused(
        "token_invalid",
        {
            **tokens,
            "cut off": good.rpartition(".")[0] + ".",
            "left out": good.rpartition(".")[0],
            "zeros": good.rpartition(".")[0] + "." + part(bytes(256)),
            "of another token": good.rpartition(".")[0] + "." + issuer.mint(sub="x").split(".")[2],
            "a bit longer": good + "AA",
        },
    )


async def test_a_public_key_is_no_secret(attacks: Attacks, issuer: KeyServer) -> None:
    header, claims = header_of(ONE, alg="HS256"), claims_of(issuer)
    tokens = {name: by_shared(header, claims, key) for name, key in public_texts(ONE).items()}
    tokens |= {
        f"{name}, 512": by_shared({**header, "alg": "HS512"}, claims, key, "sha512")
        for name, key in public_texts(ONE).items()
    }
    # Where an issuer does sign by a secret, it is that secret, and nothing else.
    old = claims_of(issuer, iss=OLD)
    tokens |= {
        f"{name}, of the old one": by_shared({"alg": "HS256"}, old, key)
        for name, key in public_texts(ONE).items()
    }
    tokens |= {
        "the secret of another issuer": by_shared(header, claims, SECRET.encode()),
        "a longer digest": by_shared({"alg": "HS512"}, old, SECRET.encode(), "sha512"),
        "a key of another issuer": by_hand(header_of(ONE), old, ONE),
    }
    await attacks.refused("token_invalid", tokens)
    good = by_shared({"alg": "HS256"}, old, SECRET.encode())
    assert await attacks.told(f"Authorization: Bearer {good}") == "let in"


async def test_a_token_does_not_bring_its_own_key(
    attacks: Attacks, issuer: KeyServer, evil: KeyServer
) -> None:
    def brings(**more: object) -> str:
        return by_hand(header_of(MINE, **more), claims_of(issuer), MINE)

    public = MINE.as_dict(private=False)
    tokens = {
        "by its name": brings(),
        "under a name that is trusted": brings(kid="one"),
        "under no name": brings(kid=None),
        "jku": brings(jku=evil.jwks_uri),
        "jku below the issuer": brings(jku=f"{issuer.issuer}../../{evil.jwks_uri}"),
        "jku before the issuer's": brings(jku=f"{evil.jwks_uri}#{issuer.jwks_uri}"),
        "x5u": brings(x5u=evil.jwks_uri),
        "jwk": brings(jwk=public),
        "jwk under a trusted name": brings(jwk={**public, "kid": "one"}, kid="one"),
        "jwk of a secret": by_shared(
            {"alg": "HS256", "jwk": {"kty": "oct", "k": part(SECRET)}},
            claims_of(issuer),
            SECRET.encode(),
        ),
        "x5c": with_certificate(issuer),
        "kid as an address": brings(kid=evil.jwks_uri),
        "kid as a path": brings(kid="../../../../dev/null"),
        "kid as a query": brings(kid="one' OR '1'='1"),
        "kid as a number": brings(kid=1),
        "kid as a list": brings(kid=["one"]),
        "kid with an end": brings(kid="one\x00"),
    }
    await attacks.refused("token_invalid", tokens)
    foreign = {"its own issuer": by_hand(header_of(MINE), claims_of(evil), MINE)}
    await attacks.refused("token_issuer_unknown", foreign)


async def test_the_key_of_one_issuer_signs_for_no_other(
    attacks: Attacks, issuer: KeyServer, other: KeyServer
) -> None:
    both = [rsa("one", 3072)]  # of the same name, and another key
    assert both[0].thumbprint() != ONE.thumbprint()
    tokens = {
        "its own name": by_hand(header_of(TWO), claims_of(issuer), TWO),
        "the name of the other's": by_hand(header_of(TWO, kid="one"), claims_of(issuer), TWO),
        "no name": by_hand(header_of(TWO, kid=None), claims_of(issuer), TWO),
        "the other way round": by_hand(header_of(ONE), claims_of(other), ONE),
        "an equal name": by_hand(header_of(both[0]), claims_of(issuer), both[0]),
    }
    await attacks.refused("token_invalid", tokens)
    good = by_hand(header_of(TWO), claims_of(other, aud="other"), TWO)
    assert await attacks.told(f"Authorization: Bearer {good}") == "let in"


async def test_a_key_verifies_by_its_own_algorithm_alone(
    attacks: Attacks, issuer: KeyServer
) -> None:
    curve, claims = ec("curve"), text(claims_of(issuer)).encode()
    es256 = issuer.mint(curve)
    body, _, signature = es256.rpartition(".")
    rs256 = issuer.mint(ONE).split(".")

    def renamed(alg: str, kid: str) -> str:
        return ".".join([part(text({"alg": alg, "typ": "JWT", "kid": kid})), *rs256[1:]])

    tokens = {
        # The key says that it is for RS256.
        "RSA as PS256": signed({"alg": "PS256", "kid": "one"}, claims, bare(ONE)),
        "RSA as RS512": signed({"alg": "RS512", "kid": "one"}, claims, bare(ONE)),
        "RSA, said to be PS256": renamed("PS256", "one"),
        "RSA, said to be ES256": renamed("ES256", "one"),
        "RSA, said to be EdDSA": renamed("EdDSA", "one"),
        "RSA, by the name of the curve": renamed("RS256", "curve"),
        "a curve, said to be another": signed(
            {"alg": "ES384", "kid": "curve"}, claims, ec("curve", "P-384")
        ),
        "a curve without a name": signed({"alg": "ES256"}, claims, ec("another")),
        # Zeros verified everything in some libraries once (CVE-2022-21449).
        "r and s are zero": f"{body}.{part(bytes(64))}",
        "the signature is too short": f"{body}.{signature[:-4]}",
        "the signature in DER": f"{body}.{part(b'0' + bytes([68]) + bytes(68))}",
    }
    await attacks.refused("token_invalid", tokens)


# -- the header


async def test_a_header_can_not_change_how_the_token_is_read(
    attacks: Attacks, issuer: KeyServer
) -> None:
    def says(**more: object) -> str:
        return by_hand(header_of(ONE, **more), claims_of(issuer), ONE)

    plain = by_hand(header_of(ONE, b64=False, crit=["b64"]), claims_of(issuer), ONE).split(".")
    tokens = {
        "crit that is known": says(crit=["exp"], exp=1),
        "crit that is unknown": says(crit=["x"], x=1),
        "crit of nothing": says(crit=[]),
        "b64": says(b64=False),
        "b64 and crit": ".".join(plain),
        "detached": f"{plain[0]}..{plain[2]}",
        "zip": says(zip="DEF"),
        "enc": says(enc="A256GCM"),
        "a logout": says(typ="logout+jwt"),
        "an event": says(typ="secevent+jwt"),
        "a proof": says(typ="dpop+jwt"),
        "a type that is none": says(typ=["JWT"]),
        "alg twice": by_hand('{"alg":"RS256","alg":"RS256","kid":"one"}', claims_of(issuer), ONE),
        "none, then RS256": by_hand('{"alg":"none","alg":"RS256"}', claims_of(issuer), ONE),
        "kid twice": by_hand('{"alg":"RS256","kid":"x","\\u006bid":"one"}', claims_of(issuer), ONE),
        "not an object": by_hand('"RS256"', claims_of(issuer), ONE),
        "a list": by_hand('[{"alg":"RS256"}]', claims_of(issuer), ONE),
        "nothing": by_hand("{}", claims_of(issuer), ONE),
        "deep": by_hand('{"alg":' + "[" * 3000, claims_of(issuer), ONE),
    }
    await attacks.refused("token_invalid", tokens)


# -- the claims


async def test_an_issuer_that_is_nearly_trusted_is_not(attacks: Attacks, issuer: KeyServer) -> None:
    name = issuer.issuer
    near = {
        "no slash": name[:-1],
        "two slashes": name + "/",
        "upper case": name.replace("brain", "Brain"),
        "https": name.replace("http", "https"),
        "another name of the host": name.replace("127.0.0.1", "localhost"),
        "a user": name.replace("http://", "http://evil@"),
        "a dot": name.replace("/o/", "/./o/"),
        "escaped": name.replace("brain", "%62rain"),
        "a query": name + "?x",
        "a fragment": name + "#x",
        "a space": name + " ",
        "an end": name + "\x00",
        "letters that look alike": name.replace("a", "\u0430"),
        "a list": [name],
        "an object": {"iss": name},
        "nothing": "",
        "null": "None",
        "none": None,
    }
    tokens = {what: issuer.mint(iss=said) for what, said in near.items()}
    tokens["null"] = by_hand(header_of(ONE), {**claims_of(issuer), "iss": None}, ONE)
    await attacks.refused("token_issuer_unknown", tokens)


async def test_a_token_for_another_application_opens_nothing(
    attacks: Attacks, issuer: KeyServer
) -> None:
    said = ["other", "Brain", "brain ", "brain/", "rain", "brains", "brain other", "brain,other"]
    odd = ["", None, [], [[]], ["other"], [["brain"]], {"brain": True}, 7, True, [7, "brain"]]
    tokens = {repr(aud): issuer.mint(aud=aud) for aud in [*said, *odd]}
    await attacks.refused("token_audience_wrong", tokens)


async def test_a_token_is_good_in_its_time_alone(attacks: Attacks, issuer: KeyServer) -> None:
    now = int(time.time())
    over = {str(exp): issuer.mint(exp=exp) for exp in (now - 31, now - 86400, 0, -1, -1e9, 1.5)}
    await attacks.refused("token_expired", over)
    early = {
        "nbf": issuer.mint(nbf=now + 60),
        "iat": issuer.mint(iat=now + 60),
        "far": issuer.mint(nbf=now + 10**9, exp=now + 2 * 10**9),
    }
    await attacks.refused("token_not_yet_valid", early)
    whole = text(claims_of(issuer, exp=7))
    times = ["null", '"9999999999"', "true", "[9999999999]", "1e400", "NaN", "Infinity", "{}"]
    odd = {exp: by_hand(header_of(ONE), whole.replace(" 7", exp), ONE) for exp in times}
    odd |= {
        "nbf is a text": issuer.mint(nbf="0"),
        "iat is a text": issuer.mint(iat="0"),
        "no exp": issuer.mint(exp=None),
        "many digits": by_hand(header_of(ONE), whole.replace(" 7", "9" * 5000), ONE),
    }
    await attacks.refused("token_invalid", odd)


async def test_claims_that_may_be_read_in_two_ways_are_refused(
    attacks: Attacks, issuer: KeyServer
) -> None:
    whole = text(claims_of(issuer))

    def says(more: str) -> str:
        return by_hand(header_of(ONE), whole[:-1] + more + "}", ONE)

    tokens = {
        "sub twice": says(', "sub": "eve"'),
        "aud twice": says(', "aud": "other"'),
        "exp twice": says(', "exp": 9999999999'),
        "iss twice": says(f', "iss": "{issuer.issuer}"'),
        "twice, one escaped": says(', "s\\u0075b": "eve"'),
        "twice, further in": says(', "realm": {"a": 1, "a": 2}'),
        "what is no JSON": says(', "x": NaN'),
        "a comment": says(" /* */"),
        "more behind": by_hand(header_of(ONE), whole + whole, ONE),
        "a list": by_hand(header_of(ONE), f"[{whole}]", ONE),
        "a mark before": by_hand(header_of(ONE), "\ufeff" + whole, ONE),
        "UTF-16": by_hand(header_of(ONE), whole.encode("utf-16-le"), ONE),
        "Latin-1": by_hand(header_of(ONE), whole.replace("ada", "adá").encode("latin-1"), ONE),
        "deep": says(', "x": ' + "[" * 3000),
        "half a letter": issuer.mint(sub="\ud800"),
        "half a letter further in": issuer.mint(realm={"\udfff": 1}),
        "no sub": issuer.mint(sub=None),
        "sub is a list": issuer.mint(sub=["ada"]),
        "sub is a number": issuer.mint(sub=1),
        "tenant is a list": issuer.mint(tenant_id=["acme", "globex"]),
        "roles are an object": issuer.mint(groups={"Admin": True}),
    }
    await attacks.refused("token_invalid", tokens)


# -- the form


async def test_a_token_stands_in_one_form_alone(attacks: Attacks, issuer: KeyServer) -> None:
    good = issuer.mint()
    head, body, signature = good.split(".")
    last = signature[-1]
    # The last letter of 256 bytes holds four bits that belong to none of them.
    alike = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    turned = alike[alike.index(last) ^ 1]
    tokens = {
        "padded": f"{head}==.{body}.{signature}",
        "signature padded": f"{good}==",
        "bits too many": f"{head}.{body}.{signature[:-1]}{turned}",
        "another alphabet": f"{head}.{body}.{signature[:-1]}+",
        "a fourth part": f"{good}.",
        "five parts": f"{good}.{body}.{signature}",
        "empty head": f".{body}.{signature}",
        "empty body": f"{head}..{signature}",
        "dots": "..",
        "a word": "token",
        "a space in it": f"{head}. {body}.{signature}",
        "two of them": f"{good} {good}",
        "a comma behind": f"{good},",
        "quoted": f'"{good}"',
        "a letter beyond ASCII": f"{good}\xe9",
        "JSON form": text({"payload": body, "protected": head, "signature": signature}),
        "encrypted": sealed(ONE, text(claims_of(issuer)).encode()),
        "encrypted around a good one": sealed(ONE, good.encode()),
        "too long": issuer.mint(pad="x" * 9000),
    }
    tokens["nothing"] = ""
    await attacks.refused("token_invalid", tokens)
    endless = f"Authorization: Bearer {'x' * 40_000}"
    assert (await attacks.door.get(PATH, endless)).status == 431


async def test_a_token_counts_where_it_belongs_alone(attacks: Attacks, issuer: KeyServer) -> None:
    good = issuer.mint()
    await attacks.good()
    before = len(attacks.upstream.seen)
    assert await attacks.told(target=f"{PATH}?access_token={good}") == "credentials_missing"
    for header in (
        f"Cookie: brain={good}; access_token={good}; Authorization={good}",
        f"X-Authorization: Bearer {good}",
        f"Proxy-Authorization: Bearer {good}",
        f"X-Forwarded-Authorization: Bearer {good}",
        f"X-Access-Token: {good}",
        f"Authorization: Token {good}",
        f"Authorization: {good}",
        f"Sec-WebSocket-Protocol: brain.bearer, {good}",
    ):
        assert await attacks.told(header) == "credentials_missing", header
    for header in (
        "Authorization: Bearer",
        f"Authorization: Bearer\t{good}",
        "Authorization: bearer ",
    ):
        assert await attacks.told(header) in ("token_invalid", "credentials_missing"), header
    two = [f"Authorization: Bearer {good}", "Authorization: Bearer x"]
    assert await attacks.told(*two) == "token_invalid"
    assert await attacks.told(*reversed(two)) == "token_invalid"
    assert len(attacks.upstream.seen) == before


async def test_letters_of_any_kind_may_stand_in_a_claim(
    attacks: Attacks, issuer: KeyServer
) -> None:
    token = issuer.mint(name="Zo\u00eb \U0001f600 \u5c71")  # written with a pair of surrogates
    assert await attacks.told(f"Authorization: Bearer {token}") == "let in"
