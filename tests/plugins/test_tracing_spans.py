"""What an exchange becomes when it is over: spans, and what stands in them."""

import time
from collections.abc import Iterator
from itertools import count
from time import perf_counter
from typing import Any

import pytest
from plugin_kit import Route, finish, request_of

from plugins.tracing.record import Trace, record_of
from plugins.tracing.spans import Span, spans_of
from plugins.tracing.w3c import Parent
from proxy import EXCHANGE, Attempt, Client, Exchange, GatewayError, Principal

PARENT = Parent("a" * 32, "b" * 16, True, "", "vendor=1")
TRACE = Trace("a" * 32, PARENT, "c" * 16, "d" * 16, "10.0.0.9")


def new_ids() -> Iterator[str]:
    return (f"{number:016x}" for number in count(1))


def attempt_at(target: str = "http://crm:8003", **values: Any) -> Attempt:
    attempt = Attempt(target)
    for name, value in values.items():
        setattr(attempt, name, value)
    return attempt


def exchange_of(*attempts: Attempt, method: str = "GET", **request: Any) -> Exchange:
    exchange = request_of(method, request_id="id-1", **request)[EXCHANGE]
    exchange.attempts.extend(attempts)
    return exchange


def spans(exchange: Exchange, trace: Trace = TRACE, **outcome: Any) -> list[Span]:
    outcome = {"status": 200, "head_sent": 0.02, "ended": 0.03, **outcome}
    finish(exchange, **outcome)
    return list(spans_of(record_of(exchange, trace), new_ids()))


def test_an_exchange_has_a_span_and_each_attempt_one_below_it() -> None:
    refused = attempt_at(pool=0.001, end=0.002, code="upstream_connect_refused")
    good = attempt_at("https://10.0.0.7:8443", pool=0.002, end=0.03, status=200, reused=True)
    server, first, last = spans(exchange_of(refused, good))
    assert (server.name, first.name, last.name) == ("GET crm/contacts", "GET", "GET")
    assert (server.client, first.client, last.client) == (False, True, True)
    assert {span.trace_id for span in (server, first, last)} == {"a" * 32}
    assert (server.parent_id, server.remote, server.state) == ("b" * 16, True, "vendor=1")
    assert (first.parent_id, first.remote) == (last.parent_id, last.remote) == ("c" * 16, False)
    assert server.span_id == "c" * 16
    assert first.span_id == f"{1:016x}"
    assert last.span_id == "d" * 16, "the last attempt has the id that the upstream was told"


def test_a_trace_that_begins_here_has_no_parent() -> None:
    trace = Trace("a" * 32, None, "c" * 16, "d" * 16, "")
    (server,) = spans(exchange_of(), trace)
    assert (server.parent_id, server.remote, server.state) == ("", False, "")
    assert "network.peer.address" not in server.attributes


def test_attributes_are_those_of_the_conventions_for_http() -> None:
    attempt = attempt_at("https://10.0.0.7:8443", pool=0.0, status=200, reused=True)
    server, client = spans(exchange_of(attempt))
    assert server.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "crm/contacts",
        "url.scheme": "https",
        "url.path": "/api/brain/crm/contacts",
        "client.address": "203.0.113.7",
        "network.peer.address": "10.0.0.9",
        "server.address": "brain.example.com",
        "server.port": 443,
        "brain.service": "crm",
        "brain.request_id": "id-1",
    }
    assert client.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.scheme": "https",
        "server.address": "10.0.0.7",
        "server.port": 8443,
        "network.peer.address": "10.0.0.7",
        "network.peer.port": 8443,
        "network.protocol.version": "1.1",
        "brain.connection.reused": True,
    }


def test_neither_secrets_nor_queries_nor_the_caller_are_in_it() -> None:
    exchange = exchange_of(
        attempt_at(pool=0.0),
        target="/api/brain/crm/contacts?token=secret-1",
        headers={"Authorization": "secret-2", "Cookie": "secret-3"},
        sent_on={"Authorization": "secret-4"},
    )
    exchange.outgoing.target = "/botsecret-5/contacts?key=secret-6"
    exchange.principal = Principal(subject="secret-7", tenant="secret-8")
    found = spans(exchange, error=GatewayError("bad_path", log="secret-9"), status=400)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("outcome", "failed", "error", "status"),
    [
        ({"status": 200}, False, None, 200),
        ({"status": 404}, False, None, 404),
        ({"status": 500}, True, "500", 500),
        ({"status": 404, "error": GatewayError("no_route")}, False, "no_route", 404),
        (
            {"status": 502, "error": GatewayError("upstream_connect_refused")},
            True,
            "upstream_connect_refused",
            502,
        ),
        (
            {"status": 200, "error": GatewayError("upstream_reset_mid_body")},
            True,
            "upstream_reset_mid_body",
            200,
        ),
        (
            {"status": 499, "head_sent": None, "error": GatewayError("client_left")},
            False,
            "client_left",
            None,
        ),
        ({"status": 500, "error": GatewayError("plugin_failed")}, True, "plugin_failed", 500),
    ],
)
def test_only_what_is_not_the_clients_fault_fails(
    outcome: dict[str, Any], failed: bool, error: str | None, status: int | None
) -> None:
    (server,) = spans(exchange_of(), **outcome)
    assert server.failed == failed
    assert server.attributes.get("error.type") == error
    assert server.attributes.get("http.response.status_code") == status


