"""The keys of one file: digests, who they stand for, and until when."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from proxy import Principal, Problems


@dataclass(frozen=True, slots=True)
class Key:
    """One key as the file has it. `expires` is in seconds since 1970, None for never."""

    digest: bytes
    principal: Principal
    expires: float | None


class KeyRing:
    """Finds a key by what a caller presents."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.digest: key for key in keys}

    def find(self, presented: str) -> Key | None:
        """Return the key, in a time that tells nothing of those there are.

        The look-up compares SHA-256 digests, which a caller can't steer towards a stored one; the
        last comparison is constant-time all the same, for whoever makes keys of less entropy.
        """
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        key = self._keys.get(digest)
        return key if key is not None and hmac.compare_digest(key.digest, digest) else None


def keys_of(entries: Iterable[Mapping[str, Any]], by: str) -> Iterator[Key]:
    """Yield the keys of the option `keys`; `by` is the authenticator's identity."""
    for entry in entries:
        principal = Principal(
            subject=entry["name"],
            tenant=entry.get("tenant"),
            scopes=frozenset(entry["scopes"]),
            roles=frozenset(entry["roles"]),
            by=by,
        )
        for digest in digests_of(entry):
            yield Key(bytes.fromhex(digest), principal, _end_of(entry))


def digests_of(entry: Mapping[str, Any]) -> list[str]:
    """Return one or two digests: two while callers move from the old key to the new one."""
    given = entry["sha256"]
    return [given] if isinstance(given, str) else list(given)


def moment_of(text: str) -> datetime:
    """Return when a key ends: a date means the end of that day in UTC, as on a bank card.

    Raises ValueError for another form than RFC 3339's, and for a time without an offset.
    """
    if len(text) == len("2027-01-31"):
        day = date.fromisoformat(text) + timedelta(days=1)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return moment


def check_keys(entries: Iterable[Mapping[str, Any]], now: float, problems: Problems) -> None:
    """Report what is there twice, ends that can't be read, and keys that have ended."""
    names: set[str] = set()
    digests: set[str] = set()
    for index, entry in enumerate(entries):
        if entry["name"] in names:
            problems.add(f"keys.{index}.name", f"two keys are named '{entry['name']}'")
        names.add(entry["name"])
        for digest in map(str.lower, digests_of(entry)):
            if digest in digests:
                problems.add(f"keys.{index}.sha256", "this digest is there twice")
            digests.add(digest)
        _check_end(entry, f"keys.{index}.expires", now, problems)


def _check_end(entry: Mapping[str, Any], option: str, now: float, problems: Problems) -> None:
    try:
        end = _end_of(entry)
    except (ValueError, OverflowError):
        problems.add(
            option,
            "expected a date or a date and time with an offset",
            hint="write 2027-01-31 or 2027-01-31T12:00:00Z",
        )
        return
    if end is not None and end <= now:
        problems.warn(option, f"the key '{entry['name']}' has expired: nobody gets in with it")


def _end_of(entry: Mapping[str, Any]) -> float | None:
    text = entry.get("expires")
    return None if text is None else moment_of(text).timestamp()
