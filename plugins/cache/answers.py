"""Stored answers as they are sent: with their age, as a 304 where that is enough, and marked.

`Cache-Status` says what the cache did (RFC 9211); the gateway's name in it is `brain`.
"""

from __future__ import annotations

from plugins.cache.asked import Asked
from plugins.cache.conditions import holds
from plugins.cache.entry import Entry
from plugins.cache.fields import LOWER, Field
from proxy import Answer

STATUS = "Cache-Status"
_STATUS = STATUS.encode()
_NOT_MODIFIED = 304

_OF_CONTENT = frozenset(
    {
        b"content-digest",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-md5",
        b"content-range",
        b"content-type",
        b"digest",
        b"repr-digest",
    }
)
"""What a 304 leaves out: the client has it already (RFC 9110, 15.4.5)."""


def hit(asked: Asked, entry: Entry, age: int, lifetime: int) -> Answer:
    """Return a stored answer that was served without asking the upstream."""
    if entry.marked_at != (age, lifetime):
        # An answer that is asked for often is so within one second too.
        status = b"brain; hit; ttl=%d" % (lifetime - age)
        entry.marked = [*entry.fields, (b"Age", b"%d" % age), (_STATUS, status)]
        entry.marked_at = (age, lifetime)
    return _sent(asked, entry, entry.marked.copy())


def used(asked: Asked, entry: Entry, age: int, lifetime: int, how: str) -> Answer:
    """Return a stored answer that took more than a look; `how` says what, as RFC 9211 does."""
    status = f"brain; {how}; ttl={lifetime - age}".encode()
    return _sent(asked, entry, [*entry.fields, (b"Age", b"%d" % age), (_STATUS, status)])


def _sent(asked: Asked, entry: Entry, fields: list[Field]) -> Answer:
    if asked.conditional and 200 <= entry.status < 300 and holds(asked.values, entry):
        kept = [field for field in fields if LOWER[field[0]] not in _OF_CONTENT]
        answer = Answer.from_upstream(_NOT_MODIFIED, "Not Modified", kept, b"", dated=True)
    else:
        framed = None if entry.bodiless else True
        answer = Answer.from_upstream(
            entry.status, entry.reason, fields, entry.body, dated=True, framed=framed
        )
    answer.origin = "plugin"
    return answer
