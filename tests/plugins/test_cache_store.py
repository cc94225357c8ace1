"""The store: what it finds, and that it never holds more than it may."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

from cache_kit import START
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.cache.asked import Asked
from plugins.cache.entry import Entry, Variant
from plugins.cache.fields import Field
from plugins.cache.scopes import ANONYMOUS, EVERYONE, Scope
from plugins.cache.store import MOST_VARIANTS, Store

DOOR = ("crm/contacts", "https", "brain.example.com", "/api/brain/crm")
CLOCK = iter(range(10**9))


def asked(path: str = "/x", scope: Scope = ANONYMOUS, **values: str) -> Asked:
    raw = {name.replace("_", "-").encode(): value.encode() for name, value in values.items()}
    return Asked(("http://crm:8003", path), DOOR, scope, raw)


def entry(
    path: str = "/x",
    scope: Scope = ANONYMOUS,
    *,
    body: bytes = b"hello",
    variant: Variant = (),
    fields: tuple[Field, ...] = ((b"Content-Type", b"text/plain"),),
) -> Entry:
    made = Entry(
        ("http://crm:8003", path),
        (DOOR, scope),
        variant,
        200,
        "OK",
        fields,
        came=float(next(CLOCK)),
        now=START,
        delay=0.0,
    )
    assert made.complete(body)
    return made


def store_of(bound: int = 1 << 20) -> Store:
    store = Store()
    store.join(bound)
    return store


def test_what_is_put_is_found_by_its_own_address_and_scope_alone() -> None:
    store = store_of()
    mine = entry("/x", ("principal", "api-key", "acme", "alice"))
    store.put(mine)
    assert store.find(asked("/x", ("principal", "api-key", "acme", "alice"))) is mine
    for other in (
        asked("/y", ("principal", "api-key", "acme", "alice")),
        asked("/x", ("principal", "api-key", "acme", "bob")),
        asked("/x", ("principal", "api-key", "other", "alice")),
        asked("/x", ("principal", "jwt", "acme", "alice")),
        asked("/x"),
    ):
        assert store.find(other) is None


def test_what_is_for_everyone_is_found_by_all_and_the_newest_wins() -> None:
    store = store_of()
    own, everyones = entry(), entry(scope=EVERYONE)
    store.put(own)
    store.put(everyones)
    assert store.find(asked()) is everyones
    newer = entry()
    store.put(newer)
    assert store.find(asked()) is newer
    assert len(store) == 2, "the older one of the same scope is gone"


def test_variants_stand_side_by_side_and_are_replaced_one_by_one() -> None:
    store = store_of()
    german = entry(variant=((b"accept-language", b"de"),))
    none = entry(variant=((b"accept-language", None),))
    for one in (german, none):
        store.put(one)
    assert store.find(asked(accept_language="de")) is german
    assert store.find(asked()) is none
    assert store.find(asked(accept_language="fr")) is None
    newer = entry(variant=((b"accept-language", b"de"),))
    store.put(newer)
    assert (store.find(asked(accept_language="de")), len(store)) == (newer, 2)


def test_no_client_can_make_variants_without_end() -> None:
    store = store_of()
    for number in range(3 * MOST_VARIANTS):
        store.put(entry(variant=((b"user-agent", b"%d" % number),)))
    assert len(store) == MOST_VARIANTS
    assert store.find(asked(user_agent="0")) is None
    assert store.find(asked(user_agent=str(3 * MOST_VARIANTS - 1))) is not None


def test_the_one_that_was_not_asked_for_longest_goes_first() -> None:
    size = entry("/a").size
    store = store_of(3 * size)
    for path in ("/a", "/b", "/c"):
        store.put(entry(path))
    store.find(asked("/a"))
    store.put(entry("/d"))
    assert [store.find(asked(path)) is None for path in ("/a", "/b", "/c", "/d")] == [
        False,
        True,
        False,
        False,
    ]
    assert store.evicted == 1


def test_what_is_larger_than_all_of_it_is_not_taken_and_costs_nobody_a_place() -> None:
    store = store_of(2 * entry().size)
    store.put(entry("/a"))
    assert not store.put(entry("/big", body=bytes(1 << 16)))
    assert store.find(asked("/a")) is not None


def test_invalidating_drops_an_address_for_everybody_and_nothing_else() -> None:
    store = store_of()
    for scope in (ANONYMOUS, EVERYONE, ("principal", "jwt", None, "alice")):
        store.put(entry("/x", scope))
    other = entry("/y")
    store.put(other)
    store.invalidate(("http://crm:8003", "/x"))
    assert (len(store), store.size) == (1, other.size)
    assert store.find(asked("/y")) is other


def test_what_is_coming_in_is_not_stored_once_its_address_was_invalidated() -> None:
    store = store_of()
    fill = store.begin(("http://crm:8003", "/x"), None)
    fill.expect(entry(), 100, shared=True)
    fill.feed(b"he")
    store.invalidate(("http://crm:8003", "/x"))
    fill.feed(b"llo")
    fill.end()
    assert (len(store), store.used) == (0, 0)


def test_a_body_that_is_too_long_or_not_as_long_as_announced_is_not_stored() -> None:
    store = store_of()
    announced = Entry(
        ("http://crm:8003", "/x"), (DOOR, ANONYMOUS), (), 200, "OK",
        [(b"Content-Length", b"5")], came=0.0, now=START, delay=0.0,
    )  # fmt: skip
    for body, most in ((b"hell", 100), (b"hello", 4)):
        fill = store.begin(announced.resource, None)
        fill.expect(announced, most, shared=True)
        fill.feed(body)
        fill.end()
        assert (len(store), store.used) == (0, 0)


def test_the_bound_is_the_largest_of_its_members_and_shrinks_when_that_one_leaves() -> None:
    store = store_of(100 * entry().size)
    for number in range(10):
        store.put(entry(f"/{number}"))
    store.join(3 * entry("/9").size)
    assert len(store) == 10
    assert not store.leave(100 * entry().size)
    assert len(store) == 3
    assert store.find(asked("/9")) is not None
    assert store.leave(3 * entry("/9").size)
    assert (len(store), store.used) == (0, 0)


DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 6), st.integers(0, 9000)),
        st.tuples(st.just("find"), st.integers(0, 6)),
        st.tuples(st.just("invalidate"), st.integers(0, 6)),
        st.tuples(st.just("begin"), st.integers(0, 6), st.integers(0, 12000)),
        st.tuples(st.just("feed"), st.integers(0, 3), st.integers(0, 5000)),
        st.tuples(st.just("end"), st.integers(0, 3)),
        st.tuples(st.just("close"), st.integers(0, 3)),
        st.tuples(st.just("resize"), st.integers(0, 40000)),
    ),
    max_size=60,
)


@given(st.integers(0, 40000), DEEDS)
@example(
    40000,
    [("begin", 0, 100), ("put", 1, 0), ("feed", 0, 1), ("resize", 0)],
)
def test_whatever_comes_the_store_holds_no_more_than_it_may_and_counts_it_rightly(
    bound: int, deeds: list[tuple[Any, ...]]
) -> None:
    store = store_of(bound)
    fills: list[Any] = []
    for deed, *more in deeds:
        if deed == "put":
            store.put(entry(f"/{more[0]}", body=bytes(more[1])))
        elif deed == "find":
            store.find(asked(f"/{more[0]}"))
        elif deed == "invalidate":
            store.invalidate(("http://crm:8003", f"/{more[0]}"))
        elif deed == "begin":
            fill = store.begin(("http://crm:8003", f"/{more[0]}"), None)
            fill.expect(_empty(f"/{more[0]}"), more[1], shared=True)
            fills.append(fill)
        elif deed == "resize":
            store.join(more[0])
            store.leave(bound)
            bound = more[0]
        elif fills:
            fill = fills[more[0] % len(fills)]
            getattr(fill, deed)(*([bytes(more[1])] if deed == "feed" else []))
        _hold_true(store, bound, resized=deed == "resize")
    for fill in fills:
        fill.close()
    assert store.used == store.size
    assert not store._fills


def _empty(path: str) -> Entry:
    return Entry(
        ("http://crm:8003", path),
        (DOOR, ANONYMOUS),
        (),
        200,
        "OK",
        [],
        came=0.0,
        now=START,
        delay=0,
    )


def _hold_true(store: Store, bound: int, *, resized: bool) -> None:
    # What is coming in stays when the bound is lowered meanwhile: all else has gone by then.
    assert store.used <= bound or (store.size == 0 and store.used == store._held)
    entries = [
        each
        for partitions in store._resources.values()
        for listed in partitions.values()
        for each in listed
    ]
    assert set(entries) == set(store._recent)
    assert len(entries) == len(store)
    assert store.size == sum(each.size for each in entries)
    assert all(store._resources.values()), "nothing empty is left"


def test_an_entry_is_counted_with_all_that_it_takes() -> None:
    """Python's own count of the memory, which no entry may be larger than it says."""
    gc.collect()
    tracemalloc.start()
    try:
        store = store_of(1 << 30)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(500):
            fields = tuple(
                (b"X-Field-%d" % each, b"%d-" % number * 5) for each in range(number % 20)
            )
            scope = (
                "principal",
                "jwt",
                f"tenant-{number}",
                f"subject-{number}",
                f"{number:064}",
                f"{number:064x}",
            )
            path = f"/some/longer/path/{number}?page={number}"
            door = ("crm/contacts", "https", f"host-{number}.example.com", "/api/brain/crm")
            made = Entry(
                ("http://crm:8003", path), (door, scope), ((b"accept", b"%d" % number),), 200,
                "OK", fields, came=0.0, now=START, delay=0.0,
            )  # fmt: skip
            made.complete(bytes(number))
            made.marked = [*made.fields, (b"Age", b"%d" % number), (b"Cache-Status", bytes(30))]
            store.put(made)
        del made, fields, scope, path, door
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken <= store.size <= 3 * taken
