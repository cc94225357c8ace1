"""Hashes of passwords: which may be used, and whether a password is theirs."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from importlib import import_module

_NUMBER = "([1-9][0-9]{0,6})"  # as the library reads it: no zeros in front
_ARGON2 = re.compile(
    rf"\$argon2id\$v=19\$m={_NUMBER},t={_NUMBER},p={_NUMBER}"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)
_BCRYPT = re.compile(r"\$2[aby]\$([0-3][0-9])\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})")

LEAST_MEMORY = {1: 47104, 2: 19456, 3: 12288, 4: 9216, 5: 7168}
"""KiB that argon2id needs with so many rounds: OWASP's settings of equal strength."""

MOST_MEMORY = 256 * 1024
MOST_WORK = 1024 * 1024
MOST_LANES = 16
"""KiB, KiB times rounds, and threads of one check by argon2id: about a second of a processor."""

LEAST_COST, MOST_COST = 10, 14
"""Of bcrypt: OWASP's least, and one that takes about a second."""

BCRYPT_READS = 72
"""Bytes of a password that bcrypt knows of."""

LIBRARIES = ("argon2", "bcrypt")


def fault_of(text: str) -> str | None:
    """Return what is wrong with a hash, None for one that may be used. The hash is never part of it."""
    if (argon2 := _ARGON2.fullmatch(text)) is not None:
        memory, rounds, lanes = map(int, argon2.groups()[:3])
        return _of_argon2(memory, rounds, lanes) or _unless(*map(_is_base64, argon2.groups()[3:]))
    if (bcrypt := _BCRYPT.fullmatch(text)) is not None:
        # Bits behind the last byte are nought: the library matches nothing otherwise.
        whole = bcrypt[2][-1] in ".Oeu" and bcrypt[3][-1] in ".CGKOSWaeimquy26"
        return _of_bcrypt(int(bcrypt[1])) or _unless(whole)
    return "this is no hash of argon2id or bcrypt"


def _of_argon2(memory: int, rounds: int, lanes: int) -> str | None:
    if memory < LEAST_MEMORY[min(rounds, max(LEAST_MEMORY))]:
        return "this hash is too cheap to guess: m=19456,t=2 is the least that is recommended"
    if memory > MOST_MEMORY:
        return "this hash needs over 256 MiB a check"
    if memory * rounds > MOST_WORK:
        return "a check of this hash takes seconds"
    return f"a check of this hash takes {lanes} threads" if lanes > MOST_LANES else None


def _of_bcrypt(cost: int) -> str | None:
    if cost < LEAST_COST:
        return f"this hash is too cheap to guess: its cost must be {LEAST_COST} or more"
    return "a check of this hash takes seconds" if cost > MOST_COST else None


def _unless(*whole: bool) -> str | None:
    return None if all(whole) else "this hash is cut or mistyped: no password would be its own"


def _is_base64(text: str) -> bool:
    try:
        raw = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
    return b64encode(raw).rstrip(b"=") == text.encode()


def load_libraries() -> None:
    """Import what checks passwords; 30 ms, for a thread. Raises ImportError where one is absent.

    Both, since a hash that a store keeps may become one of the other kind.
    """
    import_module("argon2.exceptions")
    import_module("bcrypt")


def matches(text: str, password: str) -> bool:
    """Tell whether a hash is that of a password, in constant time. It takes long: for a thread."""
    if text.startswith("$2"):
        import bcrypt

        given = password.encode()
        return len(given) <= BCRYPT_READS and bcrypt.checkpw(given, text.encode())
    from argon2 import PasswordHasher
    from argon2.exceptions import VerifyMismatchError

    try:
        return PasswordHasher().verify(text, password)
    except VerifyMismatchError:
        return False
