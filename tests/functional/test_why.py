"""Each way to fail, and whom `brain why --json` blames for it: side, stage, target and code."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trustme
from aiohttp import web

from proxy import Answer, Handler
from proxy.codes import CODES
from tests.cli.kit import brain
from tests.functional.bodykit import CHUNKED, answering, gone, until
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Script, request
from tests.functional.plugins_for_tests import HERE, Behaviour
from tests.functional.test_exchange_timers import full_queue, hang
from tests.functional.test_upstream_pools import dead_port

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Behave = Callable[[Behaviour], Behaviour]

PATH = "/api/brain/s/x"
ID = "X-Request-Id: asked-1"


async def serving(
    gateway: MakeGateway, targets: str | list[str], *own: str, chain: str = ""
) -> Gateway:
    """Run one service `s` whose requests keep the id that they come with."""
    named = json.dumps(targets)
    where = named if isinstance(targets, str) else f"{{targets: {named}}}"
    lines = "".join(f"    {line}\n" for line in own)
    return await gateway(
        'version: 1\ngateway: {trusted_proxies: ["127.0.0.1/32"]}\n'
        f"plugins: [request-id{chain}]\nservices:\n"
        f"  s:\n    upstream: {where}\n    public: true\n{lines}"
    )


async def why(running: Gateway, request_id: str = "asked-1") -> dict[str, Any]:
    """Return what the command prints of one exchange."""
    control = str(running.host.config.gateway.control)
    asked = ("why", request_id, "--json", "--control", control)
    done = await asyncio.to_thread(brain, *asked, cwd=running.path.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["exchange"]
    assert isinstance(found, dict)
    assert found["over"]
    assert_sound(found)
    return found


def assert_sound(told: dict[str, Any]) -> None:
    """Fail where what is told of an exchange does not agree with itself."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["time"])
    total = told["ms"]["total"]
    for attempt in told["attempts"]:
        parts = [time for phase, time in attempt["ms"].items() if phase != "total"]
        assert all(part >= 0 for part in parts)
        assert sum(parts) == pytest.approx(attempt["ms"]["total"], abs=0.02)
    tried = sum(attempt["ms"]["total"] for attempt in told["attempts"])
    assert tried <= total + 0.02
    assert told["longest"]["ms"] <= total + 0.02
    blame = told["blame"]
    if blame is not None and blame["code"] is not None:
        known = CODES[blame["code"]]
        assert (blame["side"], blame["stage"]) == (known.side.value, known.stage)
        assert blame["remedy"] == known.remedy


def blamed(told: dict[str, Any]) -> tuple[str, str, str | None, str | None]:
    blame = told["blame"]
    return blame["side"], blame["stage"], blame["target"], blame["code"]


# -- the upstream's


async def test_a_refused_connection(gateway: MakeGateway) -> None:
    url = f"http://127.0.0.1:{dead_port()}"
    running = await serving(gateway, url)
    assert (await running.get(PATH, ID)).status == 502
    told = await why(running)
    assert blamed(told) == ("upstream", "connect", url, "upstream_connect_refused")
    assert (told["answered"], told["from"], told["status"]) == ("whole", "gateway", 502)
    for attempt in told["attempts"]:
        assert attempt["reached"] == "connect"
        assert "127.0.0.1" in attempt["note"]
        assert set(attempt["ms"]) == {"total", "chain", "resolve", "connect"}
    assert [each["again"] for each in told["attempts"]] == ["connect", "attempts"]
    assert told["attempts"][1]["ms"]["chain"] >= 20, "the pause before the same target"


async def test_a_connection_that_does_not_come_about(gateway: MakeGateway) -> None:
    with full_queue() as port:
        url = f"http://127.0.0.1:{port}"
        running = await serving(gateway, url, "timeouts: {connect: 100ms}")
        assert (await running.get(PATH, ID)).status == 504
        told = await why(running)
    assert blamed(told) == ("upstream", "connect", url, "upstream_connect_timeout")
    assert told["longest"]["phase"] == "connect"
    assert told["longest"]["ms"] >= 90


async def test_a_name_that_does_not_resolve(gateway: MakeGateway) -> None:
    running = await serving(gateway, "http://no-such-name.invalid")
    assert (await running.get(PATH, ID)).status == 502
    told = await why(running)
    url = "http://no-such-name.invalid"
    assert blamed(told) == ("upstream", "resolve", url, "upstream_unresolved")
    assert told["attempts"][0]["reached"] == "resolve"


