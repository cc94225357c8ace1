"""Which target is asked next, among those that may be asked."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from proxy.config.models import Policy

if TYPE_CHECKING:
    from proxy.upstream.ring import Ring
    from proxy.upstream.target import Target

Weighed = Sequence[tuple["Target", int]]
"""Targets with their weights, none of them 0."""


class RoundRobin:
    """Each in turn, the heavier ones more often, spread evenly."""

    def __init__(self, weighed: Weighed, at: int = 0) -> None:
        self.turns = interleaved(weighed)
        self.at = at

    def pick(self, key: str | None) -> Target:
        """Return the next target; `key` is what the request is known by, None where nothing is."""
        turns = self.turns
        self.at += 1
        return turns[(self.at - 1) % len(turns)]

    def another(self, key: str | None, tried: Collection[Target]) -> Target | None:
        """Return the next one that was not tried, and take nobody's turn for it.

        Else a dead target among two would be the first for all.
        """
        turns, size = self.turns, len(self.turns)
        in_turn = (turns[(self.at + step) % size] for step in range(size))
        return next((target for target in in_turn if target not in tried), None)


class LeastRequests(RoundRobin):
    """The one with the fewest requests in flight for its weight; among equals, in turn.

    So weights are honoured too while there is hardly any load, as by nginx's `least_conn`.
    """

    def __init__(self, weighed: Weighed, at: int = 0) -> None:
        super().__init__(weighed, at)
        self._weighed = weighed
        self._weights = dict(weighed)
        self._alike = len(set(self._weights.values())) < 2
        self._twice = [target for target, _ in weighed] * 2

    def pick(self, key: str | None) -> Target:
        """Return the least loaded target."""
        if not self._alike:
            return self._by_weight()
        # Where all weigh the same no call of Python's is needed to compare them.
        at, size = self.at, len(self._weights)
        self.at = (at + 1) % size
        return min(self._twice[at % size : at % size + size], key=_IN_FLIGHT)

    def _by_weight(self) -> Target:
        least = min(target.in_flight / weight for target, weight in self._weighed)
        turns, weights, size = self.turns, self._weights, len(self.turns)
        self.at += 1
        in_turn = (turns[(self.at - 1 + step) % size] for step in range(size))
        return next(one for one in in_turn if one.in_flight / weights[one] <= least)

    def another(self, key: str | None, tried: Collection[Target]) -> Target | None:
        """Return the least loaded of those that were not tried; among equals the next in turn."""
        turns, weights, size = self.turns, self._weights, len(self.turns)
        in_turn = (turns[(self.at + step) % size] for step in range(size))
        left = (target for target in in_turn if target not in tried)
        return min(left, key=lambda one: one.in_flight / weights[one], default=None)


_IN_FLIGHT = attrgetter("in_flight")


class RandomTwo(RoundRobin):
    """The less loaded of two drawn by weight: nearly as even as the least loaded, at a fixed cost
    (Mitzenmacher, 2001).
    """

    def __init__(self, weighed: Weighed, at: int = 0) -> None:
        super().__init__(weighed, at)
        self._weights = dict(weighed)

    def pick(self, key: str | None) -> Target:
        """Return the better of two."""
        return self._better(self.turns)

    def another(self, key: str | None, tried: Collection[Target]) -> Target | None:
        """Return the better of two of those that were not tried: nobody's turn says who is next."""
        left = [target for target in self.turns if target not in tried]
        return self._better(left) if left else None

    def _better(self, turns: Sequence[Target]) -> Target:
        one, other = random.choice(turns), random.choice(turns)  # noqa: S311  no secret depends on it
        return min(one, other, key=self._load)

    def _load(self, target: Target) -> float:
        return (target.in_flight + 1) / self._weights[target]


class Hashed(RoundRobin):
    """The one that the key belongs to; without a key the next in turn."""

    def __init__(self, weighed: Weighed, ring: Ring[Target], at: int = 0) -> None:
        """`ring` has all targets of the upstream, those that can't be asked too."""
        super().__init__(weighed, at)
        self._ring = ring
        self._usable = frozenset(target for target, _ in weighed)

    def pick(self, key: str | None) -> Target:
        """Return the key's target, or the next along the ring that may be asked."""
        if key is None:
            return super().pick(key)
        found = next((each for each in self._ring.along(key) if each in self._usable), None)
        return super().pick(key) if found is None else found

    def another(self, key: str | None, tried: Collection[Target]) -> Target | None:
        """Return the target that would have the key if those that were tried were not there."""
        if key is None:
            return super().another(key, tried)
        left = self._usable.difference(tried)
        return next((each for each in self._ring.along(key) if each in left), None)


def balancer(
    policy: Policy, weighed: Weighed, ring: Ring[Target] | None, at: int = 0
) -> RoundRobin:
    """Return what picks among `weighed`; `at` is whose turn it was."""
    if ring is not None:
        return Hashed(weighed, ring, at)
    kinds = {Policy.LEAST_REQUESTS: LeastRequests, Policy.RANDOM_TWO: RandomTwo}
    return kinds.get(policy, RoundRobin)(weighed, at)


def interleaved(weighed: Weighed) -> tuple[Target, ...]:
    """Return each target as often as it weighs, its turns as far apart as they can be.

    Each begins at a place of its own: else all that weigh the same would come one behind another.
    """
    turns = (
        turn
        for at, (target, weight) in enumerate(weighed)
        for turn in _turns(target, weight, (at + 0.5) / len(weighed))
    )
    return tuple(target for _, target in sorted(turns, key=lambda turn: turn[0]))


def _turns(target: Target, weight: int, begin: float) -> Iterator[tuple[float, Target]]:
    return (((number + begin) / weight, target) for number in range(weight))
