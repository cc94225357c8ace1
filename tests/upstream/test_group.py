"""Which targets of an upstream may be asked: by health, ejection, breakers, weights and backups."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.config.models import Balance, Breaker, HashKey, Health, Outliers, Policy
from proxy.errors import GatewayError
from proxy.plugin.principal import Principal
from proxy.server.request import Request
from proxy.upstream.breaker import State
from proxy.upstream.group import Group
from proxy.upstream.key import mark
from proxy.upstream.target import Target
from tests.upstream.targets import Clock, grouped, names, set_by_hand, target, targets

WATCHED = {"health": Health(), "breaker": Breaker(1, 60.0), "outliers": Outliers(failures=1)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return set_by_hand(monkeypatch)


def asked(group: Group, times: int = 12) -> str:
    """Return whom so many requests go to, each once and in order of the names."""
    return "".join(sorted({group.choose().spec.host for _ in range(times)}))


def unwell(one: Target) -> None:
    assert one.standing is not None
    one.standing.check_failed("GET /health answers 404, not 2xx")


def open_breaker(one: Target, *, half: bool = False) -> None:
    assert one.standing is not None
    breaker = one.standing.breaker
    assert breaker is not None
    breaker.bad(None)
    if half:
        breaker._become(State.HALF_OPEN)


def in_state(letters: str) -> tuple[Group, list[Target]]:
    """Make a group: `o` ok, `u` unwell, `b` open, `h` half-open, capitals are backups, `0` weighs 0."""
    members = [
        target(chr(ord("a") + at), 0 if letter == "0" else 1, backup=letter.isupper())
        for at, letter in enumerate(letters)
    ]
    group = grouped(members, **WATCHED)
    for one, letter in zip(members, letters.lower(), strict=True):
        if letter == "u":
            unwell(one)
        if letter in "bh":
            open_breaker(one, half=letter == "h")
    return group, members


@pytest.mark.parametrize(
    ("states", "whom", "panicking"),
    [
        ("ooo", "abc", False),
        ("ouo", "ac", False),
        ("obo", "ac", False),
        ("o0o", "ac", False),
        ("ooO", "ab", False),
        ("uoO", "b", False),
        ("uuO", "c", False),
        ("ubO", "c", False),
        ("uuU", "abc", True),
        ("uu", "ab", True),
        ("ub", "a", True),
        ("u", "a", True),
        ("u0", "a", True),
    ],
)
async def test_who_may_be_asked(states: str, whom: str, *, panicking: bool) -> None:
    group, _ = in_state(states)
    assert asked(group) == whom
    assert group.panicking is panicking
    group.close()


async def test_a_backup_without_weight_is_no_way_out() -> None:
    members = [target("a"), target("b", 0, backup=True)]
    group = grouped(members, **WATCHED)
    unwell(members[0])
    assert asked(group) == "a"
    assert group.panicking
    group.close()


@pytest.mark.parametrize(
    ("states", "first", "then"),
    [
        ("oh", "b", "a"),
        ("ohh", "bc", "a"),
        ("uh", "b", "a"),
        ("uhO", "b", "c"),
        ("ooH", "", "ab"),
        ("buH", "c", "b"),
    ],
)
async def test_a_breaker_that_is_half_open_gets_one_request_and_the_others_go_on(
    states: str, first: str, then: str
) -> None:
    """While it is under way, even a target that is unwell is better than none."""
    group, _ = in_state(states)
    assert names([group.choose() for _ in first]) == first
    assert asked(group) == then
    group.close()


async def test_a_single_target_lets_one_request_through() -> None:
    group, (only,) = in_state("h")
    assert group.only is None
    assert not group.panicking
    assert group.choose() is only
    with pytest.raises(GatewayError, match="upstream_unavailable"):
        group.choose()
    group.close()


async def test_with_every_breaker_open_clients_are_told_when_to_come_back(clock: Clock) -> None:
    members = targets(1, 1)
    group = grouped(members, breaker=Breaker(1, 60.0))
    open_breaker(members[0])
    clock.now += 20.5
    open_breaker(members[1])
    with pytest.raises(GatewayError, match="upstream_unavailable") as told:
        group.choose()
    assert told.value.headers == {"Retry-After": "40"}
    assert not group.panicking
    group.close()


@pytest.mark.parametrize(
    ("several", "most", "out"),
    [(2, 0.5, 1), (3, 0.5, 1), (4, 0.5, 2), (5, 0.5, 2), (4, 0.1, 1), (3, 1.0, 3), (10, 0.3, 3)],
)
async def test_how_many_may_be_left_out(several: int, most: float, out: int) -> None:
    members = targets(*[1] * several)
    group = grouped(members, outliers=Outliers(failures=1, most=most))
    for one in members:
        assert one.standing is not None
        one.standing.failed(GatewayError("upstream_connect_refused"), None)
    assert sum(one.standing is not None and one.standing.ejected for one in members) == out
    group.close()


async def test_the_first_target_is_told_apart_only_where_there_is_nothing_to_choose() -> None:
    (one,) = targets(1)
    assert grouped([one]).only is one
    assert one.standing is None, "with one target nothing is watched by default"
    assert grouped(targets(1, 1)).only is None
    assert grouped(targets(1), balance=Balance(sticky="s")).only is None
    assert grouped([target("a", 0), target("b")]).only is None


async def test_who_comes_back_begins_with_a_tenth_and_grows(clock: Clock) -> None:
    members = targets(1, 1)
    group = grouped(members, health=Health(healthy=1), slow_start=10.0)
    unwell(members[1])
    assert members[1].standing is not None
    members[1].standing.check_passed()

    def share() -> float:
        seen = Counter(names([group.choose() for _ in range(440)]))
        return seen["b"] / seen["a"]

    assert share() == pytest.approx(0.1, abs=0.02)
    clock.now += 4.9
    group.changed()
    assert share() == pytest.approx(0.5, abs=0.02)
    clock.now += 5.2
    group.changed()
    assert share() == pytest.approx(1.0, abs=0.02)
    assert group._growing is None, "grown: nothing to look at again"
    group.close()


async def test_a_slow_start_looks_again_by_itself_and_ends_with_its_group() -> None:
    members = targets(1, 1)
    group = grouped(members, health=Health(healthy=1), slow_start=0.05)
    unwell(members[1])
    assert members[1].standing is not None
    members[1].standing.check_passed()
    assert group._growing is not None
    await asyncio.sleep(0.12)
    assert group._growing is None
    assert group._picker.turns == tuple(members)
    members[1].standing.returned += 1000
    group.changed()
    group.close()
    assert group._growing is None


# -- hash and sticky


def asking(**headers: str) -> Request:
    """Return as much of a request as choosing looks at."""
    client = SimpleNamespace(address="10.0.0.7", scheme="http")
    principal = Principal("s1", "t1", claims={"team": 7, "no": None})
    exchange = SimpleNamespace(client=client, principal=principal)
    return cast(Request, SimpleNamespace(exchange=exchange, headers=headers, prefix="/api"))


@pytest.mark.parametrize(
    "key",
    [
        HashKey("address"),
        HashKey("header", "X-Key"),
        HashKey("cookie", "key"),
        HashKey("claim", "subject"),
        HashKey("claim", "team"),
    ],
    ids=lambda key: f"{key.kind} {key.name}",
)
async def test_who_has_a_key_keeps_its_target(key: HashKey) -> None:
    group = grouped(targets(1, 1, 1, 1), balance=Balance(Policy.HASH, key))
    request = asking(**{"X-Key": "k", "Cookie": "a=b; key=k"})
    assert len({group.choose(request) for _ in range(8)}) == 1
    group.close()


@pytest.mark.parametrize(
    "key", [HashKey("header", "X-Key"), HashKey("cookie", "key"), HashKey("claim", "no")]
)
async def test_who_has_no_key_is_spread(key: HashKey) -> None:
    group = grouped(targets(1, 1, 1, 1), balance=Balance(Policy.HASH, key))
    assert len({group.choose(asking()) for _ in range(4)}) == 4
    group.close()


async def test_only_a_request_that_belongs_to_a_target_tries_whether_it_is_back() -> None:
    """Else a client that has a target of its own would be sent to another one for a probe."""
    members = targets(1, 1)
    balance = Balance(Policy.HASH, HashKey("header", "X-Key"))
    group = grouped(members, balance=balance, breaker=Breaker(1, 60.0))
    homes = {str(n): group.choose(asking(**{"X-Key": str(n)})) for n in range(50)}
    open_breaker(members[0], half=True)
    assert all(
        group.choose(asking(**{"X-Key": key})) is home
        for key, home in homes.items()
        if home is members[1]
    )
    own = next(key for key, home in homes.items() if home is members[0])
    assert group.choose(asking(**{"X-Key": own})) is members[0]
    assert group.choose(asking(**{"X-Key": own})) is members[1], "one is enough"
    group.close()


async def test_a_client_that_has_a_target_is_no_probe_for_another() -> None:
    members = targets(1, 1)
    group = grouped(members, balance=Balance(sticky="at"), breaker=Breaker(1, 60.0))
    open_breaker(members[0], half=True)
    has_b = asking(Cookie=f"at={mark(members[1])}")
    assert all(group.choose(has_b) is members[1] for _ in range(4))
    has_a = asking(Cookie=f"at={mark(members[0])}")
    assert group.choose(has_a) is members[0]
    assert group.choose(has_a) is members[1]
    group.close()


@pytest.mark.parametrize("cookie", ["", "at=", "at=0123456789abcdef", "at=../../etc; at=", "x=y"])
async def test_a_cookie_that_names_nobody_is_as_none(cookie: str) -> None:
    group = grouped(targets(1, 1), balance=Balance(sticky="at"))
    assert len({group.choose(asking(Cookie=cookie)) for _ in range(2)}) == 2
    group.close()


async def test_a_sticky_cookie_is_given_once_and_tells_no_address() -> None:
    members = targets(1, 1)
    group = grouped(members, balance=Balance(sticky="at"))
    given = group.cookie_for(members[0], asking())
    assert given == f"at={mark(members[0])}; Path=/api; HttpOnly; SameSite=Lax"
    assert group.cookie_for(members[0], asking(Cookie=f"at={mark(members[0])}")) is None
    assert group.cookie_for(members[1], asking(Cookie=f"at={mark(members[0])}")) is not None
    secure: Any = asking()
    secure.exchange.client.scheme = "https"
    assert (group.cookie_for(members[0], secure) or "").endswith("; Secure")
    group.close()


async def test_what_was_tried_is_asked_last() -> None:
    group, (a, b, spare) = in_state("ooO")
    assert group.choose(tried=(a,)) is b
    assert group.choose(tried=(a, b)) is spare
    assert group.choose(tried=(a, b, spare)) in (a, b)
    assert group.has_another((a, b))
    assert not group.has_another((a, b, spare))
    group.close()
