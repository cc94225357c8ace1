"""Who the caller is taken for: claims that nobody has verified, or marks where there are none."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from proxy.plugin.principal import Principal


def claims_of(text: str) -> Mapping[str, Any]:
    """Return claims written as JSON. Raises ValueError for what is no object."""
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the claims are not JSON") from None
    if not isinstance(claims, dict):
        raise ValueError("the claims must be one JSON object")  # noqa: TRY004  a file's content
    return claims


def payload_of(token: str) -> Mapping[str, Any]:
    """Return the claims of a JWT (RFC 7519, 3) without looking at its signature.

    Raises ValueError, which never repeats what was given.
    """
    parts = token.strip().removeprefix("Bearer ").split(".")
    if len(parts) != 3:
        raise ValueError("this is no signed JWT: it would have three parts with dots between")
    padded = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        return claims_of(base64.urlsafe_b64decode(padded).decode())
    except ValueError:
        raise ValueError("the token's payload can't be read as JSON claims") from None


def stand_in(names: Iterable[str]) -> tuple[Principal, Mapping[str, str]]:
    """Return a caller whose values are marks, and by each mark what it stands for: `${claims.org}`.

    For templates that are rendered before it is known who calls; `names` are those they ask for.
    """
    marks = {
        name: f"mark{uuid4().hex}"
        for name in names
        if name.partition(".")[0] in ("claims", "principal")
    }
    own = {name.partition(".")[2]: mark for name, mark in marks.items() if name[0] == "p"}
    claims: dict[str, Any] = {}
    for name, mark in marks.items():
        if name.startswith("claims."):
            _put(claims, name.split(".")[1:], mark)
    principal = Principal(
        subject=own.get("subject", ""),
        tenant=own.get("tenant"),
        roles=frozenset({own["roles"]} if "roles" in own else ()),
        claims=claims,
    )
    return principal, {mark: f"${{{name}}}" for name, mark in marks.items()}


def _put(claims: dict[str, Any], path: list[str], mark: str) -> None:
    *above, last = path
    for part in above:
        claims = claims.setdefault(part, {})
    claims[last] = mark
