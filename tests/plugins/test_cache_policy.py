"""What an answer says of how long it may be used."""

from __future__ import annotations

import pytest
from cache_kit import START

from plugins.cache.dates import format_date, parse_date
from plugins.cache.directives import parse, seconds
from plugins.cache.policy import forbids, initial_age, is_shared, policy_of

DATE = format_date(START)
LATER = format_date(START + 60)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"", {}),
        (b"no-store", {b"no-store": b""}),
        (b"Max-Age=60, PUBLIC", {b"max-age": b"60", b"public": b""}),
        (b'max-age="60"', {b"max-age": b"60"}),
        (b" , max-age = 60 ,,no-cache", {b"max-age": b"60", b"no-cache": b""}),
        (b"max-age=60, max-age=90", {b"max-age": b"60"}),
        (b'no-cache="set-cookie, x", max-age=1', {b"no-cache": b"set-cookie, x", b"max-age": b"1"}),
        (b"max-age=60 s-maxage=90", {b"max-age": b""}),
        (b'private="x, max-age=60', {b"private": b"", b"max-age": b"60"}),
        (b'x="a\\", b", no-store', {b"x": b'a\\", b', b"no-store": b""}),
        (b'x"a, no-store"', {b"x": b"", b"no-store": b""}),
        (b"public max-age=60, no-store", {b"no-store": b""}),
        (b'"quoted", \xff\xfe, max-age=60', {b"max-age": b"60"}),
    ],
)
def test_directives_are_read_and_malformed_ones_stand_without_a_value(
    written: bytes, meant: dict[bytes, bytes]
) -> None:
    assert parse(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"max-age=5", 5),
        (b"max-age=-5", 0),
        (b"max-age=1.5", 0),
        (b"max-age", 0),
        (b"public", None),
    ],
)
def test_seconds_that_are_no_number_are_none_at_all(written: bytes, meant: int | None) -> None:
    assert seconds(parse(written), b"max-age") == meant


def test_more_seconds_than_anybody_counts_are_many() -> None:
    assert seconds(parse(b"max-age=" + b"9" * 6000), b"max-age") == 2**31 - 1
    assert seconds(parse(b"max-age=" + b"0" * 6000 + b"60"), b"max-age") == 60


@pytest.mark.parametrize(
    ("fields", "lifetime"),
    [
        ({b"cache-control": b"max-age=60"}, 60),
        ({b"cache-control": b"max-age=60, s-maxage=30"}, 30),
        ({b"cache-control": b"max-age=60", b"expires": DATE}, 60),
        ({b"expires": LATER, b"date": DATE}, 60),
        ({b"expires": LATER}, 60),
        ({b"expires": DATE, b"date": LATER}, 0),
        ({b"expires": b"0"}, 0),
        ({b"cache-control": b"max-age=soon", b"expires": LATER, b"date": DATE}, 0),
        ({b"last-modified": DATE}, None),
        ({}, None),
    ],
)
def test_the_lifetime_is_what_the_first_of_three_says(
    fields: dict[bytes, bytes], lifetime: int | None
) -> None:
    assert policy_of(200, fields, START).lifetime == lifetime


@pytest.mark.parametrize(
    ("status", "control", "lasts"),
    [(200, b"", 30), (404, b"", 30), (302, b"", 0), (302, b"public", 30), (200, b"max-age=5", 5)],
)
def test_a_default_stands_in_where_nothing_is_said_and_the_status_lets_it(
    status: int, control: bytes, lasts: int
) -> None:
    assert policy_of(status, {b"cache-control": control}, START).lasts(30) == lasts


@pytest.mark.parametrize(
    ("fields", "delay", "age"),
    [
        ({b"date": DATE}, 0.0, 0.0),
        ({b"date": DATE}, 2.5, 2.5),
        ({b"date": DATE, b"age": b"40"}, 2.0, 42.0),
        ({b"date": format_date(START - 90), b"age": b"40"}, 2.0, 90.0),
        ({b"date": LATER}, 0.0, 0.0),
        ({b"date": b"yesterday", b"age": b"old"}, 1.0, 1.0),
        ({b"date": DATE, b"age": b"7, 9"}, 0.0, 7.0),
        ({b"date": DATE, b"age": b"9" * 6000}, 0.0, 2.0**31),
    ],
)
def test_an_answer_is_as_old_as_the_worst_that_is_said_of_it(
    fields: dict[bytes, bytes], delay: float, age: float
) -> None:
    assert initial_age(fields, START, delay) == age


@pytest.mark.parametrize(
    ("control", "default", "late", "serves"),
    [
        (b"max-age=1", 0, 0, False),
        (b"max-age=1", 10, 9, True),
        (b"max-age=1", 10, 10, False),
        (b"max-age=1, stale-if-error=5", 0, 4, True),
        (b"max-age=1, stale-if-error=5", 60, 5, False),
        (b"max-age=1, must-revalidate", 60, 0, False),
        (b"max-age=1, proxy-revalidate, stale-if-error=60", 60, 0, False),
        (b"no-cache, stale-if-error=60", 60, 0, False),
        (b"s-maxage=1", 60, 0, False),
        (b"s-maxage=1, stale-if-error=60", 0, 0, True),
    ],
)
def test_a_stale_answer_stands_in_for_an_error_as_long_as_it_may(
    control: bytes, default: int, late: int, serves: bool
) -> None:
    policy = policy_of(200, {b"cache-control": control}, START)
    assert policy.serves_error(late, default) is serves


@pytest.mark.parametrize(
    ("control", "late", "serves"),
    [
        (b"max-age=1", 0, False),
        (b"max-age=1, stale-while-revalidate=5", 4, True),
        (b"max-age=1, stale-while-revalidate=5", 5, False),
        (b"max-age=1, stale-while-revalidate=5, must-revalidate", 0, False),
    ],
)
def test_a_stale_answer_is_served_meanwhile_only_where_it_says_so(
    control: bytes, late: int, serves: bool
) -> None:
    assert policy_of(200, {b"cache-control": control}, START).serves_while(late) is serves


@pytest.mark.parametrize(
    ("control", "forbidden", "shared"),
    [
        (b"max-age=60", False, False),
        (b"public", False, True),
        (b"s-maxage=60", False, False),
        (b"max-age=60, must-revalidate", False, False),
        (b"public; private", False, False),
        (b"private, max-age=60", True, False),
        (b'private="x-user"', False, False),
        (b"must-understand, no-store", True, False),
    ],
)
def test_who_an_answer_is_for(control: bytes, forbidden: bool, shared: bool) -> None:
    values = {b"cache-control": control}
    assert (forbids(values), is_shared(values)) == (forbidden, shared)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        (b"Sun Nov  6 08:49:37 1994", 784111777),
        (b"Sun, 06 Nov 99999 08:49:37 GMT", None),
        (b"0", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_a_date_is_read_in_its_three_forms(written: bytes, meant: int | None) -> None:
    assert parse_date(written) == meant
