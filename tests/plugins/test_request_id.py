"""One name for a request, which no client can choose."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from plugin_kit import Found, Kit, ask, handler_of, is_raw, request_of, upstream_answer

from plugins.request_id import RequestId
from plugins.request_id.uuid7 import Uuid7
from proxy import EXCHANGE, Answer, GatewayError


async def test_upstream_and_client_see_the_id_on_raw_headers(kit: Kit) -> None:
    plugin = kit.make(RequestId)
    request = request_of()
    answer = await ask(plugin, request, handler_of())
    exchange = request[EXCHANGE]
    assert UUID(exchange.request_id).version == 7
    assert exchange.outgoing.header("X-Request-Id") == exchange.request_id
    assert answer.header("X-Request-Id") == exchange.request_id
    assert is_raw(answer)
    assert is_raw(exchange.outgoing)


async def test_an_upstreams_own_id_is_replaced(kit: Kit) -> None:
    own = upstream_answer(("x-request-id", "theirs"), ("X-Request-ID", "theirs, again"))
    request = request_of()
    answer = await ask(kit.make(RequestId), request, handler_of(own))
    assert answer.headers.getall("X-Request-Id") == [request[EXCHANGE].request_id]


async def test_an_untrusted_clients_id_is_not_used(kit: Kit) -> None:
    # The header is protected: what the client sent is on the request alone, never sent on.
    plugin = kit.make(RequestId)
    assert plugin.protects == {"x-request-id"}
    request = request_of(headers={"X-Request-Id": "mine"})
    await plugin(request, handler_of())
    exchange = request[EXCHANGE]
    assert exchange.request_id != "mine"
    assert exchange.outgoing.headers.getall("X-Request-Id") == [exchange.request_id]


async def test_a_trusted_proxys_id_is_kept(kit: Kit) -> None:
    request = request_of(headers={"X-Request-Id": "edge-1.2_3"}, trusted=True)
    await kit.make(RequestId)(request, handler_of())
    assert request[EXCHANGE].request_id == "edge-1.2_3"


@pytest.mark.parametrize("unsafe", ["", "a b", "a\u00e4", 'a"b', "x" * 129, "a/b"])
async def test_a_trusted_proxys_unsafe_id_is_not_used(kit: Kit, unsafe: str) -> None:
    request = request_of(headers={"X-Request-Id": unsafe}, trusted=True)
    await kit.make(RequestId)(request, handler_of())
    assert UUID(request[EXCHANGE].request_id)


async def test_two_ids_of_a_trusted_proxy_are_none(kit: Kit) -> None:
    headers = CIMultiDict([("X-Request-Id", "one"), ("X-Request-Id", "two")])
    request = request_of(headers=headers, trusted=True)
    await kit.make(RequestId)(request, handler_of())
    assert UUID(request[EXCHANGE].request_id)


async def test_a_second_run_of_the_chain_keeps_the_id(kit: Kit) -> None:
    plugin = kit.make(RequestId)
    request = request_of()
    await plugin(request, handler_of())
    exchange = request[EXCHANGE]
    first = exchange.request_id
    answer = await ask(plugin, request, handler_of())
    assert exchange.request_id == first
    assert exchange.outgoing.headers.getall("X-Request-Id") == [first]
    assert answer.headers.getall("X-Request-Id") == [first]


def test_its_header_is_protected_under_the_name_of_the_option(kit: Kit) -> None:
    assert kit.make(RequestId, {"header": "X-Trace"}).protects == {"x-trace"}


@pytest.mark.parametrize("name", ["Host", "Connection", "Content-Length"])
def test_a_header_that_frames_or_aims_is_refused_at_load(kit: Kit, name: str) -> None:
    found = Found()
    kit.make(RequestId, {"header": name}).check(found)
    assert found.errors.keys() == {"header"}


async def test_errors_of_the_gateway_carry_the_id_too(kit: Kit) -> None:
    refused = Answer.problem(GatewayError("no_route"), request_id="", service=None)
    request = request_of()
    answer = await ask(kit.make(RequestId), request, handler_of(refused))
    assert answer.headers["X-Request-Id"] == request[EXCHANGE].request_id


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=50))
def test_ids_grow_whatever_the_clock_does(milliseconds: list[int]) -> None:
    ticks = iter(milliseconds)
    new_id = Uuid7(now=lambda: next(ticks) * 1_000_000)
    ids = [new_id() for _ in milliseconds]
    assert ids == sorted(set(ids))
    assert all(
        UUID(each).version == 7 and UUID(each).variant == "specified in RFC 4122" for each in ids
    )


def test_an_id_begins_with_the_time() -> None:
    new_id = Uuid7(now=lambda: 0x0123_4567_89AB * 1_000_000)
    assert re.fullmatch(r"01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", new_id())


def test_it_says_whose_id_it_takes(kit: Kit) -> None:
    plugin = kit.make(RequestId, {"header": "X-Trace"})
    assert plugin.explain(request_of()[EXCHANGE]) == [
        "sets X-Trace to a new UUIDv7, to the upstream and on the answer"
    ]
    assert plugin.explain(request_of(trusted=True)[EXCHANGE]) == [
        "keeps the trusted proxy's X-Trace if it is safe, else makes a UUIDv7"
    ]