async def test_a_failed_tls_handshake(gateway: MakeGateway) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = RecordingUpstream()
    await server.start(context)
    running = await serving(gateway, server.url)
    assert (await running.get(PATH, ID)).status == 502
    told = await why(running)
    await server.close()
    assert blamed(told) == ("upstream", "tls", server.url, "upstream_tls_failed")
    assert told["attempts"][0]["reached"] == "tls"
    assert set(told["attempts"][0]["ms"]) == {"total", "chain", "resolve", "connect", "tls"}


async def test_a_black_hole_and_a_slow_answer(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    served = await raw_upstream(hang)
    running = await serving(gateway, served.url, "timeouts: {response: 150ms}")
    assert (await running.get(PATH, ID)).status == 504
    told = await why(running)
    assert blamed(told) == ("upstream", "response_head", served.url, "upstream_response_timeout")
    assert (told["longest"]["phase"], told["longest"]["attempt"]) == ("wait", 1)
    assert told["longest"]["ms"] >= 140


async def test_a_reset_before_the_head(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    served = await raw_upstream(b"")
    running = await serving(gateway, served.url)
    assert (await running.get(PATH, ID)).status == 502
    told = await why(running)
    code = "upstream_reset_before_headers"
    assert blamed(told) == ("upstream", "response_head", served.url, code)


async def test_a_reset_within_the_body(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    served = await raw_upstream(answering(CHUNKED + b"4\r\nhalf\r\n", stay=False))
    running = await serving(gateway, served.url)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await running.get(PATH, ID)
    told = await why(running)
    assert blamed(told) == ("upstream", "response_body", served.url, "upstream_reset_mid_body")
    assert (told["answered"], told["status"]) == ("cut", 200)
    assert told["attempts"][0]["reached"] == "body"


async def test_an_answer_that_is_not_http(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    served = await raw_upstream(b"BOGUS\r\n\r\n")
    running = await serving(gateway, served.url)
    assert (await running.get(PATH, ID)).status == 502
    told = await why(running)
    assert blamed(told) == ("upstream", "response_head", served.url, "upstream_invalid_response")


async def test_a_service_that_answers_500_itself(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    running = await serving(gateway, upstream.url)
    assert (await running.get(PATH, ID)).status == 500
    told = await why(running)
    assert blamed(told) == ("upstream", "answer", upstream.url, None)
    assert (told["from"], told["answered"]) == ("upstream", "whole")


async def test_a_saturated_upstream(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    served = await raw_upstream(hang)
    running = await serving(gateway, served.url)
    limited = running.path.read_text().replace(
        f'"{served.url}"', f'{{url: "{served.url}", concurrent: 1, queue: 1}}'
    )
    running.path.write_text(limited + "    timeouts: {pool: 100ms}\n")
    assert await running.reload() is None
    (await running.client()).send(request(PATH))
    await asyncio.sleep(0.02)
    waiting = asyncio.ensure_future(running.get(PATH, ID))
    await asyncio.sleep(0.02)
    assert (await running.get(PATH, "X-Request-Id: asked-2")).status == 503
    assert (await waiting).status == 503
    told = await why(running)
    assert blamed(told) == ("upstream", "pool", None, "upstream_pool_timeout")
    assert (told["attempts"], told["longest"]["phase"]) == ([], "pool")
    assert blamed(await why(running, "asked-2")) == ("upstream", "pool", None, "upstream_saturated")


async def test_a_wait_for_a_slot_is_told_apart_from_what_plugins_do(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        await asyncio.sleep(0.03)
        return await handler(asked)

    upstream.hold = asyncio.Event()
    own = f'plugins: [{{use: "{HERE}:Behave", as: plugin, with: {{do: plugin}}}}]'
    running = await serving(gateway, upstream.url, own)
    text = running.path.read_text()
    running.path.write_text(
        text.replace(f'"{upstream.url}"', f'{{url: "{upstream.url}", concurrent: 1}}')
    )
    assert await running.reload() is None
    first = asyncio.ensure_future(running.get(PATH))
    await until(lambda: upstream.seen)
    second = asyncio.ensure_future(running.get(PATH, ID))
    await until(lambda: running.host.gateway.status().upstreams[0].waiting)
    await asyncio.sleep(0.05)
    upstream.hold.set()
    assert [(await each).status for each in (first, second)] == [200, 200]
    told = await why(running)
    assert told["blame"] is None
    (attempt,) = told["attempts"]
    assert attempt["ms"]["chain"] >= 25
    assert attempt["ms"]["pool"] >= 45


# -- the client's


async def test_a_client_that_leaves(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    served = await raw_upstream(hang)
    running = await serving(gateway, served.url)
    client = await running.client()
    client.send(request(PATH, ID))
    await asyncio.sleep(0.05)
    client.close()
    await asyncio.sleep(0.05)
    told = await why(running)
    assert blamed(told) == ("client", "client", None, "client_left")
    assert (told["answered"], told["status"]) == ("nothing", 499)
    assert told["attempts"][0]["reached"] == "wait", "where it was when the client left"


async def test_a_body_that_is_too_large(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    async def swallow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await gone(reader)

    served = await raw_upstream(swallow)
    running = await serving(gateway, served.url, "limits: {request_body: 1KiB}")
    assert (await running.get(PATH, ID, method="POST", body=b"x" * 2000)).status == 413
    told = await why(running)
    assert blamed(told) == ("client", "request_body", None, "body_too_large")
    assert told["attempts"] == [], "its length was announced: no target was asked"
    chunked = request(PATH, "X-Request-Id: asked-2", "Transfer-Encoding: chunked", method="POST")
    client = await running.client()
    client.send(chunked + b"200\r\n" + b"x" * 512 + b"\r\n")
    await asyncio.sleep(0.05)
    client.send(b"600\r\n" + b"x" * 1536 + b"\r\n0\r\n\r\n")
    assert (await client.reply()).status == 413
    told = await why(running, "asked-2")
    assert blamed(told) == ("client", "request_body", None, "body_too_large")
    assert told["attempts"][0]["reached"] == "send"


# -- the gateway's


async def test_a_plugin_that_fails(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        await handler(asked)
        raise KeyError("a bug")

    own = f'plugins: [{{use: "{HERE}:Behave", as: plugin, with: {{do: plugin}}}}]'
    running = await serving(gateway, upstream.url, own)
    assert (await running.get(PATH, ID)).status == 500
    told = await why(running)
    assert blamed(told) == ("gateway", "plugin", None, "plugin_failed")
    assert told["blame"]["note"] == "plugin: KeyError"
    assert told["attempts"][0]["status"] == 200, "the target is not to blame"
    assert told["attempts"][0]["code"] is None


async def test_a_plugin_that_answers_503_itself(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    own = "plugins: [{respond: {status: 503}}]"
    running = await serving(gateway, upstream.url, own)
    assert (await running.get(PATH, ID)).status == 503
    told = await why(running)
    assert blamed(told) == ("gateway", "plugin", None, None)
    assert told["from"] in told["blame"]["remedy"]


# -- tried again


async def test_what_another_target_saved_blames_nobody_and_lists_both_tries(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    dead = f"http://127.0.0.1:{dead_port()}"
    running = await serving(gateway, [dead, upstream.url])
    assert (await running.get(PATH, ID)).status == 200
    told = await why(running)
    assert told["blame"] is None
    first, second = told["attempts"]
    assert (first["target"], first["code"]) == (dead, "upstream_connect_refused")
    assert (first["side"], first["stage"], first["again"]) == ("upstream", "connect", "connect")
    assert (second["target"], second["status"], second["again"]) == (upstream.url, 200, None)


async def test_where_all_targets_failed_the_last_one_is_named(gateway: MakeGateway) -> None:
    both = [f"http://127.0.0.1:{dead_port()}", f"http://127.0.0.1:{dead_port()}"]
    running = await serving(gateway, both)
    assert (await running.get(PATH, ID)).status == 502
    told = await why(running)
    assert [each["target"] for each in told["attempts"]] == both
    assert blamed(told) == ("upstream", "connect", both[1], "upstream_connect_refused")
    assert [each["again"] for each in told["attempts"]] == ["connect", "attempts"]


BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
RETRY = "retry: {attempts: 2, statuses: [503]}"


async def test_a_status_that_is_tried_again(
    gateway: MakeGateway, upstream: RecordingUpstream, raw_upstream: MakeUpstream
) -> None:
    busy = await raw_upstream(answering(BUSY))
    running = await serving(gateway, [busy.url, upstream.url], RETRY)
    assert (await running.get(PATH, ID)).status == 200
    told = await why(running)
    assert told["blame"] is None
    assert [(each["status"], each["again"]) for each in told["attempts"]] == [
        (503, "status"),
        (200, None),
    ]
    assert {"wait", "send"} <= set(told["attempts"][0]["ms"])


async def test_a_status_that_is_not_tried_again_says_why(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream.url, RETRY)
    assert (await running.get(PATH)).status == 200
    upstream.answer = BUSY
    assert (await running.get(PATH, ID, method="POST", body=b"x")).status == 503
    (attempt,) = (await why(running))["attempts"]
    assert (attempt["reused"], attempt["status"], attempt["again"]) == (True, 503, "method")


async def test_a_try_that_had_its_time(
    gateway: MakeGateway, upstream: RecordingUpstream, raw_upstream: MakeUpstream
) -> None:
    slow = await raw_upstream(hang)
    running = await serving(gateway, [slow.url, upstream.url], "retry: {per_try: 100ms}")
    assert (await running.get(PATH, ID)).status == 200
    told = await why(running)
    first, second = told["attempts"]
    assert (first["code"], first["again"]) == ("upstream_response_timeout", "per-try-timeout")
    assert (first["target"], second["target"]) == (slow.url, upstream.url)
    assert (told["longest"]["phase"], told["longest"]["attempt"]) == ("wait", 1)
    assert first["ms"]["wait"] >= 90


async def test_an_upstream_whose_breakers_are_open(gateway: MakeGateway) -> None:
    url = f"http://127.0.0.1:{dead_port()}"
    running = await serving(gateway, url, "retry: {attempts: 1}")
    text = running.path.read_text()
    running.path.write_text(
        text.replace(f'"{url}"', f'{{url: "{url}", breaker: {{failures: 1, open_for: 30s}}}}')
    )
    assert await running.reload() is None
    assert (await running.get(PATH)).status == 502
    assert (await running.get(PATH, ID)).status == 503
    told = await why(running)
    assert blamed(told) == ("upstream", "pool", None, "upstream_unavailable")
    assert (told["attempts"], told["longest"]["phase"]) == ([], "chain")


async def test_a_gateway_that_has_too_much_to_do(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    slow = await raw_upstream(hang)
    running = await serving(gateway, slow.url)
    text = running.path.read_text()
    running.path.write_text(text.replace("gateway: {", "gateway: {limits: {in_flight: 1}, "))
    assert await running.reload() is None
    (await running.client()).send(request(PATH))
    await asyncio.sleep(0.03)
    assert (await running.get(PATH, ID)).status == 503
    assert blamed(await why(running)) == ("gateway", "route", None, "overloaded")


# -- what goes well, and what is not over


async def test_what_went_well_tells_where_its_time_went(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"4\r\nhalf\r\n")
        await asyncio.sleep(0.1)
        writer.write(b"4\r\nhalf\r\n0\r\n\r\n")

    served = await raw_upstream(slow)
    running = await serving(gateway, served.url)
    assert (await running.get(PATH, ID)).body == b"halfhalf"
    told = await why(running)
    assert told["blame"] is None
    assert (told["longest"]["phase"], told["longest"]["attempt"]) == ("body", 1)
    assert told["longest"]["ms"] >= 90
    assert (told["sent"], told["received"]) == (8, 0)


async def test_what_is_under_way_tells_where_it_is(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    served = await raw_upstream(hang)
    running = await serving(gateway, served.url)
    (await running.client()).send(request(PATH, ID))
    await asyncio.sleep(0.05)
    control = str(running.host.config.gateway.control)
    asked = ("why", "asked-1", "--control", control)
    done = await asyncio.to_thread(brain, *asked, cwd=running.path.parent)
    assert done.returncode == 0
    assert "nothing yet: it is under way" in done.stdout
    assert f"waiting for {served.url} to answer" in done.stdout
    assert "to blame" not in done.stdout


# -- Proxy-Status (RFC 9209)


async def test_a_status_that_was_received_stands_beside_the_error_that_took_its_place(
    gateway: MakeGateway, raw_upstream: MakeUpstream, behave: Behave
) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        await handler(asked)
        return await handler(asked)

    served = await raw_upstream(once)
    own = f'plugins: [{{use: "{HERE}:Behave", as: plugin, with: {{do: plugin}}}}]'
    running = await serving(gateway, served.url, own)
    reply = await running.get(PATH, ID, method="POST", body=b"x")
    code = "upstream_reset_before_headers"
    assert reply.all("Proxy-Status") == [
        f'brain; error=connection_terminated; received-status=503; details="{code}"'
    ]
    assert str(served.port) not in reply.raw_head.decode()


async def test_what_another_proxy_said_is_relayed_as_it_is(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    said = 'inner; error=connection_refused; next-hop="db"'
    upstream.answer = (
        f"HTTP/1.1 502 Bad\r\nProxy-Status: {said}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    running = await serving(gateway, upstream.url)
    assert (await running.get(PATH, ID)).all("Proxy-Status") == [said]
