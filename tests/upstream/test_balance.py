"""Which target is next: tables for the policies (semantics.md, row 27)."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.models import Policy
from proxy.upstream.balance import Hashed, LeastRequests, RandomTwo, RoundRobin, balancer
from proxy.upstream.ring import Ring
from proxy.upstream.target import Target
from tests.upstream.targets import names, targets


def weighed(*weights: int) -> list[tuple[Target, int]]:
    return [(one, one.spec.weight) for one in targets(*weights)]


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ((1,), "aaaaaa"),
        ((1, 1, 1), "abcabc"),
        ((2, 1), "aabaab"),
        ((3, 1), "aaabaaab"),
        ((1, 3), "abbbabbb"),
        ((3, 2, 1), "abaabcabaabc"),
        ((1, 1, 1, 3), "adbcddadbcdd"),
        ((5, 1), "aaaabaaaaaba"),
    ],
)
def test_turns_follow_the_weights_and_are_spread(weights: tuple[int, ...], turns: str) -> None:
    picker = RoundRobin(weighed(*weights))
    assert names([picker.pick(None) for _ in turns]) == turns


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(0, 1000))
def test_over_one_round_each_gets_its_weight_whoever_begins(weights: list[int], at: int) -> None:
    pairs = weighed(*weights)
    picker = RoundRobin(pairs, at)
    seen = Counter(picker.pick(None) for _ in range(sum(weights)))
    assert seen == dict(pairs)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=6))
def test_no_target_waits_longer_than_its_share_and_one_turn_of_each_other(
    weights: list[int],
) -> None:
    pairs = weighed(*weights)
    turns = RoundRobin(pairs).turns * 2
    for one, weight in pairs:
        places = [at for at, other in enumerate(turns) if other is one]
        gaps = [after - before for before, after in itertools.pairwise(places)]
        assert max(gaps) <= sum(weights) / weight + len(weights) - 1


def test_another_is_one_that_was_not_tried_and_takes_nobodys_turn() -> None:
    pairs = weighed(1, 1, 1)
    a, b, c = (one for one, _ in pairs)
    picker = RoundRobin(pairs)
    assert picker.pick(None) is a
    assert picker.another(None, (a,)) is b
    assert picker.another(None, (a, b)) is c
    assert picker.another(None, (a, b, c)) is None
    assert picker.pick(None) is b


def test_what_a_failing_target_leaves_is_spread_by_load_over_all_others() -> None:
    pairs = weighed(1, 1, 1, 1)
    failing, *others = (target for target, _ in pairs)
    drawn = Counter(RandomTwo(pairs).another(None, (failing,)) for _ in range(600))
    assert all(drawn[one] > 100 for one in others), "not one of them gets it all"
    for load, one in zip((3, 2, 1), others, strict=True):
        one.in_flight = load
    assert LeastRequests(pairs).another(None, (failing,)) is others[-1]
    for kind in (LeastRequests, RandomTwo):
        assert kind(pairs).another(None, (failing, *others)) is None


@pytest.mark.parametrize(
    ("weights", "in_flight", "chosen"),
    [
        ((1, 1, 1), (3, 1, 2), "bbbb"),
        ((1, 1, 1), (0, 0, 0), "abca"),
        ((2, 1), (0, 0), "aabaab"),
        ((2, 1), (2, 1), "aabaab"),
        ((2, 1), (2, 2), "aaaa"),
        ((2, 1), (3, 1), "bbbb"),
        ((10, 1), (8, 0), "bbbb"),
        ((10, 1), (9, 1), "aaaa"),
        ((1, 1), (5, 5), "abab"),
    ],
)
def test_the_fewest_requests_for_the_weight_are_looked_for(
    weights: tuple[int, ...], in_flight: tuple[int, ...], chosen: str
) -> None:
    pairs = weighed(*weights)
    for (one, _), number in zip(pairs, in_flight, strict=True):
        one.in_flight = number
    picker = LeastRequests(pairs)
    assert names([picker.pick(None) for _ in chosen]) == chosen


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.integers(1, 60))
def test_least_requests_gives_nobody_more_while_another_has_less(
    weights: list[int], requests: int
) -> None:
    pairs = weighed(*weights)
    picker = LeastRequests(pairs)
    for _ in range(requests):
        picker.pick(None).in_flight += 1
    least = min(one.in_flight / weight for one, weight in pairs)
    for one, weight in pairs:
        assert (one.in_flight - 1) / weight <= least + 1e-9


def test_the_better_of_two_is_far_more_even_than_one_drawn() -> None:
    """n requests on n targets: about log log n on the fullest, and log n / log log n for one drawn."""
    random.seed(1)
    pairs = weighed(*[1] * 200)
    picker = RandomTwo(pairs)
    for _ in range(200 * 20):
        picker.pick(None).in_flight += 1
    loads = [one.in_flight for one, _ in pairs]
    drawn = Counter(random.choice(pairs)[0] for _ in range(200 * 20))
    assert max(loads) <= 20 + 4
    assert max(drawn.values()) > 20 + 8


def test_the_better_of_two_heeds_weights() -> None:
    random.seed(2)
    pairs = weighed(4, 1, 1)
    picker = RandomTwo(pairs)
    for _ in range(600):
        picker.pick(None).in_flight += 1
    assert pairs[0][0].in_flight == pytest.approx(400, abs=12)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 5), min_size=1), st.text(min_size=1))
def test_a_key_keeps_its_target_until_that_is_out_and_then_has_the_next_of_the_ring(
    left: set[int], key: str
) -> None:
    all_of_them = weighed(1, 1, 1, 1, 1, 1)
    ring = Ring([(one.label, weight, one) for one, weight in all_of_them])
    whole = Hashed(all_of_them, ring).pick(key)
    usable = [all_of_them[at] for at in sorted(left)]
    picker = Hashed(usable, ring)
    chosen = picker.pick(key)
    assert picker.pick(key) is chosen
    assert chosen in dict(usable)
    if whole in dict(usable):
        assert chosen is whole
    other = picker.another(key, (chosen,))
    rest = [pair for pair in usable if pair[0] is not chosen]
    assert other is (Hashed(rest, ring).pick(key) if rest else None)


def test_without_a_key_the_next_in_turn_is_taken() -> None:
    pairs = weighed(1, 1)
    picker = Hashed(pairs, Ring([(one.label, weight, one) for one, weight in pairs]))
    assert names([picker.pick(None) for _ in range(4)]) == "abab"
    assert picker.another(None, (pairs[0][0],)) is pairs[1][0]


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (Policy.ROUND_ROBIN, RoundRobin),
        (Policy.LEAST_REQUESTS, LeastRequests),
        (Policy.RANDOM_TWO, RandomTwo),
    ],
)
def test_each_policy_has_its_balancer_and_keeps_whose_turn_it_was(
    policy: Policy, kind: type[RoundRobin]
) -> None:
    made = balancer(policy, weighed(1, 1), None, 7)
    assert type(made) is kind
    assert made.at == 7
