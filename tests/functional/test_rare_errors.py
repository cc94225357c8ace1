"""Errors that hardly anybody meets, each provoked once (proxy/codes.py)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from proxy import PluginContext, Unavailable
from proxy.codes import CODES
from tests.functional.bodykit import CHUNKED, PATH, answering, finished_code, one_service
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawUpstream, RecordingUpstream, Reply, Script, request
from tests.functional.plugins_for_tests import Setup, public

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]

KEY = "0123456789abcdef0123456789abcdef"
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def check(reply: Reply, code: str) -> None:
    """Fail unless an answer is the error of this code, as its row says."""
    problem, row = json.loads(reply.body), CODES[code]
    assert (reply.status, problem["status"], problem["code"]) == (row.status, row.status, code)
    assert problem["retryable"] is row.retryable
    assert f'details="{code}"' in (reply.header("Proxy-Status") or "")


async def test_an_expectation_that_is_not_100_continue_is_417(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    check(await running.get(PATH, "Expect: tea", method="POST", body=b"x"), "expectation_failed")
    assert upstream.seen == []


async def test_a_caller_without_the_claim_that_a_route_needs_is_403(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    running = await gateway(
        f"""
        version: 1
        plugins: [{{api-key: {{keys: [{{name: ci, sha256: {digest}}}]}}}}]
        services:
          s:
            upstream: "{upstream.url}"
            plugins: [{{headers: {{request: {{set: {{X-Tenant: "${{principal.tenant}}"}}}}}}}}]
        """
    )
    check(await running.get(PATH, f"X-Api-Key: {KEY}"), "claim_missing")
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("method", "headers"),
    [("OPTIONS", ("Access-Control-Request-Method: PUT",)), ("GET", UPGRADE)],
)
async def test_a_foreign_origin_opens_nothing(
    gateway: MakeGateway, upstream: RecordingUpstream, method: str, headers: tuple[str, ...]
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [{{cors: {{origins: ["https://app.example.com"]}}}}]
        services:
          s: {{upstream: "{upstream.url}", public: true}}
        """
    )
    reply = await running.get(PATH, "Origin: https://evil.example.com", *headers, method=method)
    check(reply, "origin_refused")
    assert upstream.seen == []


async def test_an_address_that_no_connection_leads_to_is_502(gateway: MakeGateway) -> None:
    # The broadcast address of the loopback network: TCP refuses it before anything is sent.
    running = await gateway(one_service("http://127.255.255.255:9"))
    reply = await running.get(PATH)
    check(reply, "upstream_connect_failed")
    assert b"127." not in reply.body
    assert await finished_code() == "upstream_connect_failed"


async def test_a_name_server_that_hangs_is_504(
    gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    look_up = loop.getaddrinfo

    async def hang(host: Any, *given: Any, **kind: Any) -> Any:
        if str(host) == "a.test":
            await over.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return await look_up(host, *given, **kind)

    monkeypatch.setattr(loop, "getaddrinfo", hang)
    running = await gateway(one_service("http://a.test", "timeouts: {resolve: 50ms}"))
    check(await running.get(PATH), "upstream_resolve_timeout")
    over.set()


async def test_a_plugin_whose_dependency_is_away_answers_503_with_the_code_of_all_such(
    gateway: MakeGateway, upstream: RecordingUpstream, at_setup: Callable[[Setup], Setup]
) -> None:
    @at_setup
    async def needy(context: PluginContext) -> None:
        raise Unavailable("the store is sealed")

    running = await gateway(public(upstream.url, "needy"))
    reply = await running.get("/api/brain/echo/")
    check(reply, "dependency_unavailable")
    assert reply.header("Retry-After") == "1"
    assert b"sealed" not in reply.body


@pytest.mark.parametrize("begun", [b"", CHUNKED + b"4\r\nhalf\r\n"])
async def test_what_is_cut_at_the_end_of_the_gateway_says_so_in_the_log_alone(
    gateway: MakeGateway, raw_upstream: MakeUpstream, begun: bytes
) -> None:
    asked = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begun)
        asked.set()
        await reader.read()

    running = await gateway(one_service((await raw_upstream(never)).url), drain="50ms")
    client = await running.client()
    client.send(request(PATH))
    await asyncio.wait_for(asked.wait(), 2)
    if begun:
        assert (await client.head()).status == 200
    running.stopped = True  # its clients stay: who has left first was not cut
    await running.host.stop()
    assert await finished_code() == "cut_at_shutdown"
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_tls_that_is_spoken_to_a_plain_port_is_a_bad_request(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
    check(await running.ask(hello + b"\r\n\r\n"), "bad_request")


async def test_another_protocol_on_the_services_port_is_an_invalid_response(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    served = await raw_upstream(answering(b"\x15\x03\x03\x00\x02\x02\x46"))
    running = await gateway(one_service(served.url))
    check(await running.get(PATH), "upstream_invalid_response")
