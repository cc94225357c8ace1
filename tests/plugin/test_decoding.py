"""Undoing a Content-Encoding, within a bound."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from proxy import GatewayError
from proxy.plugin import decoding
from proxy.plugin.decoding import OF_ANSWER, OF_REQUEST

Code = Callable[[bytes], bytes]


def decoded(body: bytes, coding: str, limit: int, codes: decoding.Codes = OF_ANSWER) -> bytes:
    return decoding.decoded(body, coding, limit, codes)


def zstd(body: bytes) -> bytes:
    """Code as a stream does: the frame does not tell its size."""
    machine = zstandard.ZstdCompressor().compressobj()
    return machine.compress(body) + machine.flush()


CODES: dict[str, Code] = {
    "gzip": gzip.compress,
    "X-GZip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd,
}
SIZED = {**CODES, "zstd": zstandard.compress}


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    decoding._library.cache_clear()
    monkeypatch.setattr(decoding, "import_module", missing)
    yield
    decoding._library.cache_clear()


def code_of(body: bytes, coding: str, limit: int) -> str:
    with pytest.raises(GatewayError) as raised:
        decoded(body, coding, limit)
    return raised.value.code


@given(body=st.binary(max_size=3000), coding=st.sampled_from(sorted(CODES)))
def test_what_was_coded_comes_back(body: bytes, coding: str) -> None:
    for codes in (CODES, SIZED):
        assert decoded(codes[coding](body), coding, 3000) == body


@pytest.mark.parametrize("coding", CODES)
@pytest.mark.parametrize("codes", [CODES, SIZED])
def test_a_bomb_stops_at_the_limit_and_one_byte_less_passes(
    codes: dict[str, Code], coding: str
) -> None:
    body = bytes(20_000_000)
    assert code_of(codes[coding](body), coding, 100_000) == "answer_too_large"
    assert code_of(codes[coding](bytes(1001)), coding, 1000) == "answer_too_large"
    assert decoded(codes[coding](bytes(1000)), coding, 1000) == bytes(1000)


@pytest.mark.parametrize("coding", CODES)
@pytest.mark.parametrize("cut", [1, 3, 10])
def test_a_body_that_is_cut_short_is_never_taken_as_whole(coding: str, cut: int) -> None:
    body = CODES[coding](bytes(range(256)) * 8)
    assert code_of(body[:-cut], coding, 10_000) == "answer_invalid"
    assert code_of(body[: len(body) // 2], coding, 10_000) == "answer_invalid"


@pytest.mark.parametrize("coding", CODES)
def test_what_is_not_in_its_coding_is_invalid(coding: str) -> None:
    assert code_of(b"this is plain text, and long enough", coding, 10_000) == "answer_invalid"
    assert code_of(b"", coding, 10_000) == "answer_invalid"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_and_frames_in_a_row_are_one_body(coding: str) -> None:
    code = CODES[coding]
    assert decoded(code(b"one ") + code(b"") + code(b"two"), coding, 100) == b"one two"
    assert code_of(code(b"one ") + code(b"two"), coding, 6) == "answer_too_large"
    assert code_of(code(b"one ") + code(b"two")[:-3], coding, 100) == "answer_invalid"
    assert code_of(code(b"") * 1000, coding, 100) == "answer_invalid", "empty ones only cost time"


def test_a_zstd_body_may_not_ask_for_a_huge_window() -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    machine = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    body = machine.compress(b"x" * 1000) + machine.flush()
    assert code_of(body, "zstd", 10_000) == "answer_invalid"


def test_codings_are_undone_outermost_first_and_not_without_end() -> None:
    twice = brotli.compress(zstd(b"hello"))
    assert decoded(twice, "zstd, identity, BR", 100) == b"hello"
    assert code_of(b"", "gzip," * 5, 100) == "answer_coding_unknown"


def test_what_no_library_undoes_is_unknown(nothing_installed: None) -> None:
    for coding in ("br", "zstd", "compress", "gzip, aws-chunked"):
        assert code_of(b"x", coding, 100) == "answer_coding_unknown"
    assert decoded(gzip.compress(b"x"), "gzip", 100) == b"x"


def test_a_client_is_told_its_own_codes_and_what_it_may_send() -> None:
    for body, code, status in (
        (gzip.compress(bytes(1001)), "body_too_large", 413),
        (b"no gzip", "body_invalid", 400),
    ):
        with pytest.raises(GatewayError) as raised:
            decoded(body, "gzip", 1000, OF_REQUEST)
        assert (raised.value.code, raised.value.status) == (code, status)
    with pytest.raises(GatewayError) as raised:
        decoded(b"", "compress", 1000, OF_REQUEST)
    assert (raised.value.code, raised.value.status) == ("body_coding_unknown", 415)
    assert raised.value.headers == {"Accept-Encoding": "zstd, br, gzip, deflate"}
