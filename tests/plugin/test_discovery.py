"""What an issuer says of itself: where its keys are, or nothing."""

from __future__ import annotations

import json

import pytest

from proxy.plugin.jwks import _jwks_uri

ISSUER = "https://sso.example.com/o/brain/"


def said(**more: object) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}jwks/", **more}).encode()


def test_keys_are_where_the_issuer_says() -> None:
    assert _jwks_uri(said(), ISSUER) == f"{ISSUER}jwks/"
    assert _jwks_uri(said(jwks_uri="https://keys.example/x"), ISSUER) == "https://keys.example/x"


@pytest.mark.parametrize(
    "uri",
    [
        "http://sso.example.com/o/brain/jwks/",
        "ftp://x/",
        "//x/",
        "jwks",
        "",
        None,
        7,
        ["https://x/"],
    ],
)
def test_an_issuer_by_https_has_keys_by_https(uri: object) -> None:
    with pytest.raises(ValueError, match="no https address"):
        _jwks_uri(said(jwks_uri=uri), ISSUER)


@pytest.mark.parametrize("name", [ISSUER[:-1], f"{ISSUER}/", ISSUER.upper(), [ISSUER], None, ""])
def test_the_word_of_another_issuer_is_none(name: object) -> None:
    with pytest.raises(ValueError, match="it calls itself"):
        _jwks_uri(said(issuer=name), ISSUER)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_configuration_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="no OpenID configuration"):
        _jwks_uri(text, ISSUER)
