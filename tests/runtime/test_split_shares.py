"""Who is sent where by share: the same for all processes, and nobody moves who need not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.models import SplitSpec
from proxy.plugin.principal import Principal
from proxy.runtime.split import Way, place_of, ranges


def exchange(principal: Principal | None = None, address: str = "192.0.2.1") -> Any:
    return SimpleNamespace(principal=principal, client=SimpleNamespace(address=address))


def ways(*shares: float) -> list[Way]:
    return [cast("Way", SimpleNamespace(spec=SplitSpec(0, share))) for share in shares]


def taker(layout: list[Way], point: float) -> int | None:
    found = [
        number
        for low, high, way in ranges(layout)
        for number, one in enumerate(layout)
        if one is way and low <= point < high
    ]
    assert len(found) <= 1, "nobody is taken twice"
    return found[0] if found else None


def test_a_place_is_the_same_in_every_process_and_version() -> None:
    """What is written here is where callers stand today: another number moves them all."""
    known = Principal("ada", tenant="acme")
    assert place_of("shop", exchange(known)) == pytest.approx(0.75529757, abs=1e-8)
    assert place_of("shop", exchange()) == pytest.approx(0.83377131, abs=1e-8)


def test_a_place_depends_on_service_tenant_and_subject_and_on_nothing_else() -> None:
    one = place_of("shop", exchange(Principal("ada", tenant="acme"), "10.0.0.1"))
    same = Principal("ada", tenant="acme", roles=frozenset({"x"}), claims={"a": 1}, by="jwt")
    assert place_of("shop", exchange(same, "10.0.0.2")) == one
    others = [
        place_of("crm", exchange(same)),
        place_of("shop", exchange(Principal("ada", tenant="other"))),
        place_of("shop", exchange(Principal("eve", tenant="acme"))),
        place_of("shop", exchange(Principal("ada"))),
        place_of("shop", exchange()),
    ]
    assert len({one, *others}) == len(others) + 1


def test_places_are_spread_evenly() -> None:
    places = [place_of("shop", exchange(address=f"10.0.{n // 256}.{n % 256}")) for n in range(5000)]
    for tenth in range(10):
        assert 400 < sum(tenth / 10 <= place < (tenth + 1) / 10 for place in places) < 600


@given(st.text(), st.text())
def test_every_caller_has_a_place(subject: str, tenant: str) -> None:
    assert 0.0 <= place_of("shop", exchange(Principal(subject, tenant=tenant))) < 1.0
    assert 0.0 <= place_of("shop", exchange(Principal("\ud800", tenant=None))) < 1.0


# A percentage has at most six decimals.
HALVES = st.integers(0, 50_000_000).map(lambda share: share / 1e8)


@given(HALVES, HALVES, HALVES, st.floats(0, 0.999999), st.booleans())
def test_growing_one_of_two_shares_moves_callers_of_the_rest_into_it_alone(
    one: float, other: float, more: float, point: float, first: bool
) -> None:
    more = min(more, 1 - one - other)
    before = taker(ways(one, other), point)
    grown = (one + more, other) if first else (one, other + more)
    after = taker(ways(*grown), point)
    assert after in (before, 0 if first else 1)
    if before is not None:
        assert after == before


@pytest.mark.parametrize("shares", [(1.0,), (0.1, 0.2, 0.7), (0.0, 1.0), (0.3, 0.3, 0.3, 0.1)])
def test_all_is_given_away_where_the_shares_are_all(shares: tuple[float, ...]) -> None:
    layout = ways(*shares)
    for point in (0.0, 0.0999, 0.3, 0.5, 0.75, 0.9999999):
        assert taker(layout, point) is not None
