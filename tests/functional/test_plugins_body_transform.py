"""body-transform on a real gateway: JSON bodies on the wire."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable

import brotli
import pytest
import zstandard
from aiohttp import web

from proxy import EXCHANGE, Answer, Handler
from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply, request
from tests.functional.plugins_for_tests import Behaviour

PATH = "/api/brain/echo/x"
TYPED = "Content-Type: application/json"
KEY = "0123456789abcdef0123456789abcdef"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
ODD = b'{ "n": 123456789012345678901234567890,\r\n "f" : 1.10, "s":"\\u00e9" }'


def made_of(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join(
        [f"HTTP/1.1 {status}", *(fields or (TYPED,)), f"Content-Length: {len(body)}"]
    )
    return head.encode() + b"\r\n\r\n" + body


async def editing(gateway: MakeGateway, url: str, options: str, outer: str = "") -> Gateway:
    return await gateway(
        f"version: 1\nservices:\n  echo:\n    upstream: '{url}'\n    public: true\n"
        f"    plugins: [{outer}{{body-transform: {options}}}]\n"
    )


async def post(running: Gateway, body: bytes, *headers: str) -> Reply:
    return await running.get(PATH, *(headers or (TYPED,)), method="POST", body=body)


def code(reply: Reply) -> tuple[int, str]:
    found: str = json.loads(reply.body)["code"]
    assert f'details="{found}"' in (reply.header("Proxy-Status") or "")
    return reply.status, found


# -- the request


async def test_the_upstream_gets_the_callers_tenant_whatever_the_client_wrote(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [{{api-key: {{keys: [{{name: ci, tenant: acme, sha256: {DIGEST}}}]}}}}]
        services:
          echo:
            upstream: "{upstream.url}"
            plugins:
              - body-transform:
                  request:
                    set:
                      /context/tenant: "${{principal.tenant}}"
                      /context/via: [gateway, {{page: "${{request.query.page}}"}}, 1, null]
                    remove: [/debug]
                    rename: {{/customer_id: /customer/id}}
        """
    )
    body = (
        b'{"context":{"tenant":"evil", "x": 1.50},"debug":true,"customer_id":12345678901234567890}'
    )
    key = f"X-Api-Key: {KEY}"
    reply = await running.get(f"{PATH}?page=7", TYPED, key, method="POST", body=body)
    assert reply.status == 200
    assert upstream.last.body == (
        b'{"context":{"tenant":"acme","x":1.50,"via":["gateway",{"page":"7"},1,null]},'
        b'"customer":{"id":12345678901234567890}}'
    )
    assert upstream.last.all("Content-Length") == [str(len(upstream.last.body))]
    assert upstream.last.all("Content-Type") == ["application/json"]


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_in_which_nothing_changes_arrives_byte_for_byte(
    gateway: MakeGateway, upstream: RecordingUpstream, framing: str
) -> None:
    running = await editing(gateway, upstream.url, "{request: {remove: [/none]}}")
    if framing == "length":
        assert (await post(running, ODD)).status == 200
    else:
        raw = request(PATH, TYPED, "Transfer-Encoding: chunked", method="POST")
        await running.ask(raw + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ODD), ODD))
    assert upstream.last.body == ODD


