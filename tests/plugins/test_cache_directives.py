"""Reading what clients and upstreams send: as a plain reader does, in time in proportion."""

from __future__ import annotations

import string
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.cache import dates, directives, rules
from plugins.cache.fields import REMEMBERED, by_name, whole_number

LARGEST = 32 << 10
"""Bytes of the largest head that the gateway reads."""

TOKEN = (string.ascii_letters + string.digits + "!#$%&'*+.^_`|~-").encode()


def read_plainly(value: bytes) -> dict[bytes, bytes]:
    """Read directives a character at a time, as slowly as it likes."""
    found: dict[bytes, bytes] = {}
    for name, meant in _members(value):
        if name and not (meant is None and name == b"public"):
            found.setdefault(name, meant or b"")
    return found


def _members(value: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield names and values, None for a value that is malformed."""
    while value := value.lstrip(b" \t,"):
        length = next((at for at, char in enumerate(value) if char not in TOKEN), len(value))
        name, rest = value[:length].lower(), value[length:].lstrip(b" \t")
        given: bytes | None = b""
        if name and rest.startswith(b"="):
            given, rest = _value(rest[1:].lstrip(b" \t"))
            rest = rest.lstrip(b" \t")
        if given is None or not name or (rest and not rest.startswith(b",")):
            given, rest = None, value[length:].partition(b",")[2]
        yield name, given
        value = rest


def _value(rest: bytes) -> tuple[bytes | None, bytes]:
    if not rest.startswith(b'"'):
        length = next((at for at, char in enumerate(rest) if char in b' \t\n\r\f\v",'), len(rest))
        return rest[:length], rest[length:]
    at = 1
    while at < len(rest):
        if rest[at : at + 1] == b'"':
            return rest[1:at], rest[at + 1 :]
        at += 2 if rest[at : at + 1] == b"\\" else 1
    return None, b""


PIECES = st.sampled_from(
    [b"a", b"public", b"max-age", b"=", b'"', b"\\", b",", b" ", b"\t", b"60", b"\xff", b";"]
)


@given(st.lists(PIECES, max_size=14).map(b"".join))
@example(b'a="\\",b="x"')
@example(b"a=  ")
def test_directives_are_those_that_a_plain_reader_finds(value: bytes) -> None:
    assert directives.parse(value) == read_plainly(value)


HOSTILE = {
    "blanks before a quote": b"a=" + b" " * LARGEST + b'"',
    "blanks before a name": b"a" + b" " * LARGEST + b"b",
    "blanks at the end": b"a," + b" \t" * (LARGEST // 2),
    "blanks before the sign": b"a" + b" " * (LARGEST // 2) + b"=" + b" " * (LARGEST // 2) + b'"',
    "commas": b"," * LARGEST,
    "an open quote": b'a="' + b"x" * LARGEST,
    "open quotes": b'a="x,' * (LARGEST // 5),
    "escaped quotes": b'a="\\",' * (LARGEST // 6),
    "escapes": b'a="' + b"\\\\" * (LARGEST // 2),
    "names": b"a" * LARGEST + b'"',
    "members": b"a," * (LARGEST // 2),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_value_takes_longer_than_it_is_long(value: bytes) -> None:
    """A reader that looks back at each character takes minutes for these, and is stopped."""
    for tail in range(60):
        directives.parse(value + b"%d" % tail)


@pytest.mark.timeout(30)
def test_lines_of_one_name_are_joined_in_no_more_time_than_they_are_long() -> None:
    fields = [(b"A", b"%d" % number) for number in range(200_000)]
    assert by_name(fields)[b"a"] == b", ".join(value for _, value in fields)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"0", 0),
        (b"007", 7),
        (b"99", 99),
        (b"100", 99),
        (b"9" * 9000, 99),
        (b"0" * 9000, 0),
        (b"-1", None),
        (b"1.5", None),
        (b"", None),
        (b"\xb2", None),
    ],
)
def test_a_number_of_any_length_is_read(value: bytes, number: int | None) -> None:
    assert whole_number(value, 99) == number


def test_long_values_are_read_and_not_remembered() -> None:
    for remembered in (dates._remembered, directives._remembered, rules._asked_before):
        remembered.cache_clear()
    rules._remembered.cache_clear()
    long = b"x" * (REMEMBERED + 1)
    dates.parse_date(long)
    directives.parse(long)
    rules._conditions(b'"%b"' % long, None)
    rules._kept(200, long, (b"date",), known=False)
    rules._kept(200, b"", (long * 20,), known=False)
    assert dates._remembered.cache_info().currsize == 0
    assert directives._remembered.cache_info().currsize == 0
    assert rules._asked_before.cache_info().currsize == 0
    assert rules._remembered.cache_info().currsize == 0
    directives.parse(b"no-cache")
    assert directives._remembered.cache_info().currsize == 1
