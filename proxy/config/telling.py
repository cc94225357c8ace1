"""Which names tell that a credential stands behind them.

A name is taken by its words: `X-Pass` and `dbPass` tell of one, `passenger` and `X-Author` don't.
The last word decides, as in `access_token`; `token_url` names something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORDS = (
    "apikey authorization cookie credential credentials csrf hmac mfa otp pass passcode passphrase "
    "passwd password pin privatekey pwd secret secretid secretkey sha256 sig signature token xsrf"
)
_LAST = frozenset(_WORDS.split())
_LAST_BUT_NOT_ALONE = frozenset({"auth", "oauth"})
"""Words that tell it of something else only: `X-Upstream-Auth`, not `auth`."""

_LAST_TWO = frozenset(
    {
        *((kind, "key") for kind in ("access", "api", "auth", "private", "secret", "signing")),
        *((kind, "code") for kind in ("auth", "mfa", "otp", "pass", "pin")),
        *((kind, "id") for kind in ("private", "secret")),
        *(("api", last) for last in ("id", "secret")),
        ("pass", "phrase"),
        ("pass", "word"),
    }
)
_OF_REQUESTS = frozenset({"code", "dpop", "key", "ticket", "x-amzn-oidc-data"})
"""`dpop` is a proof (RFC 9449); the last is what a load balancer of AWS calls a signed token."""

_LAST_OF_REQUESTS = frozenset(
    {"accesstoken", "assertion", "authentication", "bearer", "idtoken", "jwt"}
    | {"phpsessid", "sessid", "session", "sessionid"}
)

_KNOWN = frozenset({"forward_token"})
"""Keys of the language that sound like credentials and are none."""

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")


def is_telling_name(name: str) -> bool:
    """Say whether what stands under a key of this name is likely a credential."""
    return name not in _KNOWN and any(map(_tell, _readings(name)))


def is_telling_field(name: str) -> bool:
    """Say the same of a header or a parameter: some open a door that are no name of an option."""
    if name.lower() in _OF_REQUESTS or is_telling_name(name):
        return True
    return any(
        words[-1] in _LAST_OF_REQUESTS or words[-2:] == ["session", "id"]
        for words in _readings(name)
    )


def _readings(name: str) -> Iterator[list[str]]:
    """Yield the words of a name, with and without regard to camel case, in lower case.

    A number or `value` behind them is left out, as in `X-Hub-Signature-256`.
    """
    for pattern in (_WORD, _HUMP):
        words = [word.lower() for word in pattern.findall(name)]
        while len(words) > 1 and (words[-1].isdecimal() or words[-1] == "value"):
            words.pop()
        if words:
            yield words


def _tell(words: list[str]) -> bool:
    last = words[-1]
    return (
        last in _LAST
        or last.rstrip("0123456789") in _LAST
        or (last in _LAST_BUT_NOT_ALONE and len(words) > 1)
        or tuple(words[-2:]) in _LAST_TWO
    )
