"""What is kept of one path of a store: the fields that somebody asked for, as fresh as can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic

from proxy.ports.secrets import (
    SecretError,
    SecretForbidden,
    SecretMissing,
    SecretRef,
    SecretStore,
)
from proxy.secrets.bound import Bound

log = logging.getLogger("brain.secrets")

STALE = 3600.0
"""Seconds for which a value is used that a store in trouble can't confirm."""


class Kept:
    """Asks a store for one path, and hands its fields to all that are bound to them.

    A field that is gone, or that the store forbids, is forgotten at once: somebody has taken it
    back. While the store is in trouble, what it gave last is used for `STALE` seconds.
    """

    def __init__(
        self, store: SecretStore, path: str, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._store = store
        self._path = path
        self._clock = clock
        self._bound: dict[str, Bound] = {}
        self._confirmed = clock()
        self._trouble: str | None = None

    @property
    def bound(self) -> Iterable[Bound]:
        """All that is bound to a field of this path."""
        return self._bound.values()

    async def bind(self, reference: SecretRef) -> Bound | None:
        """Return what is kept of the field, fetched now. None where the store has no such field.

        Raises SecretError.
        """
        value = (await self._store.get(self._path)).get(reference.field)
        known = self._bound.get(reference.field)
        if value is None:
            return None
        if known is None:
            known = self._bound[reference.field] = Bound(reference, value)
        else:
            self._renew(known, value)
        return known

    async def refresh(self) -> None:
        """Ask the store again, and log what has changed: each change once."""
        try:
            fields = await self._store.get(self._path)
            values = {name: fields.get(name) for name in self._bound}
        except (SecretMissing, SecretForbidden) as error:
            self._evict(str(error))
        except SecretError as error:
            self._keep(str(error))
        except Exception as error:  # a store may fail in any way, and its words may hold anything
            self._keep(f"the store failed: {type(error).__name__}")
        else:
            self._take(values)

    def _take(self, values: Mapping[str, str | None]) -> None:
        self._confirmed = self._clock()
        if self._trouble is not None:
            self._trouble = None
            log.info("secret %s: the store gives it again", self._path)
        for name, value in values.items():
            bound = self._bound[name]
            if value is not None:
                self._renew(bound, value)
            elif bound.evict("the store has no such field any more"):
                log.error("secret %s: %s", bound.reference, bound.why)

    def _renew(self, bound: Bound, value: str) -> None:
        if bound.renew(value):
            log.info("secret %s: a new value, version %d", bound.reference, bound.version)

    def _keep(self, why: str) -> None:
        if self._clock() - self._confirmed >= STALE:
            self._evict(why)
        elif why != self._trouble:
            log.warning("secret %s: %s; its last value stays in use", self._path, why)
        self._trouble = why

    def _evict(self, why: str) -> None:
        self._trouble = why
        gone = [each for each in self._bound.values() if each.evict(why)]
        if gone:
            log.error("secret %s: %s; it is not used any more", self._path, why)
