"""Hashes of passwords: which are strong enough, and whether a password is theirs."""

from __future__ import annotations

import re
from importlib.util import find_spec

_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,3})\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{21,}"
)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")

LEAST_MEMORY = 7 * 1024
LEAST_WORK = 35 * 1024
"""KiB, and KiB times rounds: the least of OWASP's settings of equal strength for argon2id."""

MOST_MEMORY = 256 * 1024
LEAST_COST, MOST_COST = 10, 15
"""Of bcrypt: OWASP's least, and one that takes seconds."""

LIBRARIES = {"$argon2id$": "argon2", "$2": "bcrypt"}


def fault_of(text: str) -> str | None:
    """Return what is wrong with a hash, None for one that may be used. The hash is never part of it."""
    argon2 = _ARGON2.fullmatch(text)
    if argon2 is not None:
        memory, rounds = int(argon2[1]), int(argon2[2])
        if memory < LEAST_MEMORY or memory * rounds < LEAST_WORK:
            return "this hash is too cheap to guess: m=19456,t=2 is the least that is recommended"
        return "this hash needs over 256 MiB a check" if memory > MOST_MEMORY else None
    bcrypt = _BCRYPT.fullmatch(text)
    if bcrypt is not None:
        if int(bcrypt[1]) < LEAST_COST:
            return f"this hash is too cheap to guess: its cost must be {LEAST_COST} or more"
        return "a check of this hash takes seconds" if int(bcrypt[1]) > MOST_COST else None
    return "this is no hash of argon2id or bcrypt"


def missing_library(text: str) -> str | None:
    """Return the library that a hash needs and that is not installed."""
    for begins, library in LIBRARIES.items():
        if text.startswith(begins) and find_spec(library) is None:
            return library
    return None


def matches(text: str, password: str) -> bool:
    """Tell whether a hash is that of a password, in constant time. It takes long: for a thread."""
    if text.startswith("$2"):
        import bcrypt

        try:
            return bcrypt.checkpw(password.encode(), text.encode())
        except ValueError:  # over 72 bytes, of which bcrypt knows the first only
            return False
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(text, password)
    except (Argon2Error, InvalidHashError):
        return False
