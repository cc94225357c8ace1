"""The headers that carry a trace, read and written (w3.org/TR/trace-context)."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.tracing.ids import Ids
from plugins.tracing.w3c import header_of, parent_of, state_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (SAMPLED, True),
        (UNSAMPLED, False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
        (f"01-{TRACE}-{SPAN}-00-", False),
    ],
)
def test_a_traceparent_names_trace_span_and_flag(header: str, sampled: bool) -> None:
    assert parent_of([header], []) == (TRACE, SPAN, sampled, header, "")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        TRACE,
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f" {SAMPLED}",
        f"{SAMPLED}\n",
        f"00-{TRACE[:-1]}\u0664-{SPAN}-01",
    ],
)
def test_a_malformed_traceparent_is_none(header: str) -> None:
    assert parent_of([header], ["a=1"]) is None


def test_two_traceparents_are_none() -> None:
    assert parent_of([SAMPLED, SAMPLED], []) is None
    assert parent_of([], []) is None


@pytest.mark.parametrize(
    "state",
    [
        "a=1",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=1 , b=2\t,\tc=3",
        "a=1,,b=2",
        "fw529a3039@dt=FfFfFfFf",
        "0tenant@vendor=x",
        "a_b-c*d/e=!#$%&'()*+-./:;<>?@[]^_`{|}~",
        "a= 1",
        f"{'a' * 256}={'x' * 256}",
        ",".join(f"k{number}=v" for number in range(32)),
    ],
)
def test_a_well_formed_tracestate_goes_along_as_it_is(state: str) -> None:
    found = parent_of([SAMPLED], [state])
    assert found is not None
    assert found.state == state


@pytest.mark.parametrize(
    "state",
    [
        "",
        ",",
        "a",
        "a=",
        "=1",
        "A=1",
        "a=1,a=2",
        "a=b=c",
        "a=\u00e4",
        "a@=1",
        f"a@{'v' * 15}=1",
        f"{'a' * 257}=1",
        f"a={'x' * 257}",
        ",".join(f"k{number}=v" for number in range(33)),
    ],
)
def test_a_malformed_tracestate_is_dropped_and_the_trace_goes_on(state: str) -> None:
    found = parent_of([SAMPLED], [state])
    assert found is not None
    assert (found.trace_id, found.state) == (TRACE, "")


def test_several_tracestates_are_one_list() -> None:
    assert state_of(["a=1", "b=2,c=3"]) == "a=1,b=2,c=3"
    assert state_of(["a=1", "a=2"]) == ""


@given(st.integers(0, 2**64))
def test_what_is_made_is_well_formed(seed: int) -> None:
    ids = Ids(Random(seed))
    header = header_of(ids.trace(), ids.span(), sampled=True)
    found = parent_of([header], [])
    assert found is not None
    assert found.sampled


def test_an_id_is_never_all_zeros() -> None:
    class Zeros(Random):
        def getrandbits(self, k: int) -> int:
            return 0

    ids = Ids(Zeros())
    assert parent_of([header_of(ids.trace(), ids.span(), sampled=False)], []) is not None
