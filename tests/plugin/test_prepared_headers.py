"""Headers that are checked and encoded once, and put on many requests."""

from __future__ import annotations

import pytest

from proxy import Outgoing, PreparedHeaders


def outgoing() -> Outgoing:
    return Outgoing("GET", "/", [(b"Accept", b"*/*")])


def test_they_are_appended_and_the_others_stay_as_they_came() -> None:
    one, prepared = outgoing(), PreparedHeaders({"X-A": "1", "X-B": None, "X-C": "\u00e9"})
    one.put(prepared)
    assert one.wire_fields() == [(b"Accept", b"*/*"), (b"X-A", b"1"), (b"X-C", b"\xc3\xa9")]
    assert one._headers is None
    assert one.headers["x-a"] == "1"


@pytest.mark.parametrize("touched", [False, True])
def test_those_put_before_are_replaced_and_nothing_else_is(touched: bool) -> None:
    one = outgoing()
    one.add_header("X-Z", "theirs")
    if touched:
        one.headers["X-Touched"] = "1"
    one.put(PreparedHeaders({"X-A": "1", "X-B": "2"}))
    one.put(PreparedHeaders({"X-Z": "of another plugin"}))
    one.put(PreparedHeaders({"x-a": "3", "X-B": None}))
    assert one.headers.getall("X-A") == ["3"]
    assert "X-B" not in one.headers
    assert one.headers.getall("X-Z") == ["theirs", "of another plugin"]
    assert one.headers.get("X-Touched") == ("1" if touched else None)


@pytest.mark.parametrize(
    "values",
    [
        {"X-A": "a\r\nX-B: b"},
        {"X-A": "a\0"},
        {"X A": "a"},
        {"Host": "a"},
        {"Content-Length": "1"},
        {"Connection": "x"},
    ],
)
def test_what_may_not_go_on_the_wire_is_refused_when_it_is_prepared(values: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        PreparedHeaders(values)


def test_no_value_shows_in_a_repr() -> None:
    assert repr(PreparedHeaders({"X-A": "hush"})) == "<PreparedHeaders X-A>"


@pytest.mark.parametrize("touched", [False, True])
def test_they_may_stand_in_the_place_of_the_clients(touched: bool) -> None:
    sent = [(b"x-key", b"mine"), (b"X_Key", b"mine"), (b"X-Other", b"1"), (b"x_other", b"2")]
    outgoing = Outgoing("GET", "/", sent)
    if touched:
        _ = outgoing.headers
    for value in ("first", "second"):
        outgoing.put(PreparedHeaders({"X-Key": value}), instead=True)
    assert list(outgoing.wire_fields()) == [
        (b"X-Other", b"1"),
        (b"x_other", b"2"),
        (b"X-Key", b"second"),
    ]


@pytest.mark.parametrize("touched", [False, True])
def test_a_name_with_an_underscore_takes_the_place_of_its_twins_too(touched: bool) -> None:
    outgoing = Outgoing("GET", "/", [(b"X_Key", b"mine"), (b"x-key", b"mine"), (b"X-Other", b"1")])
    if touched:
        _ = outgoing.headers
    for value in ("first", "second"):
        outgoing.put(PreparedHeaders({"X_Key": value}), instead=True)
    assert list(outgoing.wire_fields()) == [(b"X-Other", b"1"), (b"X_Key", b"second")]


def test_one_cookie_is_set_and_the_others_keep_their_order() -> None:
    outgoing = Outgoing("GET", "/", [(b"Cookie", b"a=1; k=mine; b=2"), (b"cookie", b"k=2; c=3")])
    outgoing.set_cookie("k", "ours")
    assert outgoing.headers.getall("Cookie") == ["a=1; b=2; c=3; k=ours"]
