"""What is shown of a line that holds a credential: `********`, with the caret where it belongs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from proxy.config.credentials import REFERENCE, SCHEMES, Range, Telling, credentials
from proxy.config.telling import is_telling_field

MASK = "********"

_HARMLESS = re.compile(rf"[ ,:;]*|(?:{SCHEMES}) ", re.IGNORECASE)


def without_credentials(text: str, is_telling: Telling = is_telling_field) -> str:
    """Return a text without the credentials in it; `is_telling` judges the names of parameters."""
    return _covered(text, _joined(credentials(text, is_telling)))


def without_literals(text: str) -> str:
    """Keep the references of a credential and a scheme before them, as in `Bearer ${TOKEN}`."""
    references = [f"{found[1]}{found[2] and f':-{MASK}'}}}" for found in REFERENCE.finditer(text)]
    if not references:
        return MASK
    shown = iter(references)
    literals = REFERENCE.split(text)[:: REFERENCE.groups + 1]
    hidden = [each if _HARMLESS.fullmatch(each) else MASK for each in literals]
    return "".join(each + next(shown, "") for each in hidden)


def masked(text: str, hidden: Iterable[Range], start: int, length: int) -> tuple[str, int, int]:
    """Return a line as it is shown, and where `length` columns from `start` stand in it."""
    ranges = _joined([*hidden, *credentials(text, is_telling_field)])
    begin, behind = _moved(start, ranges, 0), _moved(start + length, ranges, len(MASK))
    return _covered(text, ranges), begin, max(1, behind - begin)


def _covered(text: str, ranges: Iterable[Range]) -> str:
    pieces, at = [], 0
    for first, end in ranges:
        pieces += [text[at:first], MASK]
        at = end
    return "".join([*pieces, text[at:]])


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
