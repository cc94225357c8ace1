"""Durations, sizes, rates and percentages, as text and back."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.units import (
    Rate,
    duration_text,
    mended,
    parse_duration,
    parse_percent,
    parse_rate,
    parse_size,
    parse_statuses,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("2s", 2.0), ("1.5s", 1.5), ("5m", 300.0), ("1h", 3600.0), ("0s", 0.0)],
)
def test_a_duration_becomes_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("512B", 512), ("64KiB", 65536), ("10MiB", 10 * 1024**2), ("1GiB", 1024**3)],
)
def test_a_size_becomes_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [("50/s", Rate(50, 1.0)), ("100/m", Rate(100, 60.0)), ("1000/h", Rate(1000, 3600.0))],
)
def test_a_rate_is_a_count_in_a_period_and_is_written_as_it_was(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert str(rate) == text


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/sec", Rate(5, 1.0)),
        ("100/min", Rate(100, 60.0)),
        ("7/hour", Rate(7, 3600.0)),
        ("9/day", Rate(9, 86400.0)),
    ],
)
def test_the_period_of_a_rate_may_be_a_word(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(("text", "share"), [("0%", 0.0), ("0.5%", 0.005), ("100%", 1.0)])
def test_a_percentage_becomes_a_share(text: str, share: float) -> None:
    assert parse_percent(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [("2xx", ((200, 299),)), ("204", ((204, 204),)), ("200-399, 404", ((200, 399), (404, 404)))],
)
def test_statuses_become_ranges(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    assert parse_statuses(text) == ranges


@pytest.mark.parametrize(
    ("parse", "text", "form"),
    [
        (parse_duration, "10", "250ms"),
        (parse_duration, "-1s", "250ms"),
        (parse_duration, "1 s", "250ms"),
        (parse_duration, "1s\n", "250ms"),
        (parse_duration, "9999999999s", "250ms"),
        (parse_duration, "\u0661s", "250ms"),
        (parse_size, "10MB", "64KiB"),
        (parse_size, "1.5MiB", "64KiB"),
        (parse_size, "", "64KiB"),
        (parse_rate, "0/s", "50/s"),
        (parse_rate, "50", "50/s"),
        (parse_rate, "50/ms", "50/s"),
        (parse_rate, "50/month", "50/s"),
        (parse_percent, "101%", "0% to 100%"),
        (parse_percent, "20", "0% to 100%"),
        (parse_statuses, "6xx", "2xx"),
        (parse_statuses, "300-200", "2xx"),
        (parse_statuses, "2xx,", "2xx"),
    ],
)
def test_another_form_is_refused_naming_the_accepted_one(
    parse: Callable[[str], object], text: str, form: str
) -> None:
    with pytest.raises(ValueError, match=form):
        parse(text)


@pytest.mark.parametrize(
    ("form", "value", "written"),
    [
        ("duration", 5, "5s"),
        ("duration", 0.5, "0.5s"),
        ("timer", "5 s", "5s"),
        ("duration", "5sec", "5s"),
        ("duration", "1 Minute", "1m"),
        ("duration", "250 millis", None),
        ("duration", "-1s", None),
        ("duration", "5s", None),
        ("duration", True, None),
        ("duration", [5], None),
        ("size", 10, "10B"),
        ("size", "10MB", "10MiB"),
        ("size", "1.5MiB", None),
        ("rate", 50, "50/s"),
        ("rate", "50 per second", "50/s"),
        ("rate", "100 / min", "100/m"),
        ("rate", 0, None),
        ("percent", 20, "20%"),
        ("percent", "20 %", "20%"),
        ("percent", 120, None),
        ("percent", 0.05, None),
        ("percent", "1", None),
        ("percent", "0.5 %", "0.5%"),
        ("listen", 5, None),
    ],
)
def test_what_is_nearly_right_is_written_as_it_should_be(
    form: str, value: object, written: str | None
) -> None:
    assert mended(form, value) == written


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (1.0, "1s"),
        (2.5, "2.5s"),
        (90.0, "90s"),
        (600.0, "10m"),
        (7200.0, "2h"),
        (86400.0, "1d"),
    ],
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
    assert parse_duration(text) == seconds


@given(st.integers(0, 999_999_999))
def test_a_size_is_written_so_that_it_is_read_again(size: int) -> None:
    assert parse_size(size_text(size)) == size


def test_a_size_is_written_in_its_largest_whole_unit() -> None:
    sizes = (0, 240, 65536, 10 * 1024**2, 1024**3, 1025)
    assert [size_text(size) for size in sizes] == ["0B", "240B", "64KiB", "10MiB", "1GiB", "1025B"]
