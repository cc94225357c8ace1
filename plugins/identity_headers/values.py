"""What stands in a header for a principal: a text that means one thing to every upstream."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from proxy import Principal

_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_SAFE_IN_LIST = _SAFE.replace(",", "")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def value_of(name: str, principal: Principal) -> str | None:
    """Return the value that a dotted name means, ready for a header; None where there is none.

    Raises ValueError for a control character, and for what is no text in UTF-8.
    """
    root, _, rest = name.partition(".")
    if root == "claims":
        return _written(_claim(rest, principal.claims))
    values: Mapping[str, Any] = {
        "subject": principal.subject,
        "tenant": principal.tenant,
        "roles": sorted(principal.roles),
    }
    return _written(values[rest])


def _claim(path: str, claims: Mapping[str, Any]) -> Any:
    # An address that nobody has proved is his would open whoever's account has it.
    if path == "email" and claims.get("email_verified") in (False, "false"):
        return None
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _written(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return _joined(value)
    text = _text(value)
    return _encoded(text, _SAFE) if text else None


def _joined(values: Iterable[Any]) -> str | None:
    """Return a list with commas between; None where it holds what is no text, or nothing."""
    texts = [_text(value) for value in values]
    if None in texts:
        return None
    return ",".join(_encoded(text, _SAFE_IN_LIST) for text in texts if text) or None


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _encoded(text: str, safe: str) -> str:
    """Percent-encode what would not arrive as it is (RFC 9110, 5.5, wants ASCII of new fields).

    Servers read other bytes as Latin-1, UTF-8 or nothing. Spaces at an end are no part of a value
    there, so "admin " would become "admin"; "%" is encoded so that decoding is exact.
    """
    if _CONTROL.search(text):
        raise ValueError("it has a control character")
    encoded = quote(text, safe=safe)
    inner = encoded.strip(" ")
    if len(inner) == len(encoded):
        return encoded
    before = len(encoded) - len(encoded.lstrip(" "))
    return "%20" * before + inner + "%20" * (len(encoded) - len(inner) - before)
