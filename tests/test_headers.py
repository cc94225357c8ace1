"""Header fields: what is clean, what folds, what is whose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.headers import (
    LOWER,
    clean_value,
    decode,
    encode,
    end_to_end,
    first,
    is_forwarding,
    is_identity,
    is_name,
    render,
    tokens,
    without,
)

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAMES = st.text(TOKEN, min_size=1, max_size=90)
VALUES = st.binary(max_size=20).filter(lambda raw: not set(raw) & {0, 10, 13})
FIELDS = st.lists(st.tuples(NAMES.map(str.encode), VALUES), max_size=8)


@given(st.binary(max_size=64))
def test_every_byte_survives_both_ways(raw: bytes) -> None:
    assert encode(decode(raw)) == raw


@given(NAMES)
def test_names_fold_by_ascii_alone(name: str) -> None:
    assert LOWER[name.encode()] == name.lower().encode()
    assert is_name(name)


def test_folded_names_are_remembered_within_a_bound() -> None:
    for number in range(5000):
        assert LOWER[b"X-%d" % number] == b"x-%d" % number
    assert len(LOWER) <= 1024
    assert LOWER[b"X" * 5000] == b"x" * 5000
    assert b"X" * 5000 not in LOWER.keys()  # noqa: SIM118  a mapping that makes what it lacks


@given(FIELDS, st.sampled_from([b"close", b"keep-alive", b"X-Drop", b"close, x-DROP , y"]))
def test_what_travels_on_keeps_order_case_and_repetition(
    fields: list[tuple[bytes, bytes]], connection: bytes
) -> None:
    named = {part.strip() for part in connection.lower().split(b",")} | {b"connection"}
    left = end_to_end([*fields, (b"CONNECTION", connection), (b"X-drop", b"1")])
    assert (b"X-drop", b"1") in left or b"x-drop" in named
    kept = [pair for pair in [*fields, (b"X-drop", b"1")] if pair in left]
    assert left == kept
    assert not {name.lower() for name, _ in left} & (named - {b"close", b"keep-alive"})


@given(FIELDS)
def test_rendered_fields_are_one_line_each(fields: list[tuple[bytes, bytes]]) -> None:
    lines = render(fields).split(b"\r\n")
    assert lines.pop() == b""
    assert [tuple(line.split(b": ", 1)) for line in lines] == fields


@pytest.mark.parametrize(
    "value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "\x01", "\x7f", "\x1f", "\x0b"]
)
def test_a_value_with_a_control_is_an_error_that_does_not_repeat_it(value: str) -> None:
    with pytest.raises(ValueError, match="control character") as refused:
        clean_value("X-Name", value)
    assert value not in str(refused.value)


@pytest.mark.parametrize("code", [0xD800, 0xDC0A, 0xDC0D, 0xDC7F, 0xDD00, 0xDFFF])
def test_a_surrogate_that_stands_for_no_byte_is_an_error_at_once(code: int) -> None:
    value = f"x{chr(code)}"
    with pytest.raises(ValueError, match="control character"):
        clean_value("X-Name", value)


@pytest.mark.parametrize("value", ["", "a\tb", "é", "\udce9\udcff", "名", "a b", "\x85"])
def test_all_other_text_may_go_on_the_wire(value: str) -> None:
    assert clean_value("X-Name", value) == value
    encode(value)


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\nY", "é", "X\0", "(x)", "x@y", " X", "X "])
def test_a_name_that_is_no_token_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="token"):
        clean_value(name, "x")


@pytest.mark.parametrize("value", [1, b"x", None, ["x"]])
def test_what_is_not_text_is_an_error(value: object) -> None:
    with pytest.raises(TypeError):
        clean_value("X-Name", value)  # type: ignore[arg-type]


FORWARDING = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-client-cert",
    "x-forwarded-access-token",
    "x-forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-scheme",
    "cf-connecting-ip",
    "x-brain-hops",
]


@pytest.mark.parametrize("name", FORWARDING)
def test_whatever_tells_how_a_request_came_is_ours_to_tell(name: str) -> None:
    assert is_forwarding(name.encode())


@pytest.mark.parametrize("name", ["x-user-id", "x-tenant-id", "x-auth-anything", "x-user-"])
def test_whatever_tells_who_calls_is_ours_to_tell(name: str) -> None:
    assert is_identity(name.encode())


@pytest.mark.parametrize(
    "name", ["user-agent", "authorization", "x-request-id", "x-use", "forward"]
)
def test_all_other_fields_are_the_clients(name: str) -> None:
    assert not is_forwarding(name.encode())
    assert not is_identity(name.encode())


def test_lists_are_read_whole_and_first_finds_any_case() -> None:
    assert tokens([b"Close, ,X-A", b" x-b\t,"]) == [b"close", b"x-a", b"x-b"]
    fields = [(b"X-A", b"1"), (b"x-a", b"2")]
    assert first(fields, "X-a") == b"1"
    assert first(fields, "x-b") is None
    assert without(fields, [b"x-a"]) == []
