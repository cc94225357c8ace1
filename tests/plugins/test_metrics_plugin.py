"""What a scrape reads after exchanges, parsed by Prometheus's own parser."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_kit import STATUS, Found, Kit, Route, finish, handler_of, request_of
from prometheus_client.parser import text_string_to_metric_families

from plugins.metrics import Metrics
from plugins.metrics.series import Distribution
from proxy import EXCHANGE, GatewayError

ENDED = {"status": 200, "ended": 0.02, "head_sent": 0.004, "received": 7, "sent": 95}
ROUTE = {"route": "crm/contacts", "service": "crm"}


def value(kit: Kit, name: str, **labels: str) -> float | None:
    """Return one sample of a scrape, None when it is not there. Fails when it is there twice."""
    text = kit.registry.expose()[0].decode()
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) < 2
    return found[0] if found else None


async def exchange_through(plugin: Metrics, method: str = "GET", **outcome: object) -> None:
    request = request_of(method)
    await plugin(request, handler_of())
    finish(request[EXCHANGE], **{**ENDED, **outcome})


async def test_an_exchange_is_counted_by_route_method_status_class_and_code(kit: Kit) -> None:
    plugin = await kit.run(Metrics)
    await exchange_through(plugin)
    await exchange_through(plugin)
    await exchange_through(plugin, status=504, error=GatewayError("upstream_response_timeout"))
    counted = "brain_requests_total"
    assert value(kit, counted, **ROUTE, method="GET", status_class="2xx", code="") == 2
    code = "upstream_response_timeout"
    assert value(kit, counted, **ROUTE, method="GET", status_class="5xx", code=code) == 1
    assert value(kit, "brain_request_bytes_total", **ROUTE) == 21
    assert value(kit, "brain_response_bytes_total", **ROUTE) == 285


async def test_a_method_outside_the_known_set_is_other(kit: Kit) -> None:
    plugin = await kit.run(Metrics)
    for method in ("PURGE", "BREW"):
        await exchange_through(plugin, method)
    labels = {**ROUTE, "method": "other", "status_class": "2xx", "code": ""}
    assert value(kit, "brain_requests_total", **labels) == 2


async def test_a_connection_that_broke_before_a_head_has_no_status_class(kit: Kit) -> None:
    await exchange_through(await kit.run(Metrics), status=0, head_sent=None)
    labels = {**ROUTE, "method": "GET", "status_class": "none", "code": ""}
    assert value(kit, "brain_requests_total", **labels) == 1
    assert value(kit, "brain_time_to_first_byte_seconds_count", **ROUTE) == 0


async def test_in_flight_goes_up_and_down(kit: Kit) -> None:
    plugin = await kit.run(Metrics)
    request = request_of()
    await plugin(request, handler_of())
    assert value(kit, "brain_requests_in_flight", service="crm") == 1
    finish(request[EXCHANGE], **ENDED)
    assert value(kit, "brain_requests_in_flight", service="crm") == 0


async def test_a_second_run_of_the_chain_counts_once(kit: Kit) -> None:
    plugin = await kit.run(Metrics)
    request = request_of()
    await plugin(request, handler_of())
    await plugin(request, handler_of())
    assert value(kit, "brain_requests_in_flight", service="crm") == 1
    finish(request[EXCHANGE], **ENDED)
    assert value(kit, "brain_request_duration_seconds_count", **ROUTE) == 1


async def test_histograms_are_cumulative(kit: Kit) -> None:
    plugin = await kit.run(Metrics, {"buckets": ["10ms", "1s"]})
    for seconds in (0.01, 0.5, 7.0):
        await exchange_through(plugin, ended=seconds)
    name = "brain_request_duration_seconds"
    bounds = {le: value(kit, f"{name}_bucket", **ROUTE, le=le) for le in ("0.01", "1.0", "+Inf")}
    assert bounds == {"0.01": 1, "1.0": 2, "+Inf": 3}
    assert value(kit, f"{name}_sum", **ROUTE) == pytest.approx(7.51)
    assert value(kit, "brain_time_to_first_byte_seconds_bucket", **ROUTE, le="0.01") == 3


async def test_no_route_is_counted_without_a_service(kit: Kit) -> None:
    plugin = await kit.run(Metrics)
    request = request_of(route=Route(service=None))
    await plugin(request, handler_of())
    finish(request[EXCHANGE], status=404, error=GatewayError("no_route"))
    labels = {"route": "crm/contacts", "service": "", "method": "GET", "status_class": "4xx"}
    assert value(kit, "brain_requests_total", **labels, code="no_route") == 1


async def test_the_gateways_own_numbers_are_there(kit: Kit) -> None:
    await kit.run(Metrics)
    assert value(kit, "brain_upstream_connections", upstream="crm", state="idle") == 3
    assert value(kit, "brain_upstream_connections", upstream="crm", state="active") == 2
    assert value(kit, "brain_upstream_waiting", upstream="crm") == 1
    reason = "upstream_connect_refused"
    assert value(kit, "brain_retries_total", upstream="crm", reason=reason) == 3
    assert value(kit, "brain_reloads_total", result="refused") == 1
    assert value(kit, "brain_config_revision_info", revision="abc123") == 1
    assert value(kit, "brain_config_loaded_timestamp_seconds") == STATUS.loaded_at
    assert value(kit, "brain_snapshots") == 1
    assert value(kit, "brain_client_connections") == 7
    assert b"brain_build_info{" in kit.registry.expose()[0]


async def test_counts_survive_a_reload(kit: Kit) -> None:
    before = await kit.run(Metrics)
    await exchange_through(before)
    after = await kit.run(Metrics)
    await before.close()
    await exchange_through(after)
    assert value(kit, "brain_request_duration_seconds_count", **ROUTE) == 2


async def test_other_buckets_begin_the_histograms_anew(kit: Kit) -> None:
    await exchange_through(await kit.run(Metrics, {"buckets": ["1s"]}))
    await exchange_through(await kit.run(Metrics, {"buckets": ["2s"]}))
    assert value(kit, "brain_request_duration_seconds_bucket", **ROUTE, le="2.0") == 1
    assert value(kit, "brain_request_duration_seconds_bucket", **ROUTE, le="1.0") is None
    labels = {**ROUTE, "method": "GET", "status_class": "2xx", "code": ""}
    assert value(kit, "brain_requests_total", **labels) == 2


async def test_two_instances_show_every_series_once(kit: Kit) -> None:
    first, second = await kit.run(Metrics), await kit.run(Metrics)
    await exchange_through(first)
    await exchange_through(second)
    assert value(kit, "brain_snapshots") == 1
    assert value(kit, "brain_request_duration_seconds_count", **ROUTE) == 2


async def test_when_the_last_instance_is_closed_nothing_is_shown(kit: Kit) -> None:
    plugin = await kit.run(Metrics)
    await exchange_through(plugin)
    await plugin.close()
    assert b"brain_" not in kit.registry.expose()[0]


def test_buckets_that_do_not_rise_are_an_error(kit: Kit) -> None:
    found = Found()
    kit.make(Metrics, {"buckets": ["1s", "500ms", "500ms"]}).check(found)
    assert list(found.errors) == ["buckets.1", "buckets.2"]


@given(st.lists(st.floats(0, 100)), st.sets(st.floats(0.001, 50), min_size=1))
def test_an_observation_is_in_every_bucket_not_below_it(
    seconds: list[float], bounds: set[float]
) -> None:
    distribution = Distribution(sorted(bounds))
    for each in seconds:
        distribution.observe(each)
    ordered = sorted(seconds)
    counts = [count for _, count in distribution.cumulative()]
    wanted = [bisect_left(ordered, bound) for bound in sorted(bounds)]
    equal = [ordered.count(bound) for bound in sorted(bounds)]
    assert counts == [
        *(below + same for below, same in zip(wanted, equal, strict=True)),
        len(seconds),
    ]


def test_it_says_under_which_names_it_counts(kit: Kit) -> None:
    assert kit.make(Metrics).explain(request_of()[EXCHANGE]) == [
        'counts under route="crm/contacts", service="crm"'
    ]
