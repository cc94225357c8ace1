"""Signs that an answer may hold a secret, whose size must not tell of it (BREACH).

The attack needs three things: a browser that adds credentials by itself to what another site makes
it call, a secret in the answer, and a part of the request that comes back beside it. None of them
can be seen from here for sure; so each sign of the first two is enough. A token that a script must
add, such as `Authorization: Bearer`, is none: another site's page can't make a browser send it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from multidict import MultiMapping

SIGNS = ("cookie", "authorization", "set-cookie", "private", "no-store")

_AMBIENT = frozenset({"basic", "digest", "negotiate", "ntlm"})
"""Schemes whose credentials a browser repeats unasked (RFC 7617, 2.2)."""


def secretive(
    asked: MultiMapping[str],
    fields: Mapping[bytes, Sequence[bytes]],
    directives: Collection[str],
    despite: Collection[str],
) -> bool:
    """Tell whether a sign stands on the exchange that is not among `despite`.

    `asked` are the request's headers, `fields` the answer's by their lower-case names, `directives`
    those of its Cache-Control.
    """
    found = {sign for sign in ("private", "no-store") if sign in directives}
    if b"set-cookie" in fields:
        found.add("set-cookie")
    return not (found | signs_of_request(asked)).issubset(despite)


def signs_of_request(asked: MultiMapping[str]) -> set[str]:
    """Return the signs that stand on the request."""
    found = {"cookie"} if "Cookie" in asked else set()
    if any(_scheme(value) in _AMBIENT for value in asked.getall("Authorization", ())):
        found.add("authorization")
    return found


def _scheme(credentials: str) -> str:
    return credentials.partition(" ")[0].lower()
