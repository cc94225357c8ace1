"""Which keys open a ticket while its key changes."""

from __future__ import annotations

from plugins.ticket.sealing import Content, Seal
from plugins.ticket.seals import OwnKey, Seals
from proxy import Principal

OLD, NEW = "o" * 32, "n" * 32


class Key:
    """A bound secret that the test changes."""

    current, version = OLD, 1


def sealed(key: str) -> str:
    return Seal(key.encode()).seal(Content(Principal("kim"), "/x", ("/jwt",), 2000.0, "1"))


async def test_the_key_before_opens_for_as_long_as_its_tickets_live() -> None:
    key, time = Key(), [1000.0]
    seals = Seals(key, 30.0, lambda: time[0])
    assert await seals.open(sealed(OLD)) is not None
    key.current, key.version = NEW, 2
    assert await seals.open(sealed(NEW)) is not None
    time[0] += 29.9
    assert await seals.open(sealed(OLD)) is not None
    time[0] += 0.1
    # Whoever has an old key could seal tickets for anyone, for ever.
    assert await seals.open(sealed(OLD)) is None
    assert await seals.open(sealed(NEW)) is not None


async def test_the_gateways_own_key_does_not_end() -> None:
    time = [1000.0]
    seals = Seals(OwnKey(OLD), 30.0, lambda: time[0])
    time[0] += 1e6
    assert await seals.open(sealed(OLD)) is not None
