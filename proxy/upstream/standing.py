"""What is known of one target: whether it is well, left out, or behind an open breaker."""

from __future__ import annotations

import asyncio
import logging
import math
from time import monotonic
from typing import Protocol

from proxy.config.models import UpstreamSpec
from proxy.errors import GatewayError
from proxy.upstream.breaker import CircuitBreaker, State
from proxy.upstream.outliers import OutlierWatch

log = logging.getLogger("brain.upstream")

GATEWAY_FAULTS = frozenset({502, 503, 504})
"""What a breaker counts: a plain 500 is mostly one request's own fault, not the target's."""


class Listener(Protocol):
    """A group of targets that one standing belongs to.

    After a reload there are several for a while. The newest decides: it has the targets that requests
    are sent to.
    """

    def changed(self) -> None:
        """Look again at which targets may be asked."""

    def may_eject(self) -> bool:
        """Say whether one target more may be left out."""


class Standing:
    """One target's health, ejection and breaker. It outlives a reload that leaves these as they are.

    `since` is when its state last changed, for the operator. The log is told when a target is left
    out and when it is asked again.
    """

    __slots__ = (
        "_bad_checks",
        "_bad_end",
        "_check",
        "_ejection",
        "_good_checks",
        "_health",
        "_label",
        "_left",
        "_timer",
        "breaker",
        "checked",
        "checks",
        "ejected",
        "listeners",
        "returned",
        "since",
        "watch",
        "well",
    )

    def __init__(self, spec: UpstreamSpec, label: str = "") -> None:
        """`label` is what the log calls the target."""
        self._label = f"{label} of '{spec.name}'"
        self._left: float | None = None
        self.listeners: list[Listener] = []
        self.watch = OutlierWatch(spec.outliers) if spec.outliers.on else None
        self.breaker = None if spec.breaker is None else CircuitBreaker(spec.breaker, self._changed)
        self._health = spec.health
        self.well = True
        self.ejected = False
        self.checked = False
        self.checks = {True: 0, False: 0}
        self._check = self._ejection = self._bad_end = ""
        self.since = monotonic()
        self.returned = -math.inf
        self._good_checks = self._bad_checks = 0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Standing {self.state}>"

    @property
    def state(self) -> str:
        """`ok`, `unhealthy`, `ejected`, or the breaker's `open`, `half-open` or `probing`."""
        if not self.well:
            return "unhealthy"
        if self.ejected:
            return "ejected"
        if self.breaker is None or self.breaker.state is State.CLOSED:
            return "ok"
        state: str = self.breaker.state.value
        return state

    @property
    def reason(self) -> str | None:
        """Why it is in its state, for the operator; None where all is well."""
        if not self.well:
            return self._check
        if self.ejected:
            return self._ejection
        if self.closed and self.watch is not None and self.watch.failing:
            return "its requests fail, and no more targets may be left out"
        return None if self.closed else f"its requests failed, the last: {self._bad_end}"

    @property
    def fit(self) -> bool:
        """Whether health and ejection let it be asked."""
        return self.well and not self.ejected

    @property
    def closed(self) -> bool:
        """Whether its breaker lets requests pass."""
        return self.breaker is None or self.breaker.state is State.CLOSED

    # -- how requests end; `who` is whose it was, since one of them may be the breaker's probe

    def begun(self, status: int, who: object) -> None:
        """The head of an answer came that may go on for hours: a probe has seen enough."""
        if self.breaker is not None and status not in GATEWAY_FAULTS:
            self.breaker.begun(who)

    def answered(self, status: int, who: object) -> None:
        """A request ended with a whole answer."""
        breaker = self.breaker
        if self.watch is not None:
            if status < 500:
                self.watch.good()
            else:
                self._judge(f"answers {status}")
        if breaker is not None:
            if status in GATEWAY_FAULTS:
                self._bad_end = f"answers {status}"
                breaker.bad(who)
            elif not breaker.untroubled:
                breaker.good(who)

    def failed(self, error: GatewayError, who: object) -> None:
        """A request ended without a whole answer, by the target's fault."""
        if self.watch is not None:
            self._judge(error.code)
        if self.breaker is not None:
            self._bad_end = error.code
            self.breaker.bad(who)

    def undecided(self, who: object) -> None:
        """A request ended without telling anything of the target."""
        if self.breaker is not None:
            self.breaker.undecided(who)

    def _judge(self, what: str) -> None:
        assert self.watch is not None
        why = self.watch.bad()
        if why is None or self.ejected or not self.listeners[-1].may_eject():
            return
        seconds = self.watch.eject()
        self.ejected = True
        self._ejection = f"{why}, the last: {what}"
        self._timer = asyncio.get_running_loop().call_later(seconds, self.readmit)
        self._changed()

    def readmit(self) -> None:
        """Ask it again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.ejected:
            assert self.watch is not None
            self.watch.readmit()
            self.ejected = False
            self._changed()

    # -- how checks end

    def check_passed(self) -> None:
        """An active check found it well."""
        assert self._health is not None
        self.checks[True] += 1
        self._bad_checks = 0
        self._good_checks += 1
        if not self.well and self._good_checks >= self._health.healthy:
            self.well = True
            self._changed()
        self.checked = True

    def check_failed(self, reason: str) -> None:
        """An active check found it unwell; the first check of all decides at once."""
        assert self._health is not None
        self.checks[False] += 1
        self._good_checks = 0
        self._bad_checks += 1
        enough = self._bad_checks >= self._health.unhealthy or not self.checked
        self.checked = True
        if not self.well or enough:
            self._check = reason
        if self.well and enough:
            self.well = False
            self._changed()

    # -- life

    def follows(self, listener: Listener) -> bool:
        """Say whether `listener` is the newest of its groups, which asks and decides."""
        return self.listeners[-1] is listener

    def _changed(self) -> None:
        now = monotonic()
        if self.fit and self.closed:
            self.returned = now
        self.since = now
        self._tell(now)
        for listener in self.listeners:
            listener.changed()

    def _tell(self, now: float) -> None:
        """Log that the target is left out, once, and when it is asked again."""
        asked = self.state == "ok"
        if not asked and self._left is None:
            self._left = now
            log.warning("target %s is left out, %s: %s", self._label, self.state, self.reason)
        elif asked and self._left is not None:
            log.info("target %s is asked again, after %.1f s", self._label, now - self._left)
            self._left = None

    def leave(self, listener: Listener) -> None:
        """One group less; with the last one its timers end."""
        self.listeners.remove(listener)
        if not self.listeners:
            if self._timer is not None:
                self._timer.cancel()
            if self.breaker is not None:
                self.breaker.end()


def watched(spec: UpstreamSpec) -> tuple[object, ...]:
    """Return what a standing depends on: where it is equal, a standing may be kept."""
    return spec.outliers, spec.breaker, spec.health
