"""One stored answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from plugins.cache.asked import Partition, Resource
from plugins.cache.dates import parse_date
from plugins.cache.fields import LOWER, Field, Values, by_name
from plugins.cache.policy import Policy, initial_age, policy_of

Variant = tuple[tuple[bytes, bytes | None], ...]
"""Fields of the request that `Vary` names, with their values, None where there was none."""

_FIXED = 2048
"""Bytes that an entry takes beside its texts: itself, its keys, its places in the store's mappings."""

_EACH = 160
"""Bytes that a field takes beside its texts: two bytes objects, a pair, places in lists."""

_PRINTED = re.compile(rb"[!-~]+")
_BODILESS = frozenset({204, 304})


class Entry:
    """An answer with all that is needed to serve it again; its body may still be coming.

    `fields` are end-to-end, without Age, dated. `came` is a monotonic reading, `base_age` the age in
    seconds that the answer had then; `policy` says how long it may be used.
    """

    __slots__ = (
        "base_age",
        "body",
        "came",
        "etag",
        "fields",
        "marked",
        "marked_at",
        "modified",
        "partition",
        "policy",
        "reason",
        "resource",
        "size",
        "status",
        "variant",
    )

    def __init__(
        self,
        resource: Resource,
        partition: Partition,
        variant: Variant,
        status: int,
        reason: str,
        fields: Sequence[Field],
        *,
        came: float,
        now: float,
        delay: float,
    ) -> None:
        self.resource = resource
        self.partition = partition
        self.variant = variant
        self.status = status
        self.reason = reason
        self.fields = [field for field in fields if LOWER[field[0]] != b"age"]
        values = by_name(fields)
        self.came = came
        self.base_age = initial_age(values, now, delay)
        self.policy: Policy = policy_of(status, values, now)
        self.etag = _etag(values)
        self.modified = _modified(values)
        self.body = b""
        self.size = 0
        self.marked: list[Field] = []
        self.marked_at: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"<Entry status={self.status} size={self.size}>"

    @property
    def bodiless(self) -> bool:
        """Whether its status has no body, so that no length belongs to it."""
        return self.status in _BODILESS

    @property
    def validated(self) -> bool:
        """Whether the upstream can be asked if it still holds."""
        return self.etag is not None or self.modified is not None

    def age(self, now: float) -> int:
        """Return its age in whole seconds; `now` is a monotonic reading."""
        return int(self.base_age + now - self.came)

    def matches(self, values: Values) -> bool:
        """Tell whether a request brings what `Vary` names as the stored one did (RFC 9111, 4.1)."""
        return not self.variant or all(values.get(name) == value for name, value in self.variant)

    def complete(self, body: bytes) -> bool:
        """Take the whole body. Return False for one that is not as long as was announced."""
        length = b"%d" % len(body)
        told = [value for name, value in self.fields if LOWER[name] == b"content-length"]
        if any(value != length for value in told):
            return False
        if not told and not self.bodiless:
            self.fields.append((b"Content-Length", length))
        self.body = body
        self.size = self._measure()
        return True

    def _measure(self) -> int:
        door, scope = self.partition
        texts = sum(map(len, (*self.resource, *door, *filter(None, scope))))
        pairs = [*self.fields, *((name, value or b"") for name, value in self.variant)]
        names = sum(len(name) + len(value) + _EACH for name, value in pairs)
        return _FIXED + texts + names + len(self.body)


def _etag(values: Values) -> bytes | None:
    """Return the entity tag, None for what is none (RFC 9110, 8.8.3)."""
    tag = values.get(b"etag", b"")
    opaque = tag.removeprefix(b"W/")
    good = len(opaque) > 1 and opaque[:1] == opaque[-1:] == b'"' and opaque.count(b'"') == 2
    return tag if good and _PRINTED.fullmatch(tag) else None


def _modified(values: Values) -> bytes | None:
    """Return Last-Modified, None for what is no date."""
    told = values.get(b"last-modified", b"")
    return told if parse_date(told) is not None else None
