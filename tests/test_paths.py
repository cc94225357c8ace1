"""Paths, row by row and by properties: what is matched, refused, stripped and joined."""

from __future__ import annotations

from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from proxy.errors import GatewayError
from proxy.paths import canonical, has_encoded_separator, join, split_target, strip, value

VIEWS = [
    ("/", "/"),
    ("/a", "/a"),
    ("/a/", "/a/"),
    ("/%61", "/a"),
    ("/%41", "/A"),
    ("/a%20b", "/a b"),
    ("/it%27s", "/it's"),
    ("/%zz", "/%zz"),
    ("/100%", "/100%"),
    ("/%C3%A9", "/é"),
    ("/é", "/é"),
    ("/%e9", "/\udce9"),
    ("/a%2Fb", "/a%2fb"),
    ("/a%5Cb", "/a%5cb"),
    ("/%61%2F%62", "/a%2fb"),
    ("/%25", "/%"),
    ("/%2541", "/%41"),
    ("/%252f", "/%252f"),
    ("/%2%66", "/%252f"),
    ("/%25252f", "/%25252f"),
    ("/...", "/..."),
    ("/.well-known/x", "/.well-known/x"),
    ("/a..b", "/a..b"),
    ("/..a", "/..a"),
    ("/a;b=1", "/a;b=1"),
    ("/%252e%252e/x", "/%2e%2e/x"),
    ("/~user/$&'()*+,;=:@", "/~user/$&'()*+,;=:@"),
]


@pytest.mark.parametrize(("path", "view"), VIEWS)
def test_a_path_is_matched_on_its_segments_decoded_once(path: str, view: str) -> None:
    assert canonical(path) == view


ESCAPES = [
    *("/..", "/../", "/../x", "/x/..", "/x/../y", "/x/../../y", "/.", "/./x", "/x/.", "/x/./y"),
    *(
        "/%2e%2e",
        "/%2e%2e/x",
        "/%2E%2E/x",
        "/x/%2e%2e/y",
        "/.%2e/x",
        "/%2e./x",
        "/%2e",
        "/x/%2e/y",
        "/x/%2E%2E",
    ),
    *(
        "/..%2fx",
        "/..%2Fx",
        "/x/..%2f..%2fy",
        "/%2e%2e%2fx",
        "/x%2f..%2fy",
        "/x%2f%2e%2e",
        "/x%2f.%2fy",
    ),
    *("/..\\x", "/x\\..\\y", "/..%5cx", "/%2e%2e%5cx", "/x%5c..%5cy", "/x%5c%2e%2e", "\\x"),
    *("/..;/x", "/..;a=b/x", "/.;/x", "/%2e%2e;/x", "/%2e%2e%3b/x", "/..%3bx/y", "/x/..;y"),
    *("//", "//x", "/x//y", "/x//", "///x"),
    *("/x%00", "/x%00.png", "/%00/x", "/x%0a", "/x%0d%0aX:y", "/x%09y", "/x%7f", "/x%1f"),
    *("/x#y", "/x/..#y"),
    *(
        "/%c0%ae%c0%ae/x",
        "/..%c0%afx",
        "/%c0%af",
        "/x%c1%9cy",
        "/%e0%80%ae%e0%80%ae/x",
        "/%f0%80%80%ae/x",
    ),
    *("x", "x/y", "?x"),
]


@pytest.mark.parametrize("path", [*ESCAPES, "", "/a b", "/a\tb", "/a\0b", "/a\r\nb", "/a\x7fb"])
def test_what_an_upstream_may_read_as_another_path_is_refused(path: str) -> None:
    with pytest.raises(GatewayError) as refused:
        canonical(path)
    assert refused.value.code == "bad_path"


@st.composite
def spelled_paths(draw: st.DrawFn, text: bytes | None = None) -> str:
    """A path made of any bytes, each as itself or percent-encoded in either case."""
    raw = draw(st.binary(max_size=24)) if text is None else text
    parts = []
    for byte in raw:
        plain = 0x20 < byte < 0x7F and byte not in b"?%"
        how = draw(st.sampled_from(["plain", "upper", "lower"]))
        parts.append(chr(byte) if plain and how == "plain" else _encoded(byte, how))
    return "/" + "".join(parts)


def _encoded(byte: int, how: str) -> str:
    return f"%{byte:02x}" if how == "lower" else f"%{byte:02X}"


