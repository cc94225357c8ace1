"""The targets of one upstream: which of them may be asked, and which is next."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from proxy.config.models import Policy, UpstreamSpec
from proxy.errors import GatewayError
from proxy.rewriting import cookie_value
from proxy.upstream.balance import RoundRobin, balancer
from proxy.upstream.breaker import State
from proxy.upstream.key import key_of, mark
from proxy.upstream.ring import Ring
from proxy.upstream.standing import Standing
from proxy.upstream.target import Target

if TYPE_CHECKING:
    from proxy.server.request import Request

log = logging.getLogger("brain.upstream")

STEPS = 10
"""Parts of a slow start: a returning target begins with one of them."""


class Group:
    """Chooses targets. What may be asked is worked out when something changes, not per request.

    `only` is the target when there is one and nothing to choose by. `panicking` tells that no target
    is well, so that health is not looked at: a check may be wrong, and no answer is no better.
    Breakers are not overruled.
    """

    def __init__(self, spec: UpstreamSpec) -> None:
        self.spec = spec
        self.members: tuple[Target, ...] = ()
        self.only: Target | None = None
        self.panicking = False
        self._picker: RoundRobin = RoundRobin(())
        self._spares: RoundRobin = RoundRobin(())
        self._probes: list[Target] = []
        self._plain = False
        self._marked: dict[str, Target] = {}
        self._ring: Ring[Target] | None = None
        self._growing: asyncio.TimerHandle | None = None

    def set_members(self, members: Sequence[Target]) -> None:
        """Take `members` for the targets; standings are made for those that have none."""
        gone = [target for target in self.members if target.gone]
        self.members = tuple(members)
        watched = self._watched()
        for target in members:
            if watched and target.standing is None:
                target.standing = Standing(self.spec, target.label)
            if target.standing is not None and self not in target.standing.listeners:
                target.standing.listeners.append(self)
        self._leave(gone)
        if self.spec.balance.policy is Policy.HASH:
            self._ring = Ring([(one.label, one.spec.weight, one) for one in members])
        self.changed()

    def _watched(self) -> bool:
        spec = self.spec
        several = len(self.members) > 1
        return bool(spec.health or spec.breaker or (spec.outliers.on and several))

    def close(self) -> None:
        """End the timers of targets that nobody else has."""
        self._stop_growing()
        self._leave(self.members)

    def _leave(self, targets: Iterable[Target]) -> None:
        for target in targets:
            if target.standing is not None and self in target.standing.listeners:
                target.standing.leave(self)

    # -- who may be asked

    def changed(self) -> None:
        """Look again at which targets may be asked."""
        self._stop_growing()
        before = self.panicking
        members = self.members
        closed = [one for one in members if one.standing is None or one.standing.closed]
        fit = [one for one in closed if _fit(one)]
        first = [one for one in fit if not one.spec.backup and one.spec.weight]
        spares = [one for one in fit if one.spec.backup and one.spec.weight]
        usable = first or spares
        waiting = [
            one for one in members if one.spec.weight and _breaker_state(one) is State.HALF_OPEN
        ]
        self._probes = [one for one in waiting if _fit(one) and not (first and one.spec.backup)]
        self.panicking = False
        if not usable:
            usable = [one for one in closed if one.spec.weight]
            self.panicking = bool(usable or (waiting and not self._probes))
            self._probes = self._probes or waiting
        if self.panicking and not before:
            log.warning("no target of '%s' is well: all are asked", self.spec.name)
        self._picker = self._balanced(usable)
        self._spares = self._balanced(spares if usable is first else [])
        sticky = self.spec.balance.sticky is not None
        self._marked = {mark(one): one for one in usable} if sticky else {}
        keyless = self.spec.balance.hash is None and not sticky
        self._plain = keyless and bool(usable) and not self._probes
        alone = len(members) == 1 and usable == list(members) and not sticky
        self.only = members[0] if alone else None

    def _balanced(self, targets: Sequence[Target]) -> RoundRobin:
        weighed = self._weighed([one for one in targets if one.spec.weight])
        at = self._picker.at
        return balancer(self.spec.balance.policy, weighed, self._ring, at)

    def _weighed(self, targets: Sequence[Target]) -> list[tuple[Target, int]]:
        """Return targets and weights; while one is coming back, weights are in tenths."""
        slow, now = self.spec.slow_start, monotonic()
        ages = [
            math.inf if one.standing is None else now - one.standing.returned for one in targets
        ]
        if not slow or self._ring is not None or all(age >= slow for age in ages):
            return [(one, one.spec.weight) for one in targets]
        self._grow_in(slow / STEPS)
        return [
            (one, one.spec.weight * (1 + int(min(age / slow, 0.99) * STEPS)))
            for one, age in zip(targets, ages, strict=True)
        ]

    def _grow_in(self, seconds: float) -> None:
        self._stop_growing()
        self._growing = asyncio.get_running_loop().call_later(seconds, self.changed)

    def _stop_growing(self) -> None:
        if self._growing is not None:
            self._growing.cancel()
            self._growing = None

    def may_eject(self) -> bool:
        """Say whether one target more may be left out: one of several always may."""
        several = len(self.members)
        out = sum(one.standing is not None and one.standing.ejected for one in self.members)
        return several > 1 and out + 1 <= max(1, int(self.spec.outliers.most * several))

    # -- which is next

    def choose(self, request: Request | None = None, tried: Collection[Target] = ()) -> Target:
        """Return the next target: one that was not tried where there is one.

        `request` is what hash and sticky are asked by; None for calls that no client made. Raises
        GatewayError `upstream_unavailable` when every breaker is open.
        """
        if self._plain and not tried:
            return self._picker.pick(None)
        balance = self.spec.balance
        key = None
        if request is not None:
            if balance.hash is not None:
                key = key_of(balance.hash, request.exchange, request.headers)
            if balance.sticky is not None and not tried:
                value = cookie_value(request.headers.get("Cookie", ""), balance.sticky)
                kept = self._marked.get(value or "")
                if kept is not None:
                    return kept
        probe = self._probe(key, tried) if self._probes else None
        if probe is not None:
            return probe
        picker = self._picker
        if not picker.turns:
            raise self._unavailable()
        if tried:
            other = picker.another(key, tried) or self._spares.another(key, tried)
            return other or picker.pick(key)
        return picker.pick(key)

    def _probe(self, key: str | None, tried: Collection[Target]) -> Target | None:
        """Return a target whose breaker waits for the one request that tries, if there is one."""
        for target in self._probes:
            breaker = None if target.standing is None else target.standing.breaker
            if target in tried or breaker is None or breaker.state is not State.HALF_OPEN:
                continue
            if self._belongs(key, target, tried):
                breaker.probe()
                self._probes.remove(target)
                return target
        return None

    def _belongs(self, key: str | None, target: Target, tried: Collection[Target]) -> bool:
        """Say whether `key` would be a target's own if that were asked again."""
        if key is None or self._ring is None:
            return True
        usable = {target, *self._picker.turns}.difference(tried)
        return next(each for each in self._ring.along(key) if each in usable) is target

    def cookie_for(self, target: Target, request: Request) -> str | None:
        """Return the sticky cookie that a client of `target` has to be given, None if it has it."""
        name = self.spec.balance.sticky
        if name is None:
            return None
        value = mark(target)
        if cookie_value(request.headers.get("Cookie", ""), name) == value:
            return None
        secure = "; Secure" if request.exchange.client.scheme == "https" else ""
        return f"{name}={value}; Path={request.prefix or '/'}; HttpOnly; SameSite=Lax{secure}"

    def has_another(self, tried: Collection[Target]) -> bool:
        """Say whether there is a target that was not tried."""
        return any(one not in tried for one in (*self._picker.turns, *self._spares.turns))

    def _unavailable(self) -> GatewayError:
        breakers = (one.standing.breaker for one in self.members if one.standing is not None)
        left = [each.left for each in breakers if each is not None]
        seconds = max(1, math.ceil(min(left, default=1.0)))
        return GatewayError("upstream_unavailable", headers={"Retry-After": str(seconds)})

    # -- what is shown

    def troubles(self) -> list[tuple[Target, Standing]]:
        """Return the targets that are left out, or should be."""
        return [
            (one, one.standing)
            for one in self.members
            if one.standing is not None and one.standing.reason is not None
        ]


def _fit(target: Target) -> bool:
    return target.standing is None or target.standing.fit


def _breaker_state(target: Target) -> State | None:
    standing = target.standing
    return None if standing is None or standing.breaker is None else standing.breaker.state
