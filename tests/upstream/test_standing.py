"""What is known of one target: by requests, by checks, and for how long it is kept."""

from __future__ import annotations

import asyncio
import math

import pytest

from proxy.config.models import Breaker, Health, Outliers, UpstreamSpec
from proxy.errors import GatewayError
from proxy.upstream.breaker import State
from proxy.upstream.standing import GATEWAY_FAULTS, Standing, watched
from tests.upstream.targets import RESET


class Listener:
    """A group that lets `may` targets be left out, and hears of changes."""

    def __init__(self, *, may: bool = True) -> None:
        self.may = may
        self.heard = 0

    def changed(self) -> None:
        self.heard += 1

    def may_eject(self) -> bool:
        return self.may


def standing(listener: Listener | None = None, **settings: object) -> Standing:
    made = Standing(UpstreamSpec("u", (), **settings))  # type: ignore[arg-type]
    made.listeners.append(listener or Listener())
    return made


@pytest.mark.parametrize(
    ("status", "outlier", "breaks"),
    [
        (200, False, False),
        (304, False, False),
        (404, False, False),
        (429, False, False),
        (499, False, False),
        (500, True, False),
        (501, True, False),
        (502, True, True),
        (503, True, True),
        (504, True, True),
        (599, True, False),
    ],
)
async def test_what_a_status_counts_for(status: int, outlier: bool, breaks: bool) -> None:
    made = standing(outliers=Outliers(failures=1), breaker=Breaker(failures=1))
    made.answered(status, None)
    assert made.ejected is outlier
    assert (made.breaker.state is State.OPEN) is breaks
    assert (status in GATEWAY_FAULTS) is breaks
    for listener in list(made.listeners):
        made.leave(listener)


async def test_an_ejected_target_comes_back_by_itself() -> None:
    listener = Listener()
    made = standing(listener, outliers=Outliers(failures=2, eject_for=0.03))
    made.failed(RESET, None)
    assert (made.state, made.fit, listener.heard) == ("ok", True, 0)
    made.failed(RESET, None)
    assert (made.state, made.fit, listener.heard) == ("ejected", False, 1)
    assert made.reason == "2 bad ends in a row, the last: upstream_reset_before_headers"
    await asyncio.sleep(0.06)
    assert (made.state, made.reason, listener.heard) == ("ok", None, 2)
    assert made.returned > 0


async def test_the_log_is_told_once_that_a_target_is_left_out_and_when_it_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "brain.upstream")
    spec = UpstreamSpec(
        "shop", (), outliers=Outliers(failures=1, eject_for=0.03), breaker=Breaker(1)
    )
    made = Standing(spec, "http://a:1")
    made.listeners.append(Listener())
    made.failed(RESET, None)
    made.failed(RESET, None)
    (line,) = caplog.messages
    assert line.startswith("target http://a:1 of 'shop' is left out, ejected: 1 bad ends in a row")
    await asyncio.sleep(0.06)
    assert len(caplog.messages) == 1, "its breaker is open yet"
    assert made.breaker is not None
    made.breaker.probe()
    made.breaker.taken(made)
    made.breaker.good(made)
    made.breaker.close()
    assert "target http://a:1 of 'shop' is asked again, after 0." in caplog.messages[-1]


async def test_a_target_that_may_not_be_left_out_says_so() -> None:
    made = standing(Listener(may=False), outliers=Outliers(failures=2))
    made.failed(RESET, None)
    assert made.reason is None
    made.failed(RESET, None)
    assert (made.state, made.reason) == (
        "ok",
        "its requests fail, and no more targets may be left out",
    )
    made.answered(200, None)
    assert made.reason is None


async def test_the_newest_group_decides_whether_it_is_left_out() -> None:
    former, newest = Listener(), Listener(may=False)
    made = standing(former, outliers=Outliers(failures=1, eject_for=0.01))
    made.listeners.append(newest)
    assert (made.follows(former), made.follows(newest)) == (False, True)
    for _ in range(9):
        made.failed(RESET, None)
    assert not made.ejected
    former.may, newest.may = False, True
    made.failed(RESET, None)
    assert made.ejected
    await asyncio.sleep(0.03)


