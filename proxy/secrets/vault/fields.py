"""From a JSON object to the fields of a secret: texts by name, none of them empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.ports.secrets import SecretMalformed

_EXACT = 2**53
"""Servers keep numbers as doubles: larger ones have lost digits."""


def fields_of_kv(data: Mapping[str, Any], place: str) -> dict[str, str]:
    """Return what somebody has written, as it stands. Raises SecretMalformed.

    A whole number is taken as its digits, and true and false as words. A fraction is no field: 1.10
    would come back as 1.1. Nor is what is empty, null, a list or an object: it is no credential, and
    may stand beside one.
    """
    made = ((name, _text(value)) for name, value in data.items())
    fields = {name: _checked(text, name, place) for name, text in made if text}
    if not fields:
        raise SecretMalformed(f"{place} has no fields that are texts")
    return fields


def merged(data: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return what is to be written in place of `data`, of which `fields` are to be the fields.

    What was no field stays, and what has not changed keeps its form.
    """
    kept = {name: value for name, value in data.items() if not _text(value)}
    same = {name: data[name] for name, text in fields.items() if _text(data.get(name)) == text}
    return {**kept, **fields, **same}


def fields_of_engine(data: Mapping[str, Any], place: str) -> dict[str, str]:
    """Return what an engine has made. Raises SecretMalformed.

    What it leaves empty or null is no field. A list of texts, such as a chain of certificates, is
    its lines; any other list, and an object, is left out: nobody can have meant it as a credential.
    """
    made = ((name, _made(value)) for name, value in data.items())
    fields = {name: _checked(text, name, place) for name, text in made if text}
    if not fields:
        raise SecretMalformed(f"{place} has no fields")
    return fields


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else _plain(value)


def _made(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(each.strip("\n") for each in value)
    return _text(value)


def _plain(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) and abs(value) < _EXACT else None


def _checked(text: str, name: str, place: str) -> str:
    if "\0" in text:
        raise SecretMalformed(f"{place}: field {name!a} holds a NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SecretMalformed(f"{place}: field {name!a} is no Unicode") from None
    return text
