"""Which answers are stored, and as what."""

from __future__ import annotations

from collections.abc import Sequence

from plugins.cache.asked import Asked
from plugins.cache.dates import format_date
from plugins.cache.entry import Entry, Variant
from plugins.cache.fields import LOWER, Field, Values, by_name, names_in, whole_number
from plugins.cache.parts import Parts
from plugins.cache.policy import forbids, is_shared
from plugins.cache.scopes import NOBODYS
from plugins.cache.streams import speaks_of_stream
from proxy import Answer, Exchange

_NEVER = frozenset({101, 206, 304})

_TELLING = frozenset({b"cache-control", b"expires"})
"""Fields that say how long an answer may be used. Without them the upstream has left it open."""

_IN_KEY = frozenset({b"host", b"x-forwarded-host", b"x-forwarded-prefix", b"x-forwarded-proto"})
"""Fields that the gateway writes, whose values every key holds."""

_OURS = (b"*", b"forwarded", b"x-forwarded-", b"x-brain-")
"""How names begin that no request is compared by: the gateway writes them behind the chain."""


class Keeper:
    """Judges the answers to one request."""

    __slots__ = ("_asked", "_exchange", "_outgoing", "_parts", "_target")

    def __init__(self, parts: Parts, asked: Asked, exchange: Exchange) -> None:
        self._parts = parts
        self._asked = asked
        self._exchange = exchange
        self._outgoing = exchange.outgoing
        self._target = exchange.outgoing.target

    def dated(self, fields: Sequence[Field]) -> list[Field]:
        """Return fields that have a Date: of what comes without one it is now (RFC 9110, 6.6.1)."""
        if any(LOWER[name] == b"date" for name, _ in fields):
            return list(fields)
        return [*fields, (b"Date", format_date(self._parts.now()))]

    def entry_of(self, answer: Answer, began: float) -> Entry | None:
        """Return what this answer is stored as, its body aside; None when it is not to be stored."""
        if self._asked.head or self._asked.says(b"no-store") or answer.error is not None:
            return None
        fields = self.dated(answer.wire_fields())
        values = by_name(fields)
        if _TELLING.isdisjoint(values) and not self._assumes:
            return None  # most answers that are not to be stored say nothing at all
        if not self.storable(answer.status, values):
            return None
        variant = self.variant(values)
        kept = self._parts.rules.storable(self._asked, answer.status, fields)
        if variant is None or kept is None:
            return None
        entry = self.made(variant, answer.status, answer.reason, kept, began)
        return entry if self._is_useful(entry) else None

    def storable(self, status: int, values: Values) -> bool:
        """Tell whether an answer with these fields may be stored, as far as it is the gateway's say."""
        most = self._parts.max_entry
        length = whole_number(values.get(b"content-length", b"0"), most + 1)
        return not (
            status in _NEVER
            or status >= 500
            or b"set-cookie" in values
            or forbids(values)
            or length is None
            or length > most
            or speaks_of_stream(values.get(b"content-type", b""))
            or (not is_shared(values) and self._asked.scope in NOBODYS)
            # What stands further in chose another address, or an account, for this caller: the upstream
            # knows of no other.
            or (is_shared(values) and self._is_elsewhere)
        )

    @property
    def _is_elsewhere(self) -> bool:
        moved = self._outgoing.target != self._target or self._outgoing.origin is not None
        return moved or self._exchange.acts_for_caller

    @property
    def _assumes(self) -> bool:
        """Whether the file says what may be done with answers that say nothing."""
        return self._parts.default_ttl > 0 or self._parts.stale_if_error > 0

    def _is_useful(self, entry: Entry) -> bool:
        """Tell whether an entry will ever be served: fresh, when it still holds, or stale."""
        return (
            self._parts.lifetime(entry) > 0
            or entry.validated
            or entry.policy.serves_error(0, self._parts.stale_if_error)
            or entry.policy.serves_while(0)
        )

    def made(
        self, variant: Variant, status: int, reason: str, fields: Sequence[Field], began: float
    ) -> Entry:
        """Return an entry of an answer that was asked for at `began` and came now."""
        asked, came = self._asked, self._parts.clock()
        partition = asked.shared if is_shared(by_name(fields)) else asked.own
        return Entry(
            asked.resource,
            partition,
            variant,
            status,
            reason,
            fields,
            came=came,
            now=self._parts.now(),
            delay=came - began,
        )

    def variant(self, values: Values) -> Variant | None:
        """Return the request's fields that `Vary` names, None where no other request can be compared.

        What a plugin further in has set is not known when the next request is looked up.
        """
        names = set(names_in(values.get(b"vary"))) - _IN_KEY
        if not names:
            return ()
        sent, seen = by_name(self._outgoing.wire_fields()), self._asked.values
        if any(name.startswith(_OURS) or sent.get(name) != seen.get(name) for name in names):
            return None
        return tuple((name, seen.get(name)) for name in sorted(names))