@pytest.mark.parametrize(
    ("checks", "well"),
    [
        ("-", False),
        ("+", True),
        ("+-", True),
        ("+--", True),
        ("+---", False),
        ("+--+--", True),
        ("-+", False),
        ("-++", True),
        ("-+-+", False),
        ("+---++", True),
        ("-++--", True),
        ("-++---", False),
    ],
)
def test_checks_need_their_thresholds_but_for_the_first(checks: str, well: bool) -> None:
    made = standing(health=Health(unhealthy=3, healthy=2))
    for check in checks:
        made.check_passed() if check == "+" else made.check_failed("GET / answers 404, not 2xx")
    assert made.well is well
    assert made.state == ("ok" if well else "unhealthy")
    assert made.reason == (None if well else "GET / answers 404, not 2xx")
    assert made.checks == {True: checks.count("+"), False: checks.count("-")}


def test_a_bad_check_that_is_not_enough_is_no_reason_yet() -> None:
    made = standing(health=Health(unhealthy=3))
    made.check_passed()
    made.check_failed("late")
    assert made.reason is None


async def test_the_last_group_that_leaves_ends_the_timers() -> None:
    one, other = Listener(), Listener()
    made = standing(one, outliers=Outliers(failures=1, eject_for=0.02), breaker=Breaker(1, 0.02))
    made.listeners.append(other)
    made.failed(RESET, None)
    made.leave(one)
    heard = other.heard
    await asyncio.sleep(0.05)
    assert other.heard == heard + 2, "readmitted, and its breaker half-open"
    made.failed(GatewayError("upstream_connect_refused"), None)
    made.leave(other)
    await asyncio.sleep(0.05)
    assert made.ejected, "nobody is left to be told"


async def test_a_breaker_says_what_it_waits_for() -> None:
    made = standing(breaker=Breaker(2, 60.0), outliers=Outliers(on=False))
    made.failed(RESET, None)
    made.failed(RESET, None)
    assert (made.state, made.fit, made.closed) == ("open", True, False)
    assert made.reason == "its requests failed, the last: upstream_reset_before_headers"
    assert made.returned == -math.inf
    made.leave(made.listeners[0])


async def test_the_reason_is_that_of_the_state() -> None:
    health = Health(unhealthy=1, healthy=1)
    made = standing(breaker=Breaker(1, 60.0), outliers=Outliers(failures=1), health=health)
    made.answered(503, None)
    made.check_failed("GET / answers 404, not 2xx")
    assert (made.state, made.reason) == ("unhealthy", "GET / answers 404, not 2xx")
    made.check_passed()
    assert made.state == "ejected"
    assert made.reason is not None
    assert made.reason.endswith("the last: answers 503")
    made.readmit()
    assert (made.state, made.reason) == ("open", "its requests failed, the last: answers 503")
    made.leave(made.listeners[0])


async def test_the_head_of_a_stream_is_enough_for_a_probe() -> None:
    made = standing(breaker=Breaker(1, 0.01), outliers=Outliers(on=False))
    made.failed(RESET, "before")
    await asyncio.sleep(0.03)
    assert made.breaker is not None
    made.breaker.probe()
    made.breaker.taken("probe")
    made.begun(503, "probe")
    assert made.state == "probing"
    made.begun(200, "another")
    assert made.state == "probing"
    made.begun(200, "probe")
    assert made.state == "ok"
    made.failed(GatewayError("upstream_reset_mid_body"), "probe")
    assert made.state == "open", "what follows counts as of any other"
    made.leave(made.listeners[0])


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({}, True),
        ({"concurrent": 7, "keepalive": 1.0, "slow_start": 3.0}, True),
        ({"outliers": Outliers(failures=6)}, False),
        ({"breaker": Breaker()}, False),
        ({"health": Health()}, False),
    ],
)
def test_a_standing_is_kept_where_the_way_of_watching_is(
    settings: dict[str, object], same: bool
) -> None:
    other = UpstreamSpec("u", (), **settings)  # type: ignore[arg-type]
    assert (watched(UpstreamSpec("u", ())) == watched(other)) is same
