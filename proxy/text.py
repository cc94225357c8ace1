"""Text of strangers, made fit for a log line or a terminal."""

from __future__ import annotations


def printable(text: str, longest: int | None = None) -> str:
    """Return `text` cut at `longest` characters, with escapes for what is not printable.

    Controls, bidirectional marks and bytes that are no UTF-8 (surrogates) are escaped: a client's
    bytes must neither forge a line nor obey a terminal.
    """
    text = text[:longest]
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
