"""All who hold a key: of the option `keys`, with what stores keep of them, and of a file of keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from logging import Logger

from plugins.api_key.keys import Entry, Key, KeyRing, bytes_of, digests_of, key_of
from proxy import BoundSecret, ConfigError, SecretRef, Unavailable

Bound = Mapping[SecretRef, BoundSecret]


class Holders:
    """Makes a ring of keys, and makes it anew when the file or a store has other ones.

    `trouble` says which keys let nobody in; `away` that a store does not give one of them now.
    """

    def __init__(self, entries: Sequence[Entry], bound: Bound, by: str, log: Logger) -> None:
        self.trouble: list[str] = []
        self.away = False
        self._entries = entries
        self._of_file: Sequence[Entry] = ()
        self._bound = list(bound.values())
        self._look = bound
        self._by = by
        self._log = log
        self._made_of = -1
        self._ring = KeyRing(())

    @property
    def ring(self) -> KeyRing:
        """The keys of now."""
        # Versions only grow, so that their sum tells any change of one.
        version = sum(each.version for each in self._bound)
        if version != self._made_of:
            before = self.trouble
            self._made_of = version
            self._make()
            for why in self.trouble:
                if why not in before:
                    self._log.error("%s", why)
        return self._ring

    def told(self) -> list[str]:
        """Return what is wrong with the keys of now."""
        _ = self.ring
        return self.trouble

    def begin(self) -> None:
        """Make the ring. Raises ConfigError for a key that lets nobody in; later that is trouble."""
        self._make()
        if self.trouble:
            raise ConfigError(self.trouble[0])

    def take(self, of_file: Sequence[Entry]) -> None:
        """Hold these besides those of the option, in place of those that the file had before."""
        self._of_file = of_file
        self._made_of = -1

    def holds(self, name: str) -> bool:
        """Say whether the option has an entry of this name."""
        return any(entry["name"] == name for entry in self._entries)

    def knows(self, digest: str) -> bool:
        """Say whether the option has an entry with this digest."""
        listed = (each for entry in self._entries for each in digests_of(entry))
        return any(isinstance(each, str) and each.lower() == digest.lower() for each in listed)

    def _make(self) -> None:
        self.trouble, self.away = [], False
        keys: dict[bytes, Key] = {}
        several: set[bytes] = set()
        for key in self._keys():
            other = keys.setdefault(key.digest, key)
            if other.principal.subject != key.principal.subject:
                # Whose it is can't be told: it must not let one in as the other.
                names = f"'{other.principal.subject}' and '{key.principal.subject}'"
                self.trouble.append(f"{names} have the same key: it lets nobody in")
                several.add(key.digest)
        self._ring = KeyRing(key for digest, key in keys.items() if digest not in several)

    def _keys(self) -> Iterator[Key]:
        for entry in (*self._entries, *self._of_file):
            for place in digests_of(entry):
                try:
                    text = place if isinstance(place, str) else self._look[place].current
                    digest = bytes_of(text)
                except Unavailable as away:
                    self.away = True
                    self.trouble.append(f"key '{entry['name']}': {away}")
                except ValueError as error:
                    self.trouble.append(f"key '{entry['name']}': {place}: {error}")
                else:
                    yield key_of(entry, digest, self._by)