async def test_a_client_that_waits_is_asked_for_its_body(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await editing(gateway, upstream.url, "{request: {set: {/b: 2}}}")
    client = await running.client()
    expects = ("Expect: 100-continue", "Content-Length: 7")
    client.send(request(PATH, TYPED, *expects, method="POST"))
    assert (await client.head()).status == 100
    client.send(b'{"a":1}')
    assert (await client.reply()).status == 200
    assert upstream.last.body == b'{"a":1,"b":2}'


CODED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("coding", CODED)
async def test_a_coded_request_is_sent_on_uncoded(
    gateway: MakeGateway, upstream: RecordingUpstream, coding: str
) -> None:
    running = await editing(gateway, upstream.url, "{request: {set: {/b: 2}}}")
    await post(running, CODED[coding](b'{"a":1}'), TYPED, f"Content-Encoding: {coding}")
    assert upstream.last.body == b'{"a":1,"b":2}'
    assert upstream.last.all("Content-Encoding") == []


@pytest.mark.parametrize(
    ("body", "headers", "told"),
    [
        (b'{"a":1', [TYPED], (400, "body_json_invalid")),
        (b'{"a":1,"a":2}', [TYPED], (400, "body_json_invalid")),
        (b"[" * 5000 + b"]" * 5000, [TYPED], (400, "body_json_invalid")),
        (b"[1]", [TYPED], (422, "body_shape_refused")),
        (b'{"a":"' + b"x" * 20_000 + b'"}', [TYPED], (413, "body_too_large")),
        (b"{}", [TYPED, "Content-Encoding: compress"], (415, "body_coding_unknown")),
        (b"{}", [TYPED, "Content-Encoding: identity", "Content-Encoding: gzip"], (400, "body_invalid")),
        (b"a=1", ["Content-Type: application/x-www-form-urlencoded"], (415, "body_type_refused")),
        (b"{}", ["X-No: type"], (415, "body_type_refused")),
    ],
)  # fmt: skip
async def test_what_can_not_be_edited_is_refused_before_the_upstream_is_asked(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    body: bytes,
    headers: list[str],
    told: tuple[int, str],
) -> None:
    options = "{request: {set: {/b: 2}, max_size: 16KiB, on_other: refuse}}"
    running = await editing(gateway, upstream.url, options)
    assert code(await post(running, body, *headers)) == told
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([], (400, "value_missing")),
        (["X-Lang: \xff"], (400, "value_invalid")),
        (['X-Lang: a"\xc3\xa9'], None),
    ],
)
async def test_a_clients_value_is_put_as_text_or_refused(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    headers: list[str],
    told: tuple[int, str] | None,
) -> None:
    options = "{request: {set: {/lang: '${request.header.X-Lang}'}}}"
    running = await editing(gateway, upstream.url, options)
    reply = await post(running, b"{}", TYPED, *headers)
    if told is None:
        assert upstream.last.body == '{"lang":"a\\"é"}'.encode()
    else:
        assert code(reply) == told
        assert upstream.seen == []


