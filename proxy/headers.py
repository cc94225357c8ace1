"""Header fields: which travel on, which are ours, and how values are kept clean. Pure functions.

Raw fields are pairs of bytes as they were on the wire; order, case and repetition are kept. Text is
UTF-8 with surrogate escapes, so that bytes above 0x7F survive both ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

Field = tuple[bytes, bytes]

VIA: Field = (b"Via", b"1.1 brain")
"""What tells that a message came through here (RFC 9110, 7.6.3)."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""Fields that speak of one connection (RFC 9110, 7.6.1), and those that old clients treat so."""

FORWARDED = frozenset(
    {
        b"cf-connecting-ip",
        b"fastly-client-ip",
        b"forwarded",
        b"front-end-https",
        b"true-client-ip",
        b"x-brain-hops",
        b"x-brain-mirrored",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-host",
        b"x-http-host-override",
        b"x-original-forwarded-for",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-url",
        b"x-real-ip",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-url-scheme",
    }
)
"""Fields that say how a request came here, beside all `X-Forwarded-*`."""

_IDENTITY_PREFIXES = (b"x-user-", b"x-tenant-", b"x-auth-")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Controls, and the surrogates that no byte is read as, so that nothing could be written for them.
_UNCLEAN = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")


def is_identity(name: bytes) -> bool:
    """Tell whether lower-case `name` is a field by which a gateway tells an upstream who calls."""
    return name.startswith(_IDENTITY_PREFIXES)


def is_forwarding(name: bytes) -> bool:
    """Tell whether lower-case `name` says how a request came: replaced by ours, never passed on.

    Of the `X-Forwarded-*` family there is no list: proxies tell users, groups, tokens and client
    certificates by it too.
    """
    return name.startswith(b"x-forwarded") or name in FORWARDED


@lru_cache(maxsize=1024)
def is_name(name: str) -> bool:
    """Tell whether `name` is a field name: a token (RFC 9110, 5.1)."""
    return _NAME.fullmatch(name) is not None


def clean_value(name: str, value: str) -> str:
    """Return `value` when it may go on the wire as the field `name`.

    Raises TypeError for what is not text, ValueError for a name that is no token and for a value
    with CR, LF, NUL or another control (RFC 9110, 5.5). The message never repeats the value.
    """
    if type(value) is str and value.isprintable() and is_name(name):
        return value
    if not isinstance(value, str):
        raise TypeError(f"the value of header {name!r} is {type(value).__name__}, not str")
    if not is_name(name):
        raise ValueError("a header's name is not a token")
    if _UNCLEAN.search(value):
        raise ValueError(f"the value of header {name!r} has a control character")
    return value


def wire_field(name: str, value: str) -> Field:
    """Return a field of text as it goes on the wire. Raises as `clean_value` does."""
    return _wire_name(name), encode(clean_value(name, value))


@lru_cache(maxsize=1024)
def _wire_name(name: str) -> bytes:
    return encode(name)


def encode(text: str) -> bytes:
    """Return the bytes that were read as `text`."""
    return text.encode("utf-8", "surrogateescape")


def decode(raw: bytes) -> str:
    """Return `raw` as text from which `encode` makes the same bytes."""
    return raw.decode("utf-8", "surrogateescape")


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """Return the lower-case members of comma-separated lists, such as those of `Connection`."""
    return [
        token for value in values for part in value.split(b",") if (token := part.strip().lower())
    ]


def first(fields: Sequence[Field], name: str) -> bytes | None:
    """Return the value of the first field called `name`, in any case, or None."""
    wanted = _lower_name(name)
    for key, value in fields:
        if LOWER[key] == wanted:
            return value
    return None


@lru_cache(maxsize=1024)
def _lower_name(name: str) -> bytes:
    return encode(name.lower())


def without(fields: Iterable[Field], names: Iterable[bytes]) -> list[Field]:
    """Return the fields whose lower-case name is not among `names`."""
    dropped = frozenset(names)
    return [field for field in fields if field[0].lower() not in dropped]


def without_texts(fields: Iterable[Field], texts: Iterable[bytes]) -> list[Field]:
    """Return the fields whose value has none of `texts` in it."""
    return [field for field in fields if not any(text in field[1] for text in texts)]


def end_to_end(fields: Sequence[Field]) -> list[Field]:
    """Return the fields of an answer that are not hop-by-hop, nor named by its `Connection`."""
    named: frozenset[bytes] | set[bytes] = HOP_BY_HOP
    connection = [value for key, value in fields if key.lower() == b"connection"]
    if connection and not all(v.lower() in (b"close", b"keep-alive") for v in connection):
        named = HOP_BY_HOP | set(tokens(connection))
    return [field for field in fields if field[0].lower() not in named]


def render(fields: Iterable[Field]) -> bytes:
    """Return the fields as lines, each with its CRLF."""
    lines = b"\r\n".join(map(b": ".join, fields))
    return lines + b"\r\n" if lines else lines


class _Lower(dict[bytes, bytes]):
    """Names seen on the wire and their lower case; emptied when a peer has made it too large."""

    def __missing__(self, name: bytes) -> bytes:
        if len(self) >= _LOWER_MOST:
            self.clear()
        lower = name.lower()
        if len(name) <= _LOWER_LONGEST:
            self[name] = lower
        return lower


_LOWER_MOST = 1024
_LOWER_LONGEST = 64

LOWER: dict[bytes, bytes] = _Lower()
"""`LOWER[name]` is `name.lower()`: peers repeat the same few names with every message."""


class _Meant(_Lower):
    def __missing__(self, name: bytes) -> bytes:
        return super().__missing__(name.replace(b"_", b"-"))


MEANT: dict[bytes, bytes] = _Meant()
"""The same with `-` for `_`: what an upstream that makes variables of names takes a name for."""
