"""One answer of several workers'."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.runtime.sums import checked, summed


@pytest.mark.parametrize(
    ("answers", "total"),
    [
        ([], {}),
        ([{"a": 1, "b": 2.5}, {"a": 3, "b": 0.5}], {"a": 4, "b": 3.0}),
        ([{"a": "x"}, {"a": "x"}, {"a": "x"}], {"a": "x"}),
        ([{"a": "open"}, {"a": "closed"}, {"a": "open"}], {"a": "open | closed"}),
        ([{"a": True}, {"a": True}], {"a": True}),
        ([{"a": True}, {"a": False}], {"a": True}),
        ([{"a": None}, {"a": 2}, {"a": None}], {"a": 2}),
        ([{"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}], {"a": {"b": 3, "c": 3}}),
        ([{"a": [1]}, {"a": [2]}], {"a": [1, 2]}),
        ([{"a": []}, {"a": [{"name": "x", "n": 1}]}], {"a": [{"name": "x", "n": 1}]}),
        (
            [
                {"a": [{"name": "x", "n": 1, "s": "on"}]},
                {"a": [{"name": "y", "n": 5}, {"name": "x", "n": 2, "s": "off"}]},
            ],
            {"a": [{"name": "x", "n": 3, "s": "on | off"}, {"name": "y", "n": 5}]},
        ),
    ],
)
def test_numbers_are_added_and_what_is_named_is_merged(
    answers: list[dict[str, Any]], total: dict[str, Any]
) -> None:
    assert summed(answers) == total


def test_the_answers_themselves_stay_as_they_were() -> None:
    one, other = {"a": [{"name": "x", "n": 1}]}, {"a": [{"name": "x", "n": 2}]}
    assert summed([one, other]) == {"a": [{"name": "x", "n": 3}]}
    assert (one, other) == ({"a": [{"name": "x", "n": 1}]}, {"a": [{"name": "x", "n": 2}]})


def test_a_check_tells_in_which_workers_it_is_not_well() -> None:
    assert checked({}) == {}
    assert checked({0: {"a": "ok"}, 1: {"a": "ok"}}) == {"a": "ok"}
    assert checked({0: {"a": "down (for 1 s)"}, 1: {"a": "down (for 3 s)"}}) == {
        "a": "down (for 1 s)"
    }
    assert checked({0: {}, 1: {"a": "down"}, 2: {"a": "down"}}) == {"a": "worker 1, 2: down"}