async def test_a_large_body_is_edited_both_ways_while_others_are_served(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    items = json.dumps([{"id": number, "f": 1.50} for number in range(20_000)]).encode()
    upstream.answer = made_of(b'{"items":' + items + b"}")
    both = "{request: {set: {/a: 1}}, response: {set: {/items/19999/id: last}}}"
    running = await editing(gateway, upstream.url, both)
    reply = await post(running, b'{"items":' + items + b"}")
    assert upstream.last.body == b'{"items":' + items + b',"a":1}'
    assert len(json.loads(reply.body)["items"]) == 20_000
    assert json.loads(reply.body)["items"][-1] == {"id": "last", "f": 1.5}


async def test_other_bodies_and_none_pass_by_default(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await editing(gateway, upstream.url, "{request: {set: {/b: 2}}}")
    await post(running, b"a=1", "Content-Type: application/x-www-form-urlencoded")
    assert upstream.last.body == b"a=1"
    await running.get(PATH, TYPED)
    assert (upstream.last.body, upstream.last.all("Content-Length")) == (b"", [])


async def test_a_second_try_of_an_outer_plugin_sends_the_same_body(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Callable[[Behaviour], Behaviour],
) -> None:
    @behave
    async def again(asked: web.BaseRequest, handler: Handler) -> Answer:
        assert asked[EXCHANGE].outgoing is not None
        await handler(asked)
        return await handler(asked)

    outer = "{use: 'tests.functional.plugins_for_tests:Behave', with: {do: again}}, "
    running = await editing(gateway, upstream.url, "{request: {set: {/log/-: 2}}}", outer)
    assert (await post(running, b'{"log":[1]}')).status == 200
    assert [seen.body for seen in upstream.seen] == [b'{"log":[1,2]}'] * 2


# -- the answer


@pytest.mark.parametrize("coding", ["identity", *CODED])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_answer_is_edited_decoded_and_framed_anew(
    gateway: MakeGateway, upstream: RecordingUpstream, coding: str, framing: str
) -> None:
    body = CODED.get(coding, bytes)(b'{"password": "x", "id":1.0}')
    upstream.answer = made_of(body, TYPED, 'ETag: "a"', f"Content-Encoding: {coding}")
    if framing == "chunked":
        upstream.answer = upstream.answer.partition(b"Content-Length")[0] + (
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        )
    running = await editing(
        gateway,
        upstream.url,
        "{response: {remove: [/password], set: {/status: '${response.status}'}}}",
    )
    client = await running.client()
    for _ in range(2):
        client.send(request(PATH, "Range: bytes=0-5", f"Accept-Encoding: {coding}, *"))
        reply = await client.reply()
        assert reply.body == b'{"id":1.0,"status":"200"}'
        assert reply.all("Content-Length") == ["25"]
        for name in ("Content-Encoding", "ETag", "Transfer-Encoding"):
            assert reply.header(name) is None
    assert upstream.last.header("Range") is None
    assert upstream.last.all("Accept-Encoding") == ["identity"]


@pytest.mark.parametrize(
    ("answer", "code_told"),
    [
        (made_of(b"oops"), "answer_json_invalid"),
        (made_of(b'{"a":1,"a":2}'), "answer_json_invalid"),
        (made_of(b"[]"), "answer_shape_refused"),
        (made_of(b'{"a":"' + b"x" * 20_000 + b'"}'), "answer_too_large"),
        (made_of(b"{}", TYPED, "Content-Encoding: compress"), "answer_coding_unknown"),
        (made_of(b"{}", TYPED, "Content-Encoding: gzip"), "answer_invalid"),
        (made_of(b"<p>", "Content-Type: text/html"), "answer_type_refused"),
    ],
)
async def test_an_answer_that_can_not_be_edited_is_502_and_leaks_no_connection(
    gateway: MakeGateway, upstream: RecordingUpstream, answer: bytes, code_told: str
) -> None:
    upstream.answer = answer
    options = "{response: {set: {/b: 2}, max_size: 16KiB, on_other: refuse}}"
    running = await editing(gateway, upstream.url, options)
    for _ in range(2):
        reply = await running.get(PATH)
        assert code(reply) == (502, code_told)
        assert reply.header("Content-Encoding") is None
    assert running.host.gateway.status().upstreams[0].in_flight == 0


async def test_an_unchanged_answer_passes_byte_for_byte(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(ODD, TYPED, 'ETag: "a"', "X-Odd: Case")
    running = await editing(gateway, upstream.url, "{response: {remove: [/none]}}")
    reply = await running.get(PATH)
    assert reply.body == ODD
    assert b'\r\nETag: "a"\r\nX-Odd: Case\r\n' in reply.raw_head


async def test_head_and_errors_of_the_gateway_are_left_alone(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    running = await editing(gateway, upstream.url, "{response: {set: {/a: 1}}}")
    head = await running.get(PATH, method="HEAD")
    assert (head.status, head.header("Content-Length")) == (200, "9")
    await upstream.close()
    refused = json.loads((await running.get(PATH)).body)
    assert refused["code"].startswith("upstream_")
    assert "a" not in refused


# -- the file


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{request: {set: {tenant: 1}}}", "a pointer begins with a slash"),
        ("{request: {remove: [/a~2]}}", "'~' is written ~0"),
        ("{request: {set: {/a: ['${response.status}']}}}", "'response' is not known here"),
        ("{response: {set: {/a: {b: '${request.json.c}'}}}}", "no body is read for it"),
        ("{request: {set: {/a: {b: {c: {d: {e: '${service}'}}}}}}}", "can't stand here"),
        ("{request: {rename: {/a: /b, /c: /b}}}", "two fields are renamed to '/b'"),
        ("{request: {max_size: 5}}", "max_size"),
    ],
)
async def test_a_file_that_can_never_work_is_refused_with_its_line(
    gateway: MakeGateway, upstream: RecordingUpstream, options: str, said: str
) -> None:
    with pytest.raises(InvalidConfig) as refused:
        await editing(gateway, upstream.url, options)
    assert said in str(refused.value)
    assert ":6:" in str(refused.value)
