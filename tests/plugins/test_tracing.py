"""One trace from the caller to the upstream, whoever is believed."""

from random import Random
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict
from plugin_kit import Found, Kit, ask, handler_of, is_raw, request_of, upstream_answer

from plugins.tracing import Tracing
from plugins.tracing.ids import Ids, Sampler
from plugins.tracing.w3c import parent_of
from proxy import EXCHANGE
from proxy.testing import check_plugin

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"


def called(*fields: tuple[str, str], trusted: bool = True) -> web.BaseRequest:
    return request_of(headers=CIMultiDict(fields), trusted=trusted)


async def told(kit: Kit, options: dict[str, Any], request: web.BaseRequest) -> list[str]:
    """Return the parts of the traceparent that the upstream gets."""
    await kit.make(Tracing, options)(request, handler_of())
    headers = request[EXCHANGE].outgoing.headers.getall("traceparent")
    assert len(headers) == 1
    found = parent_of(headers, ())
    assert found is not None, "what is sent on is well-formed"
    return headers[0].split("-")


# -- whose trace is continued


@pytest.mark.parametrize(
    ("trust", "trusted", "continued"),
    [
        ("trusted", True, True),
        ("trusted", False, False),
        ("any", True, True),
        ("any", False, True),
        ("none", True, False),
        ("none", False, False),
    ],
)
async def test_a_trace_is_continued_for_whom_the_file_trusts(
    kit: Kit, trust: str, trusted: bool, continued: bool
) -> None:
    request = called(("traceparent", SAMPLED), ("tracestate", "a=1"), trusted=trusted)
    _, trace, _, _ = await told(kit, {"trust": trust}, request)
    assert (trace == TRACE) == continued
    assert request[EXCHANGE].outgoing.header("tracestate") == ("a=1" if continued else None)


async def test_without_spans_of_its_own_the_gateway_passes_the_callers_span_on(kit: Kit) -> None:
    for header in (SAMPLED, UNSAMPLED):
        assert "-".join(await told(kit, {}, called(("traceparent", header)))) == header


async def test_several_states_arrive_as_one(kit: Kit) -> None:
    request = called(("traceparent", SAMPLED), ("tracestate", "a=1"), ("tracestate", "b=2"))
    await told(kit, {}, request)
    assert request[EXCHANGE].outgoing.headers.getall("tracestate") == ["a=1,b=2"]


@pytest.mark.parametrize("header", ["", "x", f"ff-{TRACE}-{SPAN}-01", SAMPLED.upper()])
async def test_a_malformed_one_is_replaced_and_its_state_dropped(kit: Kit, header: str) -> None:
    request = called(("traceparent", header), ("tracestate", "a=1"))
    _, trace, span, _ = await told(kit, {}, request)
    assert (trace, span) != (TRACE, SPAN)
    assert request[EXCHANGE].outgoing.header("tracestate") is None


async def test_each_request_without_one_begins_a_trace_of_its_own(kit: Kit) -> None:
    found = [await told(kit, {}, called()) for _ in range(3)]
    assert len({trace for _, trace, _, _ in found}) == 3
    assert len({span for _, _, span, _ in found}) == 3


async def test_headers_stay_on_their_raw_way(kit: Kit) -> None:
    request = called()
    answer = await ask(kit.make(Tracing), request, handler_of())
    assert is_raw(request[EXCHANGE].outgoing)
    assert is_raw(answer)


def test_what_clients_send_is_removed(kit: Kit) -> None:
    assert kit.make(Tracing).protects == {"traceparent", "tracestate"}


async def test_a_second_run_of_the_chain_tells_the_same(kit: Kit) -> None:
    plugin = kit.make(Tracing, {"header": "X-Trace-Id"})
    request = called()
    await plugin(request, handler_of())
    first = request[EXCHANGE].outgoing.header("traceparent")
    answer = await ask(plugin, request, handler_of())
    assert request[EXCHANGE].outgoing.headers.getall("traceparent") == [first]
    assert answer.headers.getall("X-Trace-Id") == [str(first).split("-")[1]]


# -- what is sampled


