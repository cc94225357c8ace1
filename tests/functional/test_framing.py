"""What would let two readers see two messages: 400 and close (semantics.md, row 7, and limits)."""

from __future__ import annotations

import json

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, Gateway, RecordingUpstream

HOST = b"Host: a.example\r\n"
SMUGGLED = b"GET /api/brain/crm/smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"


async def serving(gateway: MakeGateway, upstream: RecordingUpstream, *limits: str) -> Gateway:
    return await gateway(
        f"""
        version: 1
        gateway:
          limits: {{{", ".join(limits)}}}
        services:
          crm: {{upstream: "{upstream.url}", public: true}}
        """
    )


def post(*fields: bytes, version: bytes = b"1.1", host: bytes = HOST) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST /api/brain/crm/x HTTP/" + version + b"\r\n" + host + lines + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"

FRAMINGS = {
    "CL with TE": post(b"Content-Length: 6", CHUNKED) + b"0\r\n\r\nG",
    "TE with CL": post(CHUNKED, b"Content-Length: 6") + b"0\r\n\r\nG",
    "CL 0 with TE": post(b"Content-Length: 0", CHUNKED) + b"0\r\n\r\n",
    "two CL": post(b"Content-Length: 1", b"Content-Length: 2") + b"ab",
    "two equal CL": post(b"Content-Length: 1", b"Content-Length: 1") + b"a",
    "CL list": post(b"Content-Length: 1, 1") + b"a",
    "CL plus": post(b"Content-Length: +1") + b"a",
    "CL minus": post(b"Content-Length: -1") + b"a",
    "CL hex": post(b"Content-Length: 0x1") + b"a",
    "CL underscore": post(b"Content-Length: 1_0") + b"0123456789",
    "CL space": post(b"Content-Length: 1 0") + b"0123456789",
    "CL empty": post(b"Content-Length:") + b"a",
    "CL overflow": post(b"Content-Length: 99999999999999999999") + b"a",
    "CL all ones": post(b"Content-Length: 18446744073709551615") + b"a",
    "TE gzip": post(b"Transfer-Encoding: gzip") + b"a",
    "TE identity": post(b"Transfer-Encoding: identity") + b"a",
    "TE empty": post(b"Transfer-Encoding:") + b"a",
    "TE empty with CL": post(b"Transfer-Encoding:", b"Content-Length: 1") + b"a",
    "TE gzip, chunked": post(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "TE chunked, gzip": post(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "TE twice": post(CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "TE identity and chunked": post(b"Transfer-Encoding: identity", CHUNKED) + b"0\r\n\r\n",
    "TE chunked and identity": post(CHUNKED, b"Transfer-Encoding: identity") + b"0\r\n\r\n",
    "TE xchunked": post(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "TE quoted": post(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "TE with parameter": post(b"Transfer-Encoding: chunked;q=1") + b"0\r\n\r\n",
    "TE with vertical tab": post(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "TE on HTTP/1.0": post(CHUNKED, version=b"1.0") + b"0\r\n\r\n",
    "TE folded": post(b"Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n",
    "fold": post(b"X-A: a\r\n b"),
    "fold with tab": post(b"X-A: a\r\n\tb"),
    "space before the first field": b"GET /api/brain/crm/x HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    "bare LF after the line": b"GET /api/brain/crm/x HTTP/1.1\n" + HOST + b"\r\n",
    "bare LF after a field": post(b"X-A: a\nX-B: b"),
    "bare LF at the end": post()[:-2] + b"\n",
    "bare CR": post(b"X-A: a\rb"),
    "space before colon": post(b"X-A : a"),
    "tab before colon": post(b"X-A\t: a"),
    "TE with space before colon": post(b"Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "no colon": post(b"X-A"),
    "no name": post(b": a"),
    "NUL in a value": post(b"X-A: a\0b"),
    "NUL in a name": post(b"X\0A: a"),
    "control in a value": post(b"X-A: a\x01b"),
    "name above ASCII": post(b"X-\xc3\xa9: a"),
    "no Host": post(host=b""),
    "two Hosts": post(b"Host: b.example"),
    "two equal Hosts": post(HOST.strip()),
    "h2c": b"GET /api/brain/crm/x HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n" + HOST + b"\r\n",
    "h2c with a body": post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 1") + b"a",
    "WebSocket on POST": post(b"Connection: Upgrade", b"Upgrade: websocket"),
    "WebSocket on HTTP/1.0": b"GET /api/brain/crm/x HTTP/1.0\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\n" + HOST + b"\r\n",
    "unknown method": b"BREW /api/brain/crm/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "small letters": b"get /api/brain/crm/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown version": b"GET /api/brain/crm/x HTTP/1.2\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("behind", [b"", SMUGGLED], ids=["alone", "smuggling"])
@pytest.mark.parametrize("name", FRAMINGS)
async def test_a_message_that_two_readers_may_read_in_two_ways_is_refused_and_ends_the_connection(
    gateway: MakeGateway, upstream: RecordingUpstream, name: str, behind: bytes
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    client.send(FRAMINGS[name] + behind)
    reply = await client.reply()
    assert reply.status == 400
    problem = json.loads(reply.body)
    assert problem["code"] in {
        "bad_request",
        "bad_framing",
        "bad_host",
        "upgrade_refused",
    }
    assert reply.header("Content-Type") == "application/problem+json"
    assert reply.header("Connection") == "close"
    assert await client.closed()
    assert upstream.seen == []


ODD_HOSTS = [
    *(
        "a,b",
        "a/b",
        "a@b",
        "user:x@a",
        "a?b",
        "a#b",
        "a:b",
        "a:99999",
        "a:-1",
        "a:",
        "a;b=c",
        "a=b",
    ),
    *("[::1", "[:::]", "[]", "::1", "[::1]x", "%61", "a%00", "é", "http://a", "'a'", "(a)", "a b"),
]


@pytest.mark.parametrize("host", ODD_HOSTS)
async def test_a_malformed_host_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream, host: str
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    client.send(f"GET /api/brain/crm/x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    reply = await client.reply()
    assert (reply.status, json.loads(reply.body)["code"]) == (400, "bad_host")
    assert await client.closed()
    assert upstream.seen == []


async def test_good_hosts_pass_and_an_empty_one_does_not(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    for host, status in [
        ("a", 200),
        ("A.example:65535", 200),
        ("a_b.example", 200),
        ("127.0.0.1:80", 200),
        ("[2001:db8::1]", 200),
        ("[::1]:8080", 200),
        ("a.example.", 200),
        ("", 400),
    ]:
        line = f"GET /api/brain/crm/x HTTP/1.1\r\nHost: {host}\r\n\r\n"
        assert (await running.ask(line.encode())).status == status, host


@pytest.mark.parametrize("version", [" HTTP/2.0", " HTTP/0.9", ""])
async def test_another_version_is_505(
    gateway: MakeGateway, upstream: RecordingUpstream, version: str
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    client.send(f"GET /api/brain/crm/x{version}\r\n\r\n".encode())
    reply = await client.reply()
    assert (reply.status, json.loads(reply.body)["code"]) == (505, "version_refused")
    assert await client.closed()
    assert upstream.seen == []


CHUNKS = {
    "bare LF after a size": b"1\na\r\n0\r\n\r\n",
    "bare LF in an extension": b"1;a\nb\r\na\r\n0\r\n\r\n",
    "too large a size": b"fffffffffffffffff\r\na\r\n0\r\n\r\n",
    "minus": b"-1\r\na\r\n0\r\n\r\n",
    "plus": b"+1\r\na\r\n0\r\n\r\n",
    "0x": b"0x1\r\na\r\n0\r\n\r\n",
    "space behind": b"1 \r\na\r\n0\r\n\r\n",
    "underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "no size": b"\r\na\r\n0\r\n\r\n",
    "longer than said": b"1\r\nab\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
async def test_a_malformed_chunk_is_refused_and_what_follows_is_never_a_request(
    gateway: MakeGateway, upstream: RecordingUpstream, name: str
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    client.send(post(CHUNKED) + CHUNKS[name] + SMUGGLED)
    reply = await client.reply()
    assert reply.status == 400
    assert await client.closed()
    assert all(seen.target == "/x" for seen in upstream.seen)


async def test_chunks_are_framed_anew_without_extensions_and_trailers(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    client.send(
        post(b"Transfer-Encoding: CHUNKED", b"Trailer: X-T")
        + b'5;name="v";x\r\nhello\r\n00001\r\n!\r\n0;y\r\nX-T: 1\r\n\r\n'
    )
    assert (await client.reply()).status == 200
    assert (upstream.last.body, upstream.last.header("Trailer")) == (b"hello!", None)
    assert upstream.last.all("Transfer-Encoding") == ["chunked"]
    client.send(SMUGGLED)
    assert (await client.reply()).status == 200


async def test_a_length_with_leading_zeros_is_told_without_them(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    assert (await running.ask(post(b"Content-Length: 003") + b"abc")).status == 200
    assert (upstream.last.all("Content-Length"), upstream.last.body) == (["3"], b"abc")
    assert (await running.ask(post(b"Content-Length: 000"))).status == 200


async def test_two_requests_in_one_write_are_two_requests(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    client.send(post(b"Content-Length: 3") + b"abc" + SMUGGLED)
    assert [(await client.reply()).status for _ in range(2)] == [200, 200]
    assert [(seen.target, seen.body) for seen in upstream.seen] == [
        ("/x", b"abc"),
        ("/smuggled", b""),
    ]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: 2, 2",
        b"Content-Length: +2",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"X-A: a\r\n b",
        b"X-A: a\0b",
        b"X-A : a",
    ],
)
async def test_an_upstreams_ambiguous_answer_is_502_and_its_connection_is_not_used_again(
    gateway: MakeGateway, upstream: RecordingUpstream, head: bytes
) -> None:
    running = await serving(gateway, upstream)
    upstream.answer = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nok"
    reply = await running.get("/api/brain/crm/x")
    assert (reply.status, json.loads(reply.body)["code"]) == (502, "upstream_invalid_response")
    upstream.answer = OK
    assert (await running.get("/api/brain/crm/x")).status == 200
    assert upstream.connections == 2


# -- limits


def head_of(line: int = 0, field: int = 0, fields: int = 0) -> bytes:
    """A request whose line has `line` bytes, with one field of `field` and `fields` small ones."""
    start = b"GET /api/brain/crm/x?%b HTTP/1.1" % (b"q" * max(0, line - 34))
    one = b"X-Long: %b\r\n" % (b"v" * (field - 6)) if field else b""
    return start + b"\r\n" + HOST + one + b"X-S: v\r\n" * fields + b"\r\n"


async def test_the_default_limits_are_those_of_the_table(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    kib = 1024
    for raw, status in [
        (head_of(line=8 * kib - 200), 200),
        (head_of(line=8 * kib + 200), 414),
        (head_of(line=80 * kib), 414),
        (head_of(field=16 * kib - 200), 200),
        (head_of(field=16 * kib + 200), 431),
        (head_of(fields=99), 200),
        (head_of(fields=100), 431),
        (head_of(field=15 * kib)[:-2] + b"X-B: %b\r\n\r\n" % (b"v" * 15 * kib), 200),
        (
            head_of(field=15 * kib)[:-2] + (b"X-B: %b\r\n" % (b"v" * 15 * kib)) * 2 + b"\r\n",
            431,
        ),
    ]:
        client = await running.client()
        client.send(raw)
        reply = await client.reply()
        assert reply.status == status, raw[:60]
        if status != 200:
            wanted = {414: "uri_too_long", 431: "head_too_large"}[status]
            assert json.loads(reply.body)["code"] == wanted
            assert await client.closed()
    assert len(upstream.seen) == 4


async def test_each_limit_can_be_set(gateway: MakeGateway, upstream: RecordingUpstream) -> None:
    running = await serving(
        gateway,
        upstream,
        "request_line: 1KiB",
        "header_field: 2KiB",
        "header_total: 3KiB",
        "header_count: 5",
    )
    for raw, status in [
        (head_of(line=1000), 200),
        (head_of(line=1100), 414),
        (head_of(field=2000), 200),
        (head_of(field=2100), 431),
        (head_of(field=1900)[:-2] + b"X-B: %b\r\n\r\n" % (b"v" * 1900), 431),
        (head_of(fields=4), 200),
        (head_of(fields=5), 431),
    ]:
        assert (await running.ask(raw)).status == status, raw[:60]


async def test_a_head_without_an_end_is_refused_at_its_limit_and_not_kept(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    client.send(b"GET /api/brain/crm/x HTTP/1.1\r\n" + HOST)
    for _ in range(20):
        client.send(b"X-A: " + b"v" * 4000 + b"\r\n")
    assert (await client.reply()).status == 431
    assert await client.closed()


async def test_what_was_asked_before_too_large_a_head_is_answered(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    client = await running.client()
    large = (b"X-B: %b\r\n" % (b"v" * 15000)) * 3
    client.send(SMUGGLED + head_of()[:-2] + large + b"\r\n" + SMUGGLED)
    assert [(await client.reply()).status for _ in range(2)] == [200, 431]
    assert await client.closed()
    assert len(upstream.seen) == 1