@given(spelled_paths())
@example("/%2e%2e%2f")
@example("/x%2f%2e%2e")
def test_no_view_ever_has_a_dot_segment_a_control_or_an_empty_segment(path: str) -> None:
    try:
        view = canonical(path)
    except GatewayError:
        return
    segments = view.split("/")[1:]
    decoded = [
        part for segment in segments for part in value(segment).replace("\\", "/").split("/")
    ]
    assert not {".", ".."} & {part.partition(";")[0] for part in decoded}
    assert "" not in segments[:-1]
    assert not any(ord(character) < 32 or ord(character) == 127 for character in view)


@given(spelled_paths())
def test_a_view_has_as_many_segments_as_the_path_that_is_forwarded(path: str) -> None:
    try:
        view = canonical(path)
    except GatewayError:
        return
    assert view.count("/") == path.count("/")


@st.composite
def two_spellings(draw: st.DrawFn) -> tuple[str, str]:
    text = draw(st.lists(st.sampled_from([b"a", b"%", b"25", b"2f", b"/", b"\\", b"\xe9", b"5C"])))
    return draw(spelled_paths(b"".join(text))), draw(spelled_paths(b"".join(text)))


@given(two_spellings())
@example(("/a%252fb", "/a%2fb"))
@example(("/a%25252fb", "/a%252fb"))
@example(("/a%2%66b", "/a%2fb"))
@example(("/%5c", "/%255c"))
def test_two_paths_have_one_view_exactly_when_their_segments_are_the_same_bytes(
    paths: tuple[str, str],
) -> None:
    one, other = paths
    try:
        views = canonical(one) == canonical(other)
    except GatewayError:
        return
    assert views == (_segment_bytes(one) == _segment_bytes(other))


def _segment_bytes(path: str) -> list[bytes]:
    return [unquote_to_bytes(segment.encode()) for segment in path.split("/")]


@given(st.binary(min_size=1, max_size=12))
@example(b"a/b")
@example(b"%2f")
@example(b"%252F\\")
def test_the_value_of_a_segment_is_the_text_that_was_meant(text: bytes) -> None:
    try:
        view = canonical("/" + quote_from_bytes(text, safe=""))
    except GatewayError:
        return
    assert value(view[1:]).encode("utf-8", "surrogateescape") == text


CLEAN = st.text("abcXYZ019-._~%:@!$&'()*+,;=é", min_size=1, max_size=8)
PATHS = st.lists(CLEAN, max_size=5).map(lambda parts: "".join("/" + part for part in parts))


@given(PATHS, PATHS)
def test_stripping_a_prefix_and_joining_it_again_gives_the_bytes_back(
    prefix: str, rest: str
) -> None:
    assume(prefix or rest)
    whole = prefix + rest
    assert strip(whole, prefix.count("/")) == rest
    assert join(prefix, strip(whole, prefix.count("/"))) == whole


@pytest.mark.parametrize(
    ("path", "segments", "rest"),
    [
        ("/api/brain/crm", 3, ""),
        ("/api/brain/crm/", 3, "/"),
        ("/api/brain/crm/x", 3, "/x"),
        ("/api/brain/%63rm/x%2fy", 3, "/x%2fy"),
        ("/%61pi/br%61in/crm/", 3, "/"),
        ("/x", 0, "/x"),
        ("/x", 5, ""),
    ],
)
def test_a_prefix_is_stripped_by_segments_and_not_by_length(
    path: str, segments: int, rest: str
) -> None:
    assert strip(path, segments) == rest


@pytest.mark.parametrize(
    ("base", "rest", "path"),
    [
        ("", "", "/"),
        ("", "/", "/"),
        ("/v1", "", "/v1"),
        ("/v1", "/", "/v1/"),
        ("/v1", "/x", "/v1/x"),
    ],
)
def test_an_empty_path_is_a_slash_and_nothing_else_is_added(
    base: str, rest: str, path: str
) -> None:
    assert join(base, rest) == path


@pytest.mark.parametrize(
    ("target", "split"),
    [
        ("/x", ("/x", "")),
        ("/x?", ("/x", "?")),
        ("/x?a=1?b", ("/x", "?a=1?b")),
        ("/x%3fa", ("/x%3fa", "")),
    ],
)
def test_the_first_question_mark_begins_the_query(target: str, split: tuple[str, str]) -> None:
    assert split_target(target) == split


@pytest.mark.parametrize(
    ("path", "has"),
    [("/a%2fb", True), ("/a%5Cb", True), ("/a%252fb", False), ("/a/b", False), ("/%2e", False)],
)
def test_an_encoded_separator_is_seen(path: str, has: bool) -> None:
    assert has_encoded_separator(path) is has