@pytest.mark.parametrize(("sample", "flags"), [("0%", "00"), ("100%", "01")])
async def test_a_new_trace_is_sampled_by_its_share(kit: Kit, sample: str, flags: str) -> None:
    for _ in range(50):
        assert (await told(kit, {"sample": sample}, called()))[3] == flags


async def test_a_continued_trace_is_sampled_as_its_caller_decided(kit: Kit) -> None:
    for header, sample in ((SAMPLED, "0%"), (UNSAMPLED, "100%")):
        found = await told(kit, {"sample": sample}, called(("traceparent", header)))
        assert found[3] == header[-2:]


def test_a_share_is_about_that_and_the_same_for_the_same_ids() -> None:
    ids = Ids(Random(7))
    traces = [ids.trace() for _ in range(10_000)]
    taken = [trace for trace in traces if Sampler(0.2).takes(trace)]
    assert 1_850 < len(taken) < 2_150
    assert set(taken) <= {trace for trace in traces if Sampler(0.5).takes(trace)}


# -- what the client is told


async def test_the_client_is_told_the_trace_where_the_file_says_so(kit: Kit) -> None:
    own = upstream_answer(("x-trace-id", "theirs"), ("X-Trace-ID", "theirs, again"))
    plugin = kit.make(Tracing, {"header": "X-Trace-Id"})
    answer = await ask(plugin, called(("traceparent", SAMPLED)), handler_of(own))
    assert answer.headers.getall("X-Trace-Id") == [TRACE]
    silent = await ask(kit.make(Tracing), called(("traceparent", SAMPLED)), handler_of())
    assert TRACE not in str(silent.headers)


# -- options


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"header": "Connection"}, {"header"}),
        ({"export": "otlp", "endpoint": "collector:4318"}, {"endpoint"}),
        ({"export": "otlp", "endpoint": "grpc://collector:4317"}, {"endpoint"}),
        ({"export": "otlp", "endpoint": "http://"}, {"endpoint"}),
        ({"export": "otlp", "endpoint": "http://a b:4318"}, {"endpoint"}),
        ({"export": "otlp", "endpoint": "http://[::1"}, {"endpoint"}),
        ({"export": "otlp", "endpoint": "http://a:99999"}, {"endpoint"}),
        ({"export": "otlp", "endpoint": "https://user:word@a/"}, {"endpoint"}),
        ({"export": "otlp", "endpoint": "https://a/?key=1"}, {"endpoint"}),
        ({"export": "otlp", "headers": {"Content-Type": "x"}}, {"headers.Content-Type"}),
        ({"export": "otlp", "headers": {"A B": "x"}}, {"headers.A B"}),
        ({"export": "otlp", "headers": {"A": "x\ny"}}, {"headers.A"}),
        ({"export": "otlp", "endpoint": "https://a:1/b", "headers": {"A": "b c"}}, set()),
        ({"export": "otlp"}, set()),
        ({"header": "X-Trace-Id"}, set()),
    ],
)
def test_options_that_can_export_nothing_are_refused_at_load(
    kit: Kit, options: dict[str, Any], places: set[str]
) -> None:
    found = Found()
    kit.make(Tracing, options).check(found)
    assert (found.errors.keys(), found.warnings) == (places, {})


def test_an_endpoint_without_export_is_warned_of(kit: Kit) -> None:
    found = Found()
    kit.make(Tracing, {"endpoint": "http://a:4318"}).check(found)
    assert (found.errors, found.warnings.keys()) == ({}, {"endpoint"})


def test_it_says_what_it_does(kit: Kit) -> None:
    options = {"export": "otlp", "endpoint": "http://a:4318/"}
    assert kit.make(Tracing, options).explain(called()[EXCHANGE]) == [
        "continues the caller's trace, where it has one",
        "exports spans to http://a:4318/v1/traces where the trace is sampled",
    ]
    stranger = called(trusted=False)[EXCHANGE]
    assert kit.make(Tracing, {"header": "X-Trace-Id"}).explain(stranger) == [
        "begins a new trace, whatever the caller says",
        "tells its id in X-Trace-Id of the answer",
    ]


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(Tracing)
    away = {"export": "otlp", "endpoint": "http://127.0.0.1:9", "timeout": "100ms"}
    await check_plugin(Tracing, away)
