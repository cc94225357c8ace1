"""Keys as they are looked up: digests, who they stand for, and until when."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from plugins.api_key.ends import end_of
from proxy import Principal, SecretRef

Entry = Mapping[str, Any]
"""One caller, as the option `keys` or the file of keys has it."""

_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `expires` is in seconds since 1970, None for never."""

    digest: bytes
    principal: Principal
    expires: float | None


_NOBODY = Key(bytes(32), Principal(subject="nobody"), 0.0)


class KeyRing:
    """Finds a key by what a caller presents."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.digest: key for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, presented: str) -> Key | None:
        """Return the key, in a time that tells nothing of those there are.

        The look-up compares SHA-256 digests, which a caller can't steer towards a stored one; the
        last comparison is constant-time all the same, for whoever makes keys of less entropy, and
        is made for a key that nobody has too.
        """
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        key = self._keys.get(digest, _NOBODY)
        same = hmac.compare_digest(key.digest, digest)
        return key if same and key is not _NOBODY else None


def key_of(entry: Entry, digest: bytes, by: str) -> Key:
    """Return one key of an entry; `by` is the authenticator's identity."""
    principal = Principal(
        subject=entry["name"],
        tenant=entry.get("tenant"),
        scopes=frozenset(entry["scopes"]),
        roles=frozenset(entry["roles"]),
        by=by,
    )
    return Key(digest, principal, end_of(entry))


def digests_of(entry: Entry) -> list[str | SecretRef]:
    """Return one or two digests, or where they are kept: two while callers move to a new key."""
    given = entry["sha256"]
    return list(given) if isinstance(given, list) else [given]


def bytes_of(text: str) -> bytes:
    """Return a digest. Raises ValueError, which does not repeat it: it may be the key itself."""
    if not _DIGEST.fullmatch(text.strip()):
        raise ValueError("expected 64 hexadecimal digits, the SHA-256 of the key")
    return bytes.fromhex(text.strip())


def references_in(entries: Iterable[Entry]) -> Iterator[SecretRef]:
    """Yield all places in stores that entries name."""
    for entry in entries:
        yield from (each for each in digests_of(entry) if isinstance(each, SecretRef))
