"""`match:` of a route: path patterns, and tests on header and query values."""

from __future__ import annotations

import re
from functools import lru_cache

from proxy.config.addresses import check_path
from proxy.config.models import PathPattern, ValueTest
from proxy.paths import canonical

_SEGMENT = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_BRACES = re.compile(r"[{}*]")
_EXPRESSION = re.compile(r"[\[\]()\\^$+]|\.\*")
NO_EXPRESSION = "paths are no regular expressions; use {name} or /*"
_FORM = "'/x' matches /x and /x/, '/x/*' all below too, '{name}' is one whole segment"


@lru_cache(maxsize=4096)
def parse_pattern(text: str) -> PathPattern:
    """Compile a path pattern. Raises ValueError that names the accepted forms."""
    try:
        return _parsed(text)
    except ValueError:
        if sign_of_expression(text):
            raise ValueError(NO_EXPRESSION) from None
        raise


def sign_of_expression(text: str) -> str | None:
    """Return the first sign that means something in a regular expression and nothing here."""
    found = _EXPRESSION.search(text)
    return found[0] if found else None


def _parsed(text: str) -> PathPattern:
    if not text.startswith("/"):
        raise ValueError(f"a path begins with '/': {_FORM}")
    prefix = text.endswith("/*")
    body = text[:-1] if prefix else text
    check_path(_SEGMENT.sub("x", body))
    parts = [part for part in body.split("/") if part]
    segments = tuple(_segment(part) for part in parts)
    names = tuple(found[1] for part in parts if (found := _SEGMENT.fullmatch(part)))
    if len(set(names)) < len(names):
        raise ValueError("a path names each of its segments differently")
    return PathPattern(text, segments, names, prefix)


def _segment(part: str) -> str | None:
    if _SEGMENT.fullmatch(part):
        return None
    if _BRACES.search(part):
        raise ValueError(_FORM)
    return canonical(f"/{part}")[1:]


def literal_path(path: str) -> str:
    """Return the canonical view of a prefix: what requests are compared with."""
    return canonical(path) if path else ""


def parse_test(name: str, value: object) -> ValueTest:
    """Read one header or query predicate: a text, a text with `*` at its end, true or false."""
    if isinstance(value, bool):
        return ValueTest(name, present=value)
    text = str(value)
    if text.endswith("*"):
        return ValueTest(name, text[:-1], prefix=True)
    return ValueTest(name, text)
