"""Environment values: `${NAME}` and `${NAME:-default}`, put in once, never scanned again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME = re.compile(r"([A-Z_][A-Z0-9_]*)(:-(.*))?", re.DOTALL)
_PER_REQUEST = re.compile(r"[a-z][^{}]*")


@dataclass(frozen=True, slots=True)
class Expanded:
    """A text with its environment values in.

    `value` is what it means where templates are not known; `template` the same for
    `proxy.templates`. `whole` says that the text was one reference and nothing else; `empty` names
    the first variable that is set to nothing.
    """

    value: str
    template: str
    whole: bool
    empty: str | None = None


class BadReference(ValueError):
    """A reference without a value (`unset` names it) or of no known form, by its offset."""

    def __init__(self, offset: int, length: int, unset: str | None = None) -> None:
        self.offset = offset
        self.length = length
        self.unset = unset
        super().__init__(unset or "malformed")


class _Piece(NamedTuple):
    """Literal text, or a per-request reference with its `${}`."""

    text: str
    literal: bool = True


def expand(text: str, environment: Mapping[str, str]) -> Expanded:
    """Put environment values into `text`. Raises BadReference."""
    pieces = _joined(_pieces(text, environment))
    only = _TOKEN.fullmatch(text)
    return Expanded(
        value="".join(piece.text for piece in pieces),
        template="".join(
            piece.text.replace("${", "$${") if piece.literal else piece.text for piece in pieces
        ),
        whole=only is not None and bool(_NAME.fullmatch(only[1] or "")),
        empty=next(_empty(text, environment), None),
    )


def _empty(text: str, environment: Mapping[str, str]) -> Iterator[str]:
    for found in _TOKEN.finditer(text):
        name = _NAME.fullmatch(found[1] or "")
        if name and not name[2] and environment.get(name[1]) == "":
            yield name[1]


def _pieces(text: str, environment: Mapping[str, str]) -> Iterator[_Piece]:
    start = 0
    for found in _TOKEN.finditer(text):
        yield _Piece(text[start : found.start()])
        yield _piece(found, environment)
        start = found.end()
    yield _Piece(text[start:])


def _piece(found: re.Match[str], environment: Mapping[str, str]) -> _Piece:
    if found[0] == "$${":
        return _Piece("${")
    inside = found[1] or ""
    if name := _NAME.fullmatch(inside):
        known = environment.get(name[1])
        if name[2]:  # as in a shell, the default also stands in for an empty value
            known = known or name[3]
        if known is None:
            raise BadReference(found.start(), len(found[0]), name[1])
        return _Piece(known)
    if _PER_REQUEST.fullmatch(inside):
        return _Piece(found[0], literal=False)
    raise BadReference(found.start(), len(found[0]))


def _joined(pieces: Iterator[_Piece]) -> list[_Piece]:
    """Join neighbouring literals, so that a `${` put together from two of them is literal too.

    Raises BadReference for a literal that ends in `$` before a reference: that would spell `$${`.
    """
    joined: list[_Piece] = [_Piece("")]
    for piece in pieces:
        last = joined[-1]
        if piece.literal and last.literal:
            joined[-1] = _Piece(last.text + piece.text)
        elif not piece.literal and last.text.endswith("$"):
            raise BadReference(0, len(piece.text))
        else:
            joined.append(piece)
    return joined
