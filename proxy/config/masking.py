"""What is shown of a line that holds a credential: `********`, with the caret where it belongs."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "********"

Range = tuple[int, int]
"""First column and the one behind the last, from 0."""

# A password may hold anything: from "://" to the last "@" before a space or a quote.
_USERINFO = re.compile(r"(?<=://)[^\s\"'/?#@]*(?::[^\s\"']*)?(?=@)")


def without_userinfo(text: str) -> str:
    """Return a text in which no URL shows a user name or a password (RFC 3986, 3.2.1)."""
    return _USERINFO.sub(MASK, text) if "@" in text else text


# A whole reference of the environment's, with its default, or of a request's values.
_REFERENCE = re.compile(r"(\$\{[A-Z_][A-Z0-9_]*|\$\{[a-z][^{}]*)(:-[^{}]*|)\}")
_HARMLESS = re.compile(r"[ ,:;]*|(?:Bearer|Basic|Token|token) ")


def without_literals(text: str) -> str:
    """Keep the references of a credential and a scheme before them, as in `Bearer ${TOKEN}`."""
    references = [f"{found[1]}{found[2] and f':-{MASK}'}}}" for found in _REFERENCE.finditer(text)]
    if not references:
        return MASK
    shown = iter(references)
    literals = _REFERENCE.split(text)[:: _REFERENCE.groups + 1]
    hidden = [each if _HARMLESS.fullmatch(each) else MASK for each in literals]
    return "".join(each + next(shown, "") for each in hidden)


def masked(text: str, hidden: Iterable[Range], start: int, length: int) -> tuple[str, int, int]:
    """Return a line as it is shown, and where `length` columns from `start` stand in it."""
    ranges = _joined([*hidden, *(found.span() for found in _USERINFO.finditer(text))])
    pieces, at = [], 0
    for first, end in ranges:
        pieces += [text[at:first], MASK]
        at = end
    begin, behind = _moved(start, ranges, 0), _moved(start + length, ranges, len(MASK))
    return "".join([*pieces, text[at:]]), begin, max(1, behind - begin)


def _joined(ranges: Iterable[Range]) -> list[Range]:
    joined: list[Range] = []
    for first, end in sorted(ranges):
        if joined and first < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        elif end > first:
            joined.append((first, end))
    return joined


def _moved(column: int, ranges: Iterable[Range], inside: int) -> int:
    """Return where a column went; one inside a mask is `inside` columns from its start."""
    shift = 0
    for first, end in ranges:
        if column <= first:
            break
        if column < end:
            return first + shift + inside
        shift += len(MASK) - (end - first)
    return column + shift
