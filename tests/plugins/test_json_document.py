"""JSON documents that are edited in place (RFC 8259, RFC 6901)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.body_transform.document import Document, Misfit, NotJson
from plugins.body_transform.pointers import parse

ODD = rb"""
{ "big" : 123456789012345678901234567890, "exact":1.10 , "tiny": 1E-400,
  "minus": -0, "esc\u0061pe": "\u00e9\ud83d\/", "list" : [ 1 , [ ], { } ], "in": {"a" : { "b":null }}
}
"""


def put(body: bytes, at: str, text: str) -> str:
    document = Document(body)
    document.put(parse(at), text)
    return document.written().decode()


def without(body: bytes, at: str) -> tuple[str, bool]:
    document = Document(body)
    found = document.take(parse(at)) is not None
    return document.written().decode(), found


def test_what_no_edit_reaches_stays_as_it_was_written() -> None:
    written = put(ODD, "/in/a/c", "7")
    assert written.startswith(
        r'{"big":123456789012345678901234567890,"exact":1.10,"tiny":1E-400,"minus":-0,'
        r'"esc\u0061pe":"\u00e9\ud83d\/","list":[ 1 , [ ], { } ],"in":'
    )
    assert written.endswith('"in":{"a":{"b":null,"c":7}}}')


def test_a_number_of_any_length_comes_through() -> None:
    digits = "9" * 5000
    assert put(f'{{"n":{digits}}}'.encode(), "/m", "1") == f'{{"n":{digits},"m":1}}'


@pytest.mark.parametrize(
    ("body", "at", "text", "written"),
    [
        ('{"a":1}', "/a", "2", '{"a":2}'),
        ('{"a":1,"b":2}', "/a", "3", '{"a":3,"b":2}'),
        ("{}", "/a/b/c", '"x"', '{"a":{"b":{"c":"x"}}}'),
        ('{"a":null}', "/a/b", "1", '{"a":{"b":1}}'),
        ('{"a":[1,2]}', "/a/0", "9", '{"a":[9,2]}'),
        ('{"a":[1,2]}', "/a/-", "3", '{"a":[1,2,3]}'),
        ('{"a":[]}', "/a/-/b", "3", '{"a":[{"b":3}]}'),
        ('[{"a":1}]', "/0/a", "2", '[{"a":2}]'),
        ('{"a/b":1,"m~n":2}', "/a~1b", "3", '{"a/b":3,"m~n":2}'),
        ('{"a/b":1,"m~n":2}', "/m~0n", "3", '{"a/b":1,"m~n":3}'),
        ('{"":{"":1}}', "//", "2", '{"":{"":2}}'),
        (r'{"\u0061":1}', "/a", "2", r'{"\u0061":2}'),
        ('{"a":{"0":1}}', "/a/0", "2", '{"a":{"0":2}}'),
        ('{"a":{}}', "/a/-", "2", '{"a":{"-":2}}'),
        ('{"a":{"é":1}}', "/a/é", "2", '{"a":{"é":2}}'),
        (" [ 1 ,\n2 ] ", "/1", "3", "[1,3]"),
    ],
)
def test_a_value_is_put_where_its_pointer_says(body: str, at: str, text: str, written: str) -> None:
    assert put(body.encode(), at, text) == written


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ('{"a":5}', "/a/b"),
        ('{"a":"x"}', "/a/b"),
        ('{"a":[1]}', "/a/1"),
        ('{"a":[1]}', "/a/00"),
        ('{"a":[1]}', "/a/b"),
        ('{"a":[1]}', "/a/-1"),
        ('{"a":[1]}', "/a/1/b"),
        ("[]", "/a"),
        ("7", "/a"),
        ("null", "/a"),
        ('"text"', "/a"),
    ],
)
def test_what_is_in_the_way_is_never_overwritten(body: str, at: str) -> None:
    with pytest.raises(Misfit):
        put(body.encode(), at, "1")


@pytest.mark.parametrize(
    ("body", "at", "written", "found"),
    [
        ('{"a":1,"b":2}', "/a", '{"b":2}', True),
        ('{"a":{"b":1}}', "/a/b", '{"a":{}}', True),
        ('{"a":[1,2,3]}', "/a/1", '{"a":[1,3]}', True),
        ('{"a":null}', "/a", "{}", True),
        ('{"a":1}', "/b", '{"a":1}', False),
        ('{"a":1}', "/a/b", '{"a":1}', False),
        ('{"a":[1]}', "/a/-", '{"a":[1]}', False),
        ('{"a":[1]}', "/a/1", '{"a":[1]}', False),
        ('{"a":[1]}', "/a/01", '{"a":[1]}', False),
        ('{"a":[1]}', "/b/c/d", '{"a":[1]}', False),
        ("7", "/a", "7", False),
    ],
)
def test_a_value_is_taken_where_its_pointer_says(
    body: str, at: str, written: str, found: bool
) -> None:
    assert without(body.encode(), at) == (written, found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"-Infinity",
        b"[01]",
        b"[1.]",
        b"[+1]",
        b'["a\nb"]',
        b'["\\x"]',
        b"\xff",
        b'["\xed\xa0\x80"]',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a":1,"a":2}',
        rb'{"a":1,"\u0061":2}',
        b'[{"x":{"b":1,"b":1}}]',
    ],
)
def test_what_readers_could_take_differently_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        Document(body)


@pytest.mark.parametrize("at", ["a", "", "#/a", "/a~", "/a~2b", "/~"])
def test_what_is_no_pointer_is_refused(at: str) -> None:
    with pytest.raises(ValueError, match="pointer"):
        parse(at)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(
    document=st.dictionaries(st.text(max_size=2), JSON, max_size=4),
    path=st.lists(st.text(max_size=2), min_size=1, max_size=3),
    value=JSON,
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
)
def test_it_means_what_plain_dictionaries_would(
    document: dict[str, Any], path: list[str], value: Any, indent: int | None, ascii_only: bool
) -> None:
    """Against the same edit of what `json` reads; both agree on where it can't be made."""
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    at = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
    expected = _put(json.loads(body), path, value)
    try:
        body_bytes = body.encode()
    except UnicodeEncodeError:
        return  # a lone surrogate, which no UTF-8 text holds
    opened = Document(body_bytes)
    try:
        opened.put(parse(at), json.dumps(value))
    except Misfit:
        assert expected is None
        return
    assert json.loads(opened.written()) == expected
    if path[-1] != "-" or isinstance(_get(expected, path[:-1]), dict):
        taken = opened.take(parse(at))
        assert json.loads(str(taken)) == value
        assert opened.take(parse(at)) is None or isinstance(_get(expected, path[:-1]), list)


def _get(found: Any, path: list[str]) -> Any:
    for step in path:
        found = found[step] if isinstance(found, dict) else None
    return found


def _put(root: Any, path: list[str], value: Any) -> Any:
    """Return `root` with the value in, None where it can't be put."""
    container = root
    for step, following in zip(path, [*path[1:], None], strict=True):
        below = value if following is None else {}
        if isinstance(container, dict):
            if following is None or container.get(step) is None:
                container[step] = below
            container = container[step]
        elif isinstance(container, list):
            if step == "-":
                container.append(below)
                container = below
            elif (
                step.isdecimal()
                and step.isascii()
                and str(int(step)) == step
                and int(step) < len(container)
            ):
                if following is None or container[int(step)] is None:
                    container[int(step)] = below
                container = container[int(step)]
            else:
                return None
        else:
            return None
    return root
