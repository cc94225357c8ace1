"""cache behind an authenticator, and beside compress, on a real gateway."""

from __future__ import annotations

import gzip
import hashlib

import pytest
import zstandard

from tests.functional.cachekit import PATH, made_of, status_of
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream

KEY = "a" * 32
MINE = f"X-Api-Key: {KEY}"


async def behind_keys(gateway: MakeGateway, url: str, *lines: str) -> Gateway:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    own = "".join(f"\n            {line}" for line in lines)
    return await gateway(
        f"""
        version: 1
        plugins:
          - api-key: {{keys: [{{name: alice, sha256: {digest}}}]}}
          - cache: {{credentials: [X-Api-Key, X-Own-Token]}}
        services:
          echo:
            upstream: "{url}"{own}
        """
    )


# -- credentials beside the gateway's own


@pytest.mark.parametrize("control", ["max-age=60", "s-maxage=60"])
@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Authorization: Bearer alice", "Authorization: Bearer bob"),
        ("Cookie: session=alice", "Cookie: session=carol"),
        ("X-Own-Token: alice", "X-Own-Token: bob"),
        ("Authorization: Bearer alice", "Cookie: session=carol"),
    ],
)
async def test_one_key_with_other_credentials_gets_another_answer(
    gateway: MakeGateway, upstream: RecordingUpstream, one: str, two: str, control: str
) -> None:
    running = await behind_keys(gateway, upstream.url, "forward_cookies: all")
    sent = [[MINE, one], [MINE, two], [MINE]]
    for lines in sent:
        upstream.answer = made_of(lines[-1].encode(), f"Cache-Control: {control}")
        assert (await running.get(PATH, *lines)).body == lines[-1].encode()
    for lines in sent:
        reply = await running.get(PATH, *lines)
        assert status_of(reply).startswith("hit")
        assert reply.body == lines[-1].encode()
    assert len(upstream.seen) == 3


async def test_what_is_public_is_one_answer_for_all_credentials(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: public, max-age=60")
    running = await behind_keys(gateway, upstream.url)
    for who in ("alice", "bob"):
        await running.get(PATH, MINE, f"Authorization: Bearer {who}")
    assert len(upstream.seen) == 1


async def test_a_key_that_is_sent_on_is_a_credential_too(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await behind_keys(gateway, upstream.url, "forward_token: true")
    for result in ("fwd=uri-miss", "hit"):
        assert status_of(await running.get(PATH, MINE)).partition(";")[0] == result
    assert upstream.last.header("X-Api-Key") == KEY
    reply = await running.get(PATH, MINE, "Authorization: Bearer bob")
    assert status_of(reply).startswith("fwd=uri-miss")


async def test_a_cookie_that_stays_here_divides_nothing(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await behind_keys(gateway, upstream.url, "forward_cookies: none")
    for session, result in (("alice", "fwd=uri-miss"), ("carol", "hit")):
        reply = await running.get(PATH, MINE, f"Cookie: session={session}")
        assert status_of(reply).partition(";")[0] == result


# -- hostile fields


@pytest.mark.parametrize("value", ["a=" + " " * 7000 + '"', "max-age=" + "9" * 7000])
async def test_a_long_cache_control_of_a_client_is_read(
    gateway: MakeGateway, upstream: RecordingUpstream, value: str
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await behind_keys(gateway, upstream.url)
    for result in ("fwd=uri-miss", "hit"):
        reply = await running.get(PATH, MINE, f"Cache-Control: {value}")
        assert (reply.status, status_of(reply).partition(";")[0]) == (200, result)


# -- beside compress

TEXT = b"a line of text\n" * 400


@pytest.mark.parametrize("listed", ["cache, compress", "compress, cache"])
async def test_one_plain_answer_is_stored_and_each_client_gets_its_coding(
    gateway: MakeGateway, upstream: RecordingUpstream, listed: str
) -> None:
    upstream.answer = made_of(TEXT, "Content-Type: text/plain", "Cache-Control: max-age=60")
    running = await gateway(
        f"version: 1\nplugins: [{listed}]\n"
        f'services:\n  echo: {{upstream: "{upstream.url}", public: true}}\n'
    )
    for coding in ("gzip", "zstd", None, "gzip", None, "zstd"):
        sent = [] if coding is None else [f"Accept-Encoding: {coding}"]
        reply = await running.get(PATH, *sent)
        assert reply.header("Content-Encoding") == coding
        assert reply.all("Vary") == ["Accept-Encoding"]
        assert _plain(reply.body, coding) == TEXT
    assert status_of(reply).startswith("hit")
    assert len(upstream.seen) == 1


def _plain(body: bytes, coding: str | None) -> bytes:
    if coding == "gzip":
        return gzip.decompress(body)
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body
