"""The phases of an attempt, read out of the times that it reached."""

from __future__ import annotations

from typing import Any

import pytest

from proxy import Attempt


def attempt(target: str = "http://t", **reached: Any) -> Attempt:
    made = Attempt(target)
    for name, value in reached.items():
        setattr(made, name, value)
    return made


def read(made: Attempt, since: float = 0.0, ended: float = 1.0) -> dict[str, float]:
    found = zip(Attempt.PHASES, made.phases(since, ended), strict=True)
    return {phase: round(took) for phase, took in found if took is not None}


REACHED = ("pool", "resolved", "connected", "secured", "sent", "head")
TIMES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
ALL = {"chain": 100, "resolve": 100, "connect": 100, "tls": 100, "send": 100, "wait": 100}


def test_a_new_connection_has_all_phases_but_a_wait_for_a_slot() -> None:
    made = attempt(**dict(zip(REACHED, TIMES, strict=True)))
    assert read(made) == {"total": 1000, **ALL, "body": 400}


def test_a_wait_for_a_slot_is_told_apart_from_the_chain() -> None:
    made = attempt(queued=0.03, pool=0.1, sent=0.1, head=0.2, reused=True)
    assert read(made) == {
        "total": 1000,
        "chain": 30,
        "pool": 70,
        "send": 0,
        "wait": 100,
        "body": 800,
    }


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        (0, "chain"),
        (1, "resolve"),
        (2, "connect"),
        (3, "tls"),
        (4, "send"),
        (5, "wait"),
        (6, "body"),
    ],
)
def test_the_phase_that_a_try_ended_in_has_the_rest_of_the_time(steps: int, phase: str) -> None:
    known = dict(zip(REACHED[:steps], TIMES[:steps], strict=True))
    made = attempt("https://t", **known, end=0.9, code="client_left")
    found = read(made)
    assert made.reached == phase
    assert list(found)[-1] == phase
    assert found[phase] == 900 - 100 * steps
    assert sum(found.values()) == 2 * found["total"]


def test_without_tls_what_follows_the_connection_is_sending() -> None:
    assert attempt(pool=0.1, resolved=0.1, connected=0.2).reached == "send"
    assert attempt(pool=0.1, reused=True).reached == "send"


def test_an_early_answer_was_not_waited_for() -> None:
    made = attempt(pool=0.0, reused=True, head=0.2, sent=0.4)
    assert read(made) == {"total": 1000, "chain": 0, "send": 400, "wait": 0, "body": 800}


def test_further_attempts_begin_where_the_one_before_ended() -> None:
    tries = [
        attempt(pool=0.1, end=0.3, code="upstream_connect_refused", again="connect"),
        attempt(pool=0.4, sent=0.5, head=0.6, reused=True, status=503),  # a plugin dropped it
        attempt(pool=0.7, sent=0.7, head=0.8, reused=True, status=200, end=1.0),
    ]
    totals = [round(found[0]) for found in Attempt.timed(tries, 1.0)]
    assert totals == [300, 400, 300]