@pytest.mark.parametrize(
    ("values", "failed", "error"),
    [
        ({"status": 200}, False, None),
        ({"status": 302}, False, None),
        ({"status": 404}, True, "404"),
        ({"status": 503}, True, "503"),
        ({"code": "upstream_response_timeout"}, True, "upstream_response_timeout"),
        ({"status": 200, "code": "client_left"}, True, "client_left"),
    ],
)
def test_an_attempt_fails_by_its_code_or_by_its_status(
    values: dict[str, Any], failed: bool, error: str | None
) -> None:
    _, client = spans(exchange_of(attempt_at(pool=0.0, **values)))
    assert client.failed == failed
    assert client.attributes.get("error.type") == error


def test_further_attempts_are_numbered() -> None:
    attempts = [attempt_at(pool=0.0), attempt_at(pool=0.0), attempt_at(pool=0.0)]
    _, *clients = spans(exchange_of(*attempts))
    numbers = [client.attributes.get("http.request.resend_count") for client in clients]
    assert numbers == [None, 1, 2]


def test_times_are_those_of_the_exchange() -> None:
    steps = {"resolved": 0.012, "connected": 0.013, "secured": 0.014, "sent": 0.015, "head": 0.018}
    exchange = exchange_of(attempt_at(pool=0.01, end=0.025, **steps))
    exchange.started = perf_counter() - 0.03
    now = time.time_ns()
    server, client = spans(exchange)
    assert abs(server.start - (now - 30_000_000)) < 20_000_000
    since = server.start
    assert server.end - since == 30_000_000
    assert server.events == [("response.head", since + 20_000_000)]
    assert (client.start - since, client.end - since) == (10_000_000, 25_000_000)
    assert [(name, (at - since) // 1_000_000) for name, at in client.events] == [
        ("upstream.resolved", 12),
        ("upstream.connected", 13),
        ("upstream.secured", 14),
        ("request.sent", 15),
        ("response.head", 18),
    ]


def test_an_attempt_that_was_cut_ends_with_the_exchange() -> None:
    server, client = spans(exchange_of(attempt_at(pool=0.01)))
    assert client.end == server.end
    assert client.events == []


def test_a_method_that_a_client_invented_makes_no_name() -> None:
    server, client = spans(exchange_of(attempt_at(pool=0.0), method="BREW"))
    assert (server.name, client.name) == ("HTTP crm/contacts", "HTTP")
    for span in (server, client):
        assert span.attributes["http.request.method"] == "_OTHER"
        assert span.attributes["http.request.method_original"] == "BREW"


def test_what_has_no_route_has_none_in_its_name() -> None:
    class Nowhere(Route):
        name = "-"

    (server,) = spans(exchange_of(route=Nowhere(None)), status=404)
    assert server.name == "GET"
    assert not {"http.route", "brain.service"} & server.attributes.keys()


def test_a_path_is_cut_and_can_be_encoded() -> None:
    exchange = exchange_of()
    exchange.path = "/\udcff\u202e" + "x" * 10_000
    (server,) = spans(exchange)
    path = str(server.attributes["url.path"])
    assert path.startswith("/\\udcff\\u202e")
    assert len(path.encode()) < 600


@pytest.mark.parametrize(
    ("host", "scheme", "address", "port"),
    [
        ("Brain.example.com:8080", "http", "brain.example.com", 8080),
        ("brain.example.com", "http", "brain.example.com", 80),
        ("[2001:db8::1]", "https", "2001:db8::1", 443),
        ("[2001:db8::1]:81", "https", "2001:db8::1", 81),
        ("", "http", None, None),
    ],
)
def test_a_host_is_an_address_and_a_port(
    host: str, scheme: str, address: str | None, port: int | None
) -> None:
    exchange = exchange_of()
    exchange.client = Client("203.0.113.7", scheme, host)
    (server,) = spans(exchange)
    found = server.attributes
    assert (found.get("server.address"), found.get("server.port")) == (address, port)


def test_a_record_holds_neither_the_request_nor_its_bodies() -> None:
    exchange = exchange_of(attempt_at(pool=0.0))
    exchange.outgoing.replace(b"x" * 1000)
    finish(exchange, status=200, head_sent=0.1, ended=0.1)
    record = record_of(exchange, TRACE)
    held = [getattr(record, name) for name in record.__slots__]
    assert exchange not in held
    assert exchange.outgoing not in held
