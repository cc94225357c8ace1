"""The options of `basic`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAKE_ONE = (
    "python -c 'import argon2, getpass; print(argon2.PasswordHasher().hash(getpass.getpass()))'"
)
"""Asks for a password and prints its hash, with what the extra installs."""

REMEDY = f"make one: {MAKE_ONE}"


def _words(text: str) -> Mapping[str, Any]:
    return {
        "type": "array",
        "default": [],
        "items": {"type": "string", "minLength": 1, "description": "One name."},
        "description": f"{text} Default none.",
    }


_HASH: Mapping[str, Any] = {
    "anyOf": [
        {
            "type": "string",
            "writeOnly": True,
            "minLength": 1,
            "description": "The hash itself.",
        },
        {
            "type": "object",
            "format": "secret",
            "description": "Where the hash is kept: {secret: path, field: name}.",
        },
    ],
    "description": "Hash of the password: argon2id ($argon2id$…) or bcrypt ($2b$…), in the file or in a "
    f"secret store; one that is changed there holds at once. {MAKE_ONE} makes one. "
    "Of a password bcrypt takes 72 bytes at most.",
}

_USER: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "hash"],
    "description": "One user.",
    "properties": {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            "pattern": "^[^:\\x00-\\x1f\\x7f-\\x9f]+$",
            "description": "The user's name, and the principal's subject. It can't hold a colon.",
        },
        "hash": _HASH,
        "tenant": {
            "type": "string",
            "minLength": 1,
            "description": "The principal's tenant. Default none.",
        },
        "scopes": _words("What the user may do, for authorize."),
        "roles": _words("What the user is, for authorize and identity headers."),
    },
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["users"],
    "description": "Lets users in by name and password (RFC 7617), for tools that can do nothing "
    "better. Over plain http anybody on the way reads them. Needs the extra 'basic' "
    "(pip install 'brain-gateway[basic]').",
    "properties": {
        "users": {
            "type": "array",
            "minItems": 1,
            "items": _USER,
            "description": "The users. A name that is there twice is an error.",
        },
        "realm": {
            "type": "string",
            "pattern": "^[ !#-\\[\\]-~]{1,64}$",
            "default": "brain",
            "description": "What browsers show when they ask, and keep passwords by: ASCII without "
            "quotes and backslashes. Default brain.",
        },
        "remember": {
            "type": "string",
            "format": "duration",
            "default": "60s",
            "description": "How long after its last use a good password is known again without being "
            "checked: a check takes a tenth of a second or more, and may find others waiting. "
            "Default 60s; 0s checks each time.",
        },
        "checks": {
            "type": "integer",
            "minimum": 1,
            "maximum": 64,
            "default": 2,
            "description": "How many passwords are checked at once, each on a thread of its own and in "
            "the memory that its hash asks for. Default 2. Eight times as many may wait; what comes "
            "then answers 503 password_checks_busy, and so does what one client address asks beyond "
            "half of that.",
        },
    },
}
