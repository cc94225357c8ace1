"""Who the targets are: a name with several addresses is as many, and what is known of one is kept."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from proxy.config.models import Breaker, Outliers, TargetSpec, Timeouts, UpstreamSpec
from proxy.errors import GatewayError
from proxy.plugin.exchange import Attempt
from proxy.upstream.members import Members
from proxy.upstream.pool import Upstream
from proxy.upstream.resolver import Resolver, SocketAddress, is_name
from tests.upstream.targets import RESET

NAME = TargetSpec("http", "a.test", 80)
LITERAL = TargetSpec("http", "10.0.0.9", 80)


def v4(*last: int) -> tuple[SocketAddress, ...]:
    return tuple((socket.AF_INET, (f"127.0.0.{each}", 80)) for each in last)


def v6(*last: int) -> tuple[SocketAddress, ...]:
    return tuple((socket.AF_INET6, (f"::{each}", 80, 0, 0)) for each in last)


def members(*specs: TargetSpec, **settings: Any) -> Members:
    return Members(UpstreamSpec("u", specs or (NAME,), **settings), None, Resolver())


def labels(made: Members) -> list[str]:
    return [one.label for one in made.all()]


@pytest.mark.parametrize(
    ("found", "addresses"),
    [
        ((), [None]),
        (v4(1), [None]),
        (v6(1) + v4(1), [None]),
        (v4(1) + v6(1, 2), [None]),
        (v4(1, 2), [v4(1), v4(2)]),
        (v4(2, 1), [v4(1), v4(2)]),
        (v6(1, 2), [v6(1), v6(2)]),
        (v6(1, 2) + v4(1), [v6(1) + v4(1), v6(2) + v4(1)]),
        (v4(1, 2) + v6(1, 2), [v4(1) + v6(1, 2), v4(2) + v6(1, 2)]),
    ],
)
def test_the_addresses_of_one_family_are_targets_and_the_others_another_way_to_them(
    found: tuple[SocketAddress, ...], addresses: list[tuple[SocketAddress, ...] | None]
) -> None:
    made = members()
    made.found("a.test", 80, found)
    assert [one.addresses for one in made.all()] == addresses


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ((), v4(1), False),
        (v4(1), v4(2), False),
        ((), v4(1, 2), True),
        (v4(1, 2), v4(2, 1), False),
        (v4(1, 2), v4(1, 2, 3), True),
        (v4(1, 2), v4(1), True),
        (v4(1), v4(1, 2), True),
        (v6(1) + v4(1), v4(1) + v6(1), False),
    ],
)
def test_only_what_changes_who_the_targets_are_is_told(
    before: tuple[SocketAddress, ...], after: tuple[SocketAddress, ...], *, changes: bool
) -> None:
    made = members()
    made.found("a.test", 80, before)
    assert made.found("a.test", 80, after) is changes


def test_who_stays_is_the_same_target_and_who_left_is_marked() -> None:
    made = members(NAME, LITERAL)
    made.found("a.test", 80, v4(1, 2))
    first, second, literal = made.all()
    assert [one.label for one in (first, literal)] == [
        "http://a.test at 127.0.0.1",
        "http://10.0.0.9",
    ]
    made.found("a.test", 80, v4(2, 3))
    assert made.all()[0] is second
    assert made.all()[2] is literal
    assert (first.gone, second.gone, literal.gone) == (True, False, False)


def test_the_order_of_the_other_familys_addresses_makes_no_new_targets() -> None:
    made = members()
    made.found("a.test", 80, v6(1, 2) + v4(1, 2))
    before = made.all()
    made.found("a.test", 80, v6(2, 1, 3) + v4(2, 1))
    assert made.all()[:2] == before


def test_a_name_that_left_the_file_is_forgotten() -> None:
    former = members(NAME)
    former.found("a.test", 80, v4(1, 2))
    made = members(LITERAL)
    made.inherit(former)
    assert made._addresses == {}


def test_a_literal_is_no_name() -> None:
    assert members(NAME, LITERAL).names == {("a.test", 80)}
    assert [is_name(each) for each in ("a.test", "localhost", "127.0.0.1", "::1")] == [
        True,
        True,
        False,
        False,
    ]


# -- over a reload


def upstream(*specs: TargetSpec, **settings: Any) -> Upstream:
    settings = {"outliers": Outliers(failures=1, eject_for=0.05), **settings}
    return Upstream(UpstreamSpec("u", specs or (NAME,), **settings), None)


def state(made: Upstream) -> dict[str, str]:
    return {one.name: one.state for one in made.status().targets}


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"concurrent": 7}, True),
        ({"outliers": Outliers(failures=1, eject_for=9.0)}, False),
        ({"breaker": Breaker()}, False),
    ],
)
async def test_what_is_known_of_a_target_is_kept_where_it_is_watched_as_before(
    settings: dict[str, Any], *, kept: bool
) -> None:
    specs = (LITERAL, TargetSpec("http", "10.0.0.8", 80))
    old = upstream(*specs)
    old.acquire()
    assert old.targets[0].standing is not None
    old.targets[0].standing.failed(RESET, None)
    new = upstream(*specs, **settings)
    new.acquire(old)
    assert state(new)["http://10.0.0.9"] == ("ejected" if kept else "ok")
    old.release()
    await asyncio.sleep(0.08)
    assert state(new)["http://10.0.0.9"] == "ok", "its timer is the new one's now"
    new.release()


async def test_the_addresses_of_a_name_and_what_is_known_of_them_outlive_a_reload() -> None:
    """Else who was left out would be taken over later, when nobody is there to readmit it."""
    old = upstream()
    old.acquire()
    old._found("a.test", 80, v4(1, 2))
    first = old.targets[0]
    assert first.standing is not None
    first.standing.failed(RESET, None)
    new = upstream(concurrent=7)
    new.acquire(old)
    assert state(new) == {
        "http://a.test at 127.0.0.1": "ejected",
        "http://a.test at 127.0.0.2": "ok",
    }
    old.release()
    await asyncio.sleep(0.08)
    assert set(state(new).values()) == {"ok"}
    new.release()


async def test_a_standing_whose_target_went_is_not_taken_up_again() -> None:
    old = upstream()
    old.acquire()
    old._found("a.test", 80, v4(1, 2))
    assert old.targets[0].standing is not None
    old.targets[0].standing.failed(RESET, None)
    new = upstream(concurrent=7)
    new.acquire(old)
    old.release()
    new._found("a.test", 80, v4(2, 3))
    new._found("a.test", 80, v4(1, 2))
    assert state(new)["http://a.test at 127.0.0.1"] == "ok"
    await asyncio.sleep(0.08)
    new.release()


async def test_a_look_up_that_ends_behind_the_last_snapshot_makes_no_targets() -> None:
    """Else an upstream that nobody closes would hold timers and standings."""
    old = upstream()
    old.acquire()
    old._found("a.test", 80, v4(1, 2))
    new = upstream(concurrent=7)
    new.acquire(old)
    old.release()
    old._found("a.test", 80, v4(1, 2, 3))
    assert len(old.targets) == 2
    shared = new.targets[0].standing
    assert shared is not None
    assert shared.listeners == [new.group]
    new.release()
    assert shared.listeners == []


async def test_whose_upstream_is_gone_looks_no_names_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def refuse(host: Any, port: Any, **_kind: Any) -> list[Any]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "no")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refuse)
    made = upstream(resolve_ttl=0.02)
    made.acquire()
    made._look_up_later()
    made.try_enter()
    await asyncio.sleep(0.03)
    assert asked == ["a.test"]
    made.release()
    await asyncio.sleep(0.05)
    assert asked == ["a.test"]
    with pytest.raises(GatewayError, match="upstream_unresolved"):
        await made.connect(made.targets[0], Timeouts(), Attempt("a"), 0.0)
    assert made._looking_up is None
