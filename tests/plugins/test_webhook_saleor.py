"""Detached signatures of Saleor, made by cryptography's own hand."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import RSAKey
from multidict import CIMultiDict, CIMultiDictProxy

from plugins.webhook.detached import DetachedVerifier
from proxy import Unauthenticated

HEADER = "Saleor-Signature"
BODY = b'{"product": {"id": "UHJvZHVjdDox"}}'
# As Saleor's PyJWT writes it up to now, and as a later one does.
SALEORS: Mapping[str, Any] = {"typ": "JWT", "alg": "RS256", "kid": "1", "b64": False}
LATER: Mapping[str, Any] = {**SALEORS, "crit": ["b64"]}


@cache
def private(name: str = "one") -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(header: Mapping[str, Any]) -> str:
    return encoded(json.dumps(header).encode())


def jws(header: Mapping[str, Any] = SALEORS, body: bytes = BODY, key: str = "one") -> str:
    content = part(header).encode() + b"." + body
    made = private(key).sign(content, padding.PKCS1v15(), hashes.SHA256())
    return f"{part(header)}..{encoded(made)}"


def published(key: str) -> Any:
    public = private(key).public_key()
    return RSAKey.import_key(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@dataclass
class Key:
    key: Any


@dataclass
class Keys:
    """Knows `one` under the name 1; `later` is what it learns once."""

    known: dict[str, str] = field(default_factory=lambda: {"1": "one"})
    later: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        assert algorithm == "RS256"
        names = [self.known[kid]] if kid in self.known else []
        if kid is None and len(self.known) == 1:
            names = list(self.known.values())
        return Key(published(names[0])) if names else None

    async def learn(self) -> bool:
        self.asked += 1
        new, self.later = self.later, {}
        self.known |= new
        return bool(new)


async def check(keys: Keys, *values: str, body: bytes = BODY) -> bytes:
    verifier = DetachedVerifier(HEADER, keys)
    headers = CIMultiDictProxy(CIMultiDict([(HEADER, value) for value in values]))
    return await verifier.verify(verifier.read(headers), body)


async def refused(*values: str, body: bytes = BODY, keys: Keys | None = None) -> None:
    with pytest.raises(Unauthenticated) as raised:
        await check(keys or Keys(), *values, body=body)
    assert raised.value.code == "signature_invalid"


@pytest.mark.parametrize("header", [SALEORS, LATER])
@pytest.mark.parametrize("body", [BODY, b"", b".", b"\x00\xff\r\n", b"x" * 200_000])
async def test_what_saleor_signs_is_good(header: Mapping[str, Any], body: bytes) -> None:
    assert await check(Keys(), jws(header, body), body=body) == body


async def test_a_key_without_a_name_is_the_only_one_that_there_is() -> None:
    header = {"alg": "RS256", "b64": False}
    assert await check(Keys(), jws(header))
    await refused(jws(header), keys=Keys({"1": "one", "2": "two"}))


async def test_one_changed_byte_spoils_it() -> None:
    for at in range(len(BODY)):
        await refused(jws(), body=BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :])


async def test_a_users_access_token_is_no_delivery() -> None:
    """Saleor signs its users' tokens with the same key: taken apart one signs its claims."""
    header = {"typ": "JWT", "alg": "RS256", "kid": "1"}
    claims = b'{"iss": "https://shop/graphql/", "email": "kim@example.com", "type": "access"}'
    content = f"{part(header)}.{encoded(claims)}".encode()
    made = private().sign(content, padding.PKCS1v15(), hashes.SHA256())
    for body in (claims, encoded(claims).encode()):
        await refused(f"{part(header)}..{encoded(made)}", body=body)
    await refused(f"{content.decode()}.{encoded(made)}", body=claims)


ODD: list[Mapping[str, Any]] = [
    {**SALEORS, "b64": True},
    {**SALEORS, "b64": "false"},
    {**SALEORS, "b64": 0},
    {**SALEORS, "b64": None},
    {**SALEORS, "crit": []},
    {**SALEORS, "crit": ["b64", "exp"]},
    {**SALEORS, "crit": "b64"},
    {**SALEORS, "alg": "none"},
    {**SALEORS, "alg": "RS512"},
    {**SALEORS, "alg": "rs256"},
    {**SALEORS, "alg": "HS256"},
    {**SALEORS, "alg": ["RS256"]},
    {**SALEORS, "kid": 1},
    {**SALEORS, "jku": "https://evil.example/jwks.json"},
    {**SALEORS, "jwk": {"kty": "RSA"}},
    {**SALEORS, "x5u": "https://evil.example/"},
    {"kid": "1", "b64": False},
]


@pytest.mark.parametrize("header", ODD, ids=str)
async def test_a_header_that_says_another_thing_is_refused(header: Mapping[str, Any]) -> None:
    await refused(jws(header))


async def test_a_public_key_is_no_secret_to_sign_with() -> None:
    pem = private().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for algorithm in ("HS256", "RS256"):
        header = part({**SALEORS, "alg": algorithm})
        made = hmac.new(pem, header.encode() + b"." + BODY, hashlib.sha256).digest()
        await refused(f"{header}..{encoded(made)}")


async def test_the_example_of_rfc_7797_is_signed_with_a_secret_and_refused() -> None:
    """RFC 7797, 4.2: HS256 over the payload "$.02"."""
    example = (
        "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.."
        "A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"
    )
    await refused(example, body=b"$.02")


async def test_a_curves_signature_is_no_rs256() -> None:
    content = part(SALEORS).encode() + b"." + BODY
    made = ec.generate_private_key(ec.SECP256R1()).sign(content, ec.ECDSA(hashes.SHA256()))
    await refused(f"{part(SALEORS)}..{encoded(made)}")


@pytest.mark.parametrize("at", [-1, -2, -40])
async def test_a_signature_that_is_cut_short_is_none(at: int) -> None:
    await refused(jws()[:at])


TWICE = b'{"alg":"RS256","alg":"RS256","kid":"1","b64":false}'


async def test_what_is_no_detached_jws_is_refused() -> None:
    good = jws()
    header, _, made = good.partition("..")
    for other in (
        "",
        ".",
        "..",
        f"{header}.x.{made}",
        f"{header}..{made}.x",
        f" {good}",
        f"{good}\n",
        f"{header}=..{made}",
        good.replace("_", "/") + "+",
        f"{encoded(b'[]')}..{made}",
        f"{encoded(b'{')}..{made}",
        f"{encoded(b'[' * 3000)}..{made}",
        f"{encoded(TWICE)}..{made}",
        f"{header}..{'A' * 5000}",
        hashlib.sha256(BODY).hexdigest(),
    ):
        await refused(other)
    await refused(good, good)


async def test_bits_that_belong_to_no_byte_make_no_second_signature() -> None:
    good = jws()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(good[-1]) ^ 1]
    await refused(good[:-1] + last)


async def test_a_key_that_was_replaced_is_learnt() -> None:
    named_anew = Keys(later={"2": "two"})
    assert await check(named_anew, jws({**SALEORS, "kid": "2"}, key="two"))
    # Saleor's keys have had one name, whichever it was.
    same_name = Keys(later={"1": "two"})
    assert await check(same_name, jws(key="two"))
    await refused(jws(key="one"), keys=same_name)


async def test_an_unknown_key_is_looked_for_and_not_made_up() -> None:
    keys = Keys()
    await refused(jws({**SALEORS, "kid": "9"}), keys=keys)
    await refused(jws(key="two"), keys=keys)
    assert keys.asked == 2
    assert await check(keys, jws())
    assert keys.asked == 2
