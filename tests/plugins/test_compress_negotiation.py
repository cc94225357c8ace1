"""Which coding a client likes best (RFC 9110, 12.5.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.compress.negotiation import preferred

OURS = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, br;q=0.9", "gzip"),
        ("gzip;q=0.5, br;q=0.501", "br"),
        ("gzip ; q=0.5 ,\tbr ; Q=0.4", "gzip"),
        ("br;q=0, gzip;q=0.001", "gzip"),
        ("*", "zstd"),
        ("*;q=0.1", "zstd"),
        ("zstd;q=0, *", "br"),
        ("gzip;q=0.5, *;q=0.1", "gzip"),
        ("gzip;q=0.5, *", "zstd"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("*;q=0, gzip", "gzip"),
        ("gzip, gzip;q=0, br;q=0.1", "br"),
        ("gzip;q=1.000", "gzip"),
        # Nothing of ours, or less liked than the plain answer.
        ("", None),
        ("identity", None),
        ("deflate, compress", None),
        ("identity;q=1, gzip;q=0.9", None),
        ("identity;q=1, *;q=0.5", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("*;q=0", None),
        ("identity;q=0", None),
        ("identity;q=0, *;q=0", None),
        ("deflate, *;q=0", None),
        # Malformed members name nothing.
        ("gzip;q=2", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=-1", None),
        ("gzip;q=", None),
        ("gzip;level=9", None),
        ("gz ip", None),
        (";q=1,,gzip", "gzip"),
    ],
)
def test_the_best_liked_of_what_there_is_is_chosen(accepted: str, chosen: str | None) -> None:
    assert preferred(accepted, OURS) == chosen


def test_equal_likings_follow_the_order_of_the_file() -> None:
    assert preferred("br, zstd, gzip", ("gzip", "br")) == "gzip"
    assert preferred("br, gzip;q=0.9", ("gzip", "br")) == "br"


@given(st.text(st.sampled_from("gzipbrstd*identity;q=01., x-\t"), max_size=60))
def test_whatever_a_client_sends_it_gets_what_it_named_or_nothing(accepted: str) -> None:
    chosen = preferred(accepted, OURS)
    assert chosen is None or chosen in accepted.lower() or "*" in accepted
