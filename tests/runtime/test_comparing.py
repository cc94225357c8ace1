"""Where two JSON documents differ."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.models import Compare
from proxy.config.pointers import parse_pointer
from proxy.runtime.comparing import LONGEST, Seen, compared, differences

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)


def found(one: Any, other: Any, *ignore: str) -> list[str]:
    return list(differences(one, other, tuple(map(parse_pointer, ignore))))


@pytest.mark.parametrize(
    ("one", "other", "ignore", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, (), []),
        ({"a": 1}, {"a": True}, (), ["/a"]),
        ({"a": 0}, {"a": None}, (), ["/a"]),
        ({"a": 1}, {}, (), ["/a"]),
        ([1, 2], [1, 2, 3], (), ["/2"]),
        ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}, (), ["/a~1b/~0"]),
        (1, [1], (), [""]),
        ({"a": {}}, {"a": []}, (), ["/a"]),
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}, ("/a",), ["/b"]),
        ({"a": {"x": 1}}, {"a": {"x": 2}}, ("/a",), []),
        ({"a": 1}, {}, ("/a",), []),
        ([{"id": 1, "n": 1}, {"id": 2}], [{"id": 7, "n": 2}, {"id": 8}], ("/*/id",), ["/0/n"]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ("/a/b/d", "/x"), ["/a/b/c"]),
        ({"": 1}, {"": 2}, (), ["/"]),
        ({"": 1}, {"": 2}, ("/",), []),
        ({"a~b": 1}, {"a~b": 2}, ("/a~0b",), []),
    ],
)
def test_differences_are_told_by_pointers(
    one: Any, other: Any, ignore: tuple[str, ...], expected: list[str]
) -> None:
    assert found(one, other, *ignore) == expected


def test_only_the_first_few_are_told_in_their_order() -> None:
    one, other = [{"n": n} for n in range(100)], [{"n": -1} for _ in range(100)]
    assert found(one, other) == [f"/{n}/n" for n in range(5)]


def test_a_name_of_strangers_is_cut_and_can_not_forge_a_line() -> None:
    (told,) = found({"x\n" * 300: 1}, {})
    assert "\n" not in told
    assert len(told) < 2 * LONGEST


@given(DOCUMENTS)
def test_a_document_is_no_other(document: Any) -> None:
    assert found(document, json.loads(json.dumps(document))) == []


@given(DOCUMENTS, DOCUMENTS)
def test_what_differs_does_so_both_ways(one: Any, other: Any) -> None:
    assert bool(found(one, other)) == bool(found(other, one))


def test_documents_that_nest_without_end_are_no_json() -> None:
    deep = Seen(200, b"[" * 500_000)
    assert compared(deep, Seen(200, b"1"), Compare.JSON, (), 10**6).result == "different-body"
    other = Seen(200, b"[" * 500_001)
    assert compared(deep, other, Compare.JSON, (), 10**6).result == "uncompared"


def test_what_is_no_number_is_equal_to_itself() -> None:
    one, other = Seen(200, b"[NaN, 1]"), Seen(200, b"[NaN,1]")
    assert compared(one, other, Compare.JSON, (), 100).result == "same"


def test_a_body_that_unpacks_to_too_much_is_not_compared() -> None:
    import gzip

    bomb = Seen(200, gzip.compress(b"0" * 10**6), "gzip")
    assert compared(bomb, Seen(200, b"1"), Compare.JSON, (), 1000).result == "uncompared"


@pytest.mark.parametrize("text", ["", "a", "/~2", "/a~"])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a JSON pointer"):
        parse_pointer(text)
