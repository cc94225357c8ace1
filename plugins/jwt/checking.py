"""What a schema can't say of a file's issuers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from plugins.jwt.options import SHARED
from proxy import Problems, key_of

_SOURCES = ("jwks_uri", "key", "key_file", "secret")
_OF_ISSUER = (
    "audience",
    "profile",
    *_SOURCES,
    "algorithms",
    "clients",
    "required_claims",
    "claims",
)


def check_issuers(
    own: Mapping[str, Any], listed: Sequence[Mapping[str, Any]], problems: Problems
) -> None:
    """Report issuers that could let in whom nobody meant, and those that are there twice."""
    if not listed:
        problems.add(
            "",
            "no issuer is named: whose tokens are taken?",
            hint="write issuer and audience, or a list of issuers",
        )
    if "issuer" not in own:
        for name in _OF_ISSUER:
            if name in own:
                problems.add(name, f"'{name}' belongs to an issuer, and none stands beside it")
    seen = set[str]()
    for at, issuer in _placed(own, listed):
        if issuer["issuer"] in seen:
            problems.add(f"{at}issuer", "this issuer is here twice")
        seen.add(issuer["issuer"])
        _check_issuer(at, issuer, problems)


def _placed(
    own: Mapping[str, Any], listed: Sequence[Mapping[str, Any]]
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    first = 1 if "issuer" in own else 0
    for index, issuer in enumerate(listed):
        yield ("" if index < first else f"issuers.{index - first}."), issuer


def _check_issuer(at: str, issuer: Mapping[str, Any], problems: Problems) -> None:
    if "audience" not in issuer:
        problems.add(
            f"{at}issuer",
            "an issuer's tokens are for many applications, and no audience says which are for this one",
            hint="add audience: NAME, the claim aud of its tokens (Authentik: the client id)",
        )
    if issuer.get("profile") == "authentik" and not issuer["issuer"].endswith("/"):
        problems.warn(
            f"{at}issuer",
            "the claim iss of Authentik's tokens ends in a slash, and is compared letter by letter",
            hint="end it with a slash",
        )
    sources = [name for name in _SOURCES if name in issuer]
    if len(sources) > 1:
        problems.add(f"{at}{sources[1]}", f"the keys come from '{sources[0]}' already")
    _check_algorithms(at, issuer, problems)
    _check_address(f"{at}issuer", issuer["issuer"], sources in ([], ["jwks_uri"]), problems)
    if "jwks_uri" in issuer:
        _check_address(f"{at}jwks_uri", issuer["jwks_uri"], True, problems)
    if "key" in issuer:
        try:
            key_of(issuer["key"])
        except ValueError as error:
            problems.add(f"{at}key", str(error))


def _check_algorithms(at: str, issuer: Mapping[str, Any], problems: Problems) -> None:
    given = issuer.get("algorithms", ())
    shared = [name for name in given if name in SHARED]
    if "secret" in issuer and set(given) - set(SHARED):
        problems.add(f"{at}algorithms", "with a secret there is HS256 alone")
    elif "secret" not in issuer and shared:
        problems.add(
            f"{at}algorithms",
            f"{shared[0]} signs with a secret, and this issuer names none",
            hint="name its secret, or leave the algorithm out: a public key is no secret",
        )


def _check_address(option: str, url: str, fetched: bool, problems: Problems) -> None:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        # It would stand in the log, and keys are public.
        problems.add(option, "an issuer's address has no user name and no password")
    if fetched and parts.scheme == "http" and not _is_near(parts.hostname or ""):
        problems.add(
            option,
            "keys that come over plain http may be anybody's",
            hint="write https, or name the key by key_file",
        )


def _is_near(host: str) -> bool:
    """Tell whether a host is one of this machine or network by its name."""
    if re.fullmatch(r"[a-z0-9-]+", host):
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return False
