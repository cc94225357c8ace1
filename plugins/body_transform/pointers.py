"""JSON Pointers (RFC 6901): where in a document a field stands."""

from __future__ import annotations

import re

Pointer = tuple[str, ...]
"""The names and indexes from the whole document down to the field, at least one."""

APPEND = "-"
"""What stands for the element behind the last one of an array (RFC 6901, 4)."""

_BAD_ESCAPE = re.compile("~(?![01])")


def parse(text: str) -> Pointer:
    """Return the pointer that `text` spells. Raises ValueError, whose message names the form."""
    if not text.startswith("/"):
        raise ValueError("a pointer begins with a slash, such as /user/name")
    if _BAD_ESCAPE.search(text):
        raise ValueError("in a pointer '~' is written ~0, and '/' within a name ~1")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))
