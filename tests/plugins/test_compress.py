"""Which answers are compressed, and what that changes on them."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from typing import Any

import brotli
import pytest
from compress_kit import ALL, PLAIN, TEXT, UNDO, answer_of, pieces, sent, through
from plugin_kit import Found, Kit, ask, handler_of, is_raw, request_of

from plugins.compress import Compress, coders
from plugins.compress import plugin as module
from plugins.compress.applying import WHOLE_MOST
from proxy import EXCHANGE, GatewayError

# -- what is compressed


@pytest.mark.parametrize("coding", UNDO)
async def test_a_whole_body_is_sent_coded_with_its_length(kit: Kit, coding: str) -> None:
    answer = await through(kit, answer_of(PLAIN), headers={"Accept-Encoding": coding})
    body = await sent(answer)
    assert UNDO[coding](body) == TEXT
    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers.getall("Content-Length") == [str(len(body))]
    assert answer.headers.getall("Vary") == ["Accept-Encoding"]
    assert answer.headers["Content-Type"] == PLAIN[1]


@pytest.mark.parametrize("coding", UNDO)
async def test_a_body_that_passes_is_flushed_chunk_by_chunk(kit: Kit, coding: str) -> None:
    answer = answer_of(PLAIN, ("ETag", '"a"'))
    answer.body = pieces(b"first", b"", b"second" * 10_000, b"last")
    coded = await through(kit, answer, headers={"Accept-Encoding": coding})
    assert "Content-Length" not in coded.headers
    parts = [part async for part in coded.body]
    assert UNDO[coding](b"".join(parts)) == b"first" + b"second" * 10_000 + b"last"
    if coding == "gzip":
        assert zlib.decompressobj(31).decompress(parts[0]) == b"first"


async def test_the_first_of_equals_is_the_first_of_the_file(kit: Kit) -> None:
    for codings, chosen in ((None, "zstd"), (["gzip", "br"], "gzip"), (["br", "gzip"], "br")):
        options = {} if codings is None else {"codings": codings}
        answer = await through(kit, answer_of(PLAIN), options=options)
        assert answer.headers["Content-Encoding"] == chosen


async def test_fields_that_spoke_of_the_plain_bytes_are_dropped_and_the_tag_is_weakened(
    kit: Kit,
) -> None:
    names = ("Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges")
    for streamed in (False, True):
        answer = answer_of(PLAIN, ("ETag", '"abc"'), ("X-A", "1"), *((name, "x") for name in names))
        if streamed:
            answer = answer_of(PLAIN, ("ETag", '"abc"'), ("X-A", "1"), ("Accept-Ranges", "bytes"))
            answer.body = pieces(TEXT)
        coded = await through(kit, answer)
        assert coded.headers["ETag"] == 'W/"abc"'
        assert coded.headers["X-A"] == "1"
        assert not [name for name in names if name in coded.headers]


@pytest.mark.parametrize(("tag", "told"), [('W/"a"', 'W/"a"'), ("odd", None)])
async def test_a_weak_tag_stays_and_what_is_no_tag_goes(
    kit: Kit, tag: str, told: str | None
) -> None:
    assert (await through(kit, answer_of(PLAIN, ("ETag", tag)))).headers.get("ETag") == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["Origin"], ["Origin, Accept-Encoding"]),
        (["Origin", "Accept"], ["Origin, Accept, Accept-Encoding"]),
        (["accept-encoding"], ["accept-encoding"]),
        (["Origin, ACCEPT-Encoding"], ["Origin, ACCEPT-Encoding"]),
        (["*"], ["*"]),
        ([""], ["Accept-Encoding"]),
    ],
)
async def test_vary_is_merged_and_never_doubled(
    kit: Kit, given: list[str], told: list[str]
) -> None:
    fields = [("Vary", value) for value in given]
    for headers in (ALL, {}):
        answer = await through(kit, answer_of(PLAIN, *fields), headers=headers)
        assert answer.headers.getall("Vary") == told
        assert ("Content-Encoding" in answer.headers) == bool(headers)


async def test_an_answer_that_only_could_have_been_coded_stays_raw_and_varies(kit: Kit) -> None:
    for headers in ({}, {"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip;q=0"}):
        answer = await through(kit, answer_of(PLAIN), headers=headers)
        assert is_raw(answer)
        assert answer.header("Vary") == "Accept-Encoding"
        assert await sent(answer) == TEXT


@pytest.mark.parametrize(
    ("media", "coded"),
    [
        ("text/html", True),
        ("TEXT/HTML;charset=utf-8", True),
        ("application/json", True),
        ("application/problem+json", True),
        ("image/svg+xml", True),
        ("application/wasm", True),
        ("image/png", False),
        ("application/octet-stream", False),
        ("text/event-stream", False),
        ("application/x-ndjson", False),
        ("application/stream+json", False),
        ("application/grpc-web+json", False),
        ("json", False),
        ("", False),
    ],
)
async def test_types_that_shrink_are_coded_and_streams_never(
    kit: Kit, media: str, coded: bool
) -> None:
    answer = await through(kit, answer_of(("Content-Type", media)))
    assert (answer.header("Content-Encoding") is not None) == coded
    assert (answer.header("Vary") is not None) == coded


async def test_the_files_types_replace_the_default_and_more_stand_beside_it(kit: Kit) -> None:
    for options, html, own in (
        ({"types": ["application/x-own"]}, False, True),
        ({"more_types": ["application/*"]}, True, True),
        ({"types": []}, False, False),
    ):
        for media, coded in (("text/html", html), ("application/x-own", own)):
            answer = await through(kit, answer_of(("Content-Type", media)), options=options)
            assert (answer.header("Content-Encoding") is not None) == coded


# -- how


async def test_a_large_body_is_coded_in_turns_so_that_others_get_theirs(kit: Kit) -> None:
    body = TEXT * (4 * WHOLE_MOST // len(TEXT))
    coded = await through(kit, answer_of(PLAIN, body=body), options={"codings": ["gzip"]})
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    assert gzip.decompress(await sent(coded)) == body
    others.cancel()
    assert turns >= len(body) // (16 * 1024) - 1
    assert "Content-Length" not in coded.headers


@pytest.mark.parametrize("coding", UNDO)
async def test_a_body_that_breaks_off_breaks_here_too(kit: Kit, coding: str) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"first"
        raise GatewayError("upstream_reset_mid_body")

    answer = answer_of(PLAIN)
    answer.body = breaks()
    coded = await through(kit, answer, headers={"Accept-Encoding": coding})
    parts = [await anext(coded.body)]
    with pytest.raises(GatewayError, match="upstream_reset_mid_body"):
        await anext(coded.body)
    with pytest.raises((EOFError, brotli.error, AssertionError)):
        assert UNDO[coding](b"".join(parts)) != b"first"


async def test_two_answers_at_once_do_not_share_a_coder(kit: Kit) -> None:
    plugin = await kit.run(Compress)
    bodies = [b"one" * 1000, b"two" * 1000]
    streams = []
    for body in bodies:
        answer = answer_of(PLAIN)
        answer.body = pieces(body[:1500], body[1500:])
        coded = await ask(plugin, request_of(headers=ALL), handler_of(answer))
        streams.append(aiter(coded.body))
    parts: list[list[bytes]] = [[], []]
    for _ in range(3):
        for stream, own in zip(streams, parts, strict=True):
            own.append(await anext(stream))
    assert [UNDO["zstd"](b"".join(own)) for own in parts] == bodies


# -- options


def test_a_listed_coding_whose_library_is_missing_is_an_error_that_names_the_extra(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coders, "find_spec", lambda name: None)
    found = Found()
    kit.make(Compress, {"codings": ["gzip", "br", "zstd"]}).check(found)
    assert list(found.errors) == ["codings.1", "codings.2"]
    assert "brotli" in found.errors["codings.1"]
    assert "brain-gateway[compress]" in module._EXTRA


async def test_without_a_list_only_what_is_installed_is_used(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coders, "find_spec", lambda name: None)
    found = Found()
    kit.make(Compress).check(found)
    assert not found.errors
    assert (await through(kit, answer_of(PLAIN))).headers["Content-Encoding"] == "gzip"


def test_the_libraries_are_imported_by_whoever_uses_them_alone() -> None:
    code = (
        "import sys, aiohttp; known = set(sys.modules);"  # aiohttp looks for brotli by itself
        "import proxy.plugin.decoding; from plugins.compress import Compress;"
        "from proxy.plugin.options import convert; Compress(**convert(Compress.schema, {}));"
        "sys.exit(bool({'brotli', 'zstandard'} & (set(sys.modules) - known)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({"codings": ["br", "br"]}, "codings.1"),
        ({"types": ["text/html", "html"]}, "types.1"),
        ({"types": ["text/html; charset=utf-8"]}, "types.0"),
        ({"types": ["*/*"]}, "types.0"),
        ({"more_types": ["text/event-stream"]}, "more_types.0"),
    ],
)
def test_what_can_never_work_is_an_error(kit: Kit, options: dict[str, Any], at: str) -> None:
    found = Found()
    kit.make(Compress, options).check(found)
    assert list(found.errors) == [at]


@pytest.mark.parametrize(
    ("sent_on", "says"),
    [
        ({}, "sends the answer plain: the client prefers none of br, gzip"),
        (
            {"Accept-Encoding": "zstd"},
            "sends the answer plain: the client prefers none of br, gzip",
        ),
        (
            {**ALL, "Cookie": "a=b", "Authorization": "Basic x"},
            "sends the answer plain: there may be a secret in it (authorization)",
        ),
        (
            {**ALL, "Cookie": "a=b"},
            (
                "compresses the answer by br if it is of a listed type, has 1024 bytes or more and "
                "shows no sign of a secret"
            ),
        ),
    ],
)
def test_it_says_what_it_would_do(kit: Kit, sent_on: dict[str, str], says: str) -> None:
    plugin = kit.make(Compress, {"codings": ["br", "gzip"], "despite": ["cookie"]})
    assert plugin.explain(request_of(sent_on=sent_on)[EXCHANGE]) == [says]
