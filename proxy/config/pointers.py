"""JSON pointers as the language writes them (RFC 6901), with `*` for any one member or element."""

from __future__ import annotations

import re

POINTER_FORM = "a JSON pointer such as /data/updatedAt, or /items/*/id for every element"

_TILDE = re.compile(r"~(?![01])")


def parse_pointer(text: str) -> tuple[str | None, ...]:
    """Return the tokens of a pointer, None for `*`. Raises ValueError, which names the form.

    The whole document ("") is no pointer here: nothing would be left to compare.
    """
    if not text.startswith("/") or _TILDE.search(text):
        raise ValueError(f"expected {POINTER_FORM}; '~' in a name is ~0, '/' is ~1")
    return tuple(None if part == "*" else unescaped(part) for part in text[1:].split("/"))


def unescaped(token: str) -> str:
    """Return the name that a token stands for."""
    return token.replace("~1", "/").replace("~0", "~")


def escaped(name: str) -> str:
    """Return the token that stands for a name."""
    return name.replace("~", "~0").replace("/", "~1")
