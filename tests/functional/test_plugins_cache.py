"""cache on a real gateway, in front of a scripted upstream that counts what it is asked."""

from __future__ import annotations

import hashlib
from email.utils import formatdate

import pytest

from tests.functional.cachekit import PATH, made_of, start, status_of
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request

KEYS = {"alice": "a" * 32, "bob": "b" * 32}
LISTED = ", ".join(
    f"{{name: {name}, sha256: {hashlib.sha256(key.encode()).hexdigest()}}}"
    for name, key in KEYS.items()
)


async def test_a_fresh_answer_is_served_without_the_upstream(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    dated = f"Date: {formatdate(usegmt=True)}"
    fields = ("Cache-Control: max-age=6000", dated, "oDD: Case", "X-Two: 1", "X-Two: 2")
    upstream.answer = made_of(b"hello", *fields)
    running = await start(gateway, upstream.url)
    first = await running.get(PATH + "?a=%27")
    assert status_of(first).startswith("fwd=uri-miss; stored; ttl=")
    again = await running.get(PATH + "?a=%27")
    age = int(again.header("Age") or -1)
    assert 0 <= age < 10
    assert status_of(again) == f"hit; ttl={6000 - age}"
    assert (again.status, again.body) == (200, b"hello")
    assert again.all("X-Two") == ["1", "2"]
    assert b"\r\noDD: Case\r\n" in again.raw_head
    assert again.all("Date") == first.all("Date") == [dated.removeprefix("Date: ")]
    assert again.all("Content-Length") == ["5"]
    assert len(upstream.seen) == 1
    for other in (PATH + "?a='", PATH + "?", PATH):
        assert status_of(await running.get(other)).startswith("fwd=uri-miss")


async def test_hits_keep_their_connection_and_head_has_no_body(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    client = await running.client()
    for method in ("GET", "GET", "HEAD", "GET"):
        client.send(request(PATH, method=method))
        reply = await client.reply(head_only=method == "HEAD")
        assert reply.all("Content-Length") == ["5"]
        assert reply.body == (b"" if method == "HEAD" else b"hello")
    assert status_of(reply).startswith("hit")
    assert len(upstream.seen) == 1


@pytest.mark.parametrize(
    "fields",
    [
        ["Cache-Control: no-store"],
        ["Cache-Control: private, max-age=60"],
        ["Cache-Control: max-age=60", "Set-Cookie: a=1"],
        ["Cache-Control: max-age=60", "Vary: *"],
        [],
    ],
    ids=str,
)
async def test_such_an_answer_is_asked_for_each_time(
    gateway: MakeGateway, upstream: RecordingUpstream, fields: list[str]
) -> None:
    upstream.answer = made_of(b"hello", *fields)
    running = await start(gateway, upstream.url)
    for _ in range(3):
        assert status_of(await running.get(PATH)) == "fwd=uri-miss"
    assert len(upstream.seen) == 3


async def test_a_range_and_a_get_with_a_body_are_the_upstreams_alone(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    for _ in range(2):
        assert status_of(await running.get(PATH, "Range: bytes=0-1")) == ""
        assert status_of(await running.get(PATH, body=b"which?")) == ""
        assert upstream.last.body == b"which?"
    assert len(upstream.seen) == 5


async def test_what_vary_names_keeps_answers_apart(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream.url)
    for language in ("de", "fr", "de", "fr"):
        upstream.answer = made_of(
            language.encode(), "Cache-Control: max-age=60", "Vary: Accept-Language"
        )
        reply = await running.get(PATH, f"Accept-Language: {language}")
        assert reply.body == language.encode()
    assert len(upstream.seen) == 2


async def test_hosts_and_aliases_are_kept_apart(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(
        b"", "Cache-Control: public, max-age=60", "Location: /y", status="301 Moved"
    )
    running = await start(gateway, upstream.url, "{}", "aliases: [other]")
    for path in (PATH, "/api/brain/other/x"):
        for _ in range(2):
            reply = await running.get(path)
            assert reply.header("Location") == path.replace("/x", "/y")
    raw = request(PATH).replace(b"gateway.test", b"another.test")
    assert status_of(await running.ask(raw)).startswith("fwd=uri-miss")
    assert len(upstream.seen) == 3


# -- for whom


@pytest.mark.parametrize("sent", ["Authorization: Basic x", "Cookie: session=1", "X-Api-Key: x"])
@pytest.mark.parametrize("control", ["max-age=60", "public, max-age=60", "s-maxage=60"])
async def test_credentials_that_nobody_proved_share_only_what_is_public(
    gateway: MakeGateway, upstream: RecordingUpstream, sent: str, control: str
) -> None:
    upstream.answer = made_of(b"hello", f"Cache-Control: {control}")
    running = await start(gateway, upstream.url, "{}", "forward_cookies: all")
    await running.get(PATH, sent)
    shared = "public" in control
    assert status_of(await running.get(PATH, sent)).startswith("hit") is shared
    assert status_of(await running.get(PATH)).startswith("hit") is shared
    assert status_of(await running.get(PATH, sent)).startswith("hit") is shared


async def closed(gateway: MakeGateway, url: str) -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins: [cache, {{api-key: {{keys: [{LISTED}]}}}}]
        services:
          echo: {{upstream: "{url}"}}
        """
    )


@pytest.mark.parametrize("shared", [False, True])
async def test_principals_are_kept_apart_unless_the_upstream_says_public(
    gateway: MakeGateway, upstream: RecordingUpstream, shared: bool
) -> None:
    running = await closed(gateway, upstream.url)
    for name, key in KEYS.items():
        upstream.answer = made_of(name.encode(), f"Cache-Control: {'public,' * shared}max-age=60")
        await running.get(PATH, f"X-Api-Key: {key}")
    for name, key in KEYS.items():
        reply = await running.get(PATH, f"X-Api-Key: {key}")
        assert status_of(reply).startswith("hit")
        assert reply.body.decode() == ("alice" if shared else name)
    assert len(upstream.seen) == (1 if shared else 2)


@pytest.mark.parametrize("sent", [[], ["X-Api-Key: wrong"]])
async def test_a_hit_bypasses_no_authenticator(
    gateway: MakeGateway, upstream: RecordingUpstream, sent: list[str]
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: public, max-age=60")
    running = await closed(gateway, upstream.url)
    await running.get(PATH, f"X-Api-Key: {KEYS['alice']}")
    reply = await running.get(PATH, *sent)
    assert reply.status == 401
    assert status_of(reply) == ""


async def test_what_a_plugin_further_in_makes_of_each_caller_is_kept_apart(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await gateway(
        f"""
        version: 1
        plugins:
          - api-key: {{keys: [{LISTED}]}}
          - cache
          - headers:
              request: {{set: {{X-Caller: "${{principal.subject}}"}}}}
              response: {{set: {{X-For: "${{principal.subject}}"}}}}
        services:
          echo: {{upstream: "{upstream.url}"}}
        """
    )
    for name, key in [*KEYS.items(), *KEYS.items()]:
        reply = await running.get(PATH, f"X-Api-Key: {key}")
        assert reply.header("X-For") == name
    assert [seen.header("X-Caller") for seen in upstream.seen] == ["alice", "bob"]
