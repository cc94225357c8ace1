"""Where credentials stand inside of a text, whatever the text is: a header, an option, a message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_plus

Range = tuple[int, int]
"""First column and the one behind the last, from 0."""

Telling = Callable[[str], bool]

SCHEMES = "ApiKey|Basic|Bearer|Digest|Negotiate|Token"
"""Authentication schemes (RFC 9110, 11.1): a credential follows, in any case of letters."""

REFERENCE = re.compile(r"(\$\{[A-Z_][A-Z0-9_]*|\$\{[a-z][^{}]*)(:-[^{}]*|)\}")
"""A whole reference of the environment's, with its default, or of a request's values."""

# A password may hold anything: from "://" to the last "@" before a space or a quote.
_USERINFO = re.compile(r"(?<=://)[^\s\"'/?#@]*(?::[^\s\"']*)?(?=@)")

_SCHEME = re.compile(
    rf"(?<![\w-])(?P<scheme>{SCHEMES})(?:\s|%20|\+)+"
    r"(?P<rest>(?:\w+=(?:\"[^\"]*\"|[^\s\"',;=][^\s\"',;]*)(?:\s*,\s*)?)+|(?:\$\{[^{}]*\}|[^\s\"',;<>])+)",
    re.IGNORECASE,
)
_WRITTEN = frozenset(SCHEMES.split("|"))
_BEGINS_VALUE = re.compile(r"(?:^|[:=\"'])\s*\Z")
_SENTENCE = (
    "a an and are as at auth authentication authorization by credential credentials for from has "
    "in is no of on or scheme that the to token tokens was with"
)
_PROSE = frozenset(_SENTENCE.split())
_LIKELY = re.compile(r"(?=.{8}).+?[A-Z0-9]")
_CHALLENGE = re.compile(r"realm=(?!.*\bresponse=)", re.IGNORECASE | re.DOTALL)

_PARAMETER = re.compile(r"[?&;#]([^\s=&?#;\"'<>/]{1,128})=")
# A quote is a part of a query (RFC 3986, 3.4), but for one that ends a word.
_VALUE = re.compile(r"(?:[^\s&#\"<>']|'(?![\s,}\])]|$))*")
_DEPTH = 3
"""How often a URL is looked for in a parameter of another one."""


def credentials(text: str, is_telling: Telling) -> Iterator[Range]:
    """Yield what may not be shown, in no order; ranges may overlap.

    That is the user and the password of URLs (RFC 3986, 3.2.1), what follows a scheme, as in
    `Basic c2VjcmV0`, and the values of parameters whose names `is_telling` calls telling.
    """
    return _credentials(text, is_telling, _DEPTH)


def _credentials(text: str, is_telling: Telling, depth: int) -> Iterator[Range]:
    if "@" in text:
        yield from (found.span() for found in _USERINFO.finditer(text))
    for found in _SCHEME.finditer(text):
        if _is_credential(text, found):
            yield from _literals(text, *found.span("rest"))
    if "=" in text:
        yield from _parameters(text, is_telling, depth)


def _is_credential(text: str, found: re.Match[str]) -> bool:
    """Tell a scheme from a word of a sentence: `the basic idea`, `a Bearer token`."""
    rest = found["rest"]
    if rest.rstrip(".:)").lower() in _PROSE or _CHALLENGE.match(rest):
        return False
    if found["scheme"] in _WRITTEN or _LIKELY.match(rest):
        return True
    return _BEGINS_VALUE.search(text[max(0, found.start() - 8) : found.start()]) is not None


def _literals(text: str, start: int, end: int) -> Iterator[Range]:
    """Yield what stands around references, and their defaults."""
    for found in REFERENCE.finditer(text, start, end):
        yield start, found.start()
        if found[2]:
            yield found.start(2) + len(":-"), found.end(2)
        start = found.end()
    yield start, end


def _parameters(text: str, is_telling: Telling, depth: int) -> Iterator[Range]:
    for found in _PARAMETER.finditer(text):
        value = _VALUE.match(text, found.end())
        if value is None or not value[0]:
            continue
        if is_telling(unquote_plus(found[1])):
            yield from _literals(text, *value.span())
        elif depth and "%" in value[0] and _holds_any(value[0], is_telling, depth - 1):
            yield value.span()


def _holds_any(value: str, is_telling: Telling, depth: int) -> bool:
    """Say whether a value holds a credential behind its encoding, or behind one inside of it."""
    for left in range(depth, -1, -1):
        encoded, value = value, unquote_plus(value)
        if any(start < end for start, end in _credentials(value, is_telling, left)):
            return True
        if encoded == value:
            break
    return False
