"""Who decided each timer, bound and switch, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from proxy.admin.exposed import readers
from proxy.config.models import Limits, Timeouts
from proxy.explaining.explain import explain
from proxy.explaining.told import as_json
from tests.explaining.kit import Asked, files_of, question_of

Of = Callable[..., Asked]

TEXT = """\
version: 1
gateway: {base_path: /api}
defaults:
  timeouts: {connect: 3s, response: 20s}
  upstream: {keepalive: 1s, queue: 5}
services:
  shop:
    upstream: {url: "https://shop.example.com", queue: 6, tls: {verify: false}}
    public: true
    timeouts: {response: 30s}
    limits: {request_body: 20MiB}
    cookies: keep
    routes:
      - match: {path: /a}
        timeouts: {response: 90s}
        public: optional
        plugins: [{api-key: {keys: [{name: a, sha256: "KEY"}]}}]
        upstream: {url: "https://other.example.com", concurrent: 7}
      - match: {path: /b}
        upstream: service/plain
  plain: {upstream: "http://plain:1", public: true}
routes:
  - {match: {path: /top}, upstream: service/shop, public: true, host: preserve}
fallback: {upstream: {url: "http://old", max_age: 5m}, public: true}
""".replace("KEY", "0" * 64)


async def settings(of: Of, asked: str) -> dict[str, tuple[Any, str, str | None]]:
    told = await of(TEXT).told(asked)
    return {
        one["name"]: (one["value"], one["from"], one["place"] and one["place"].split(":")[1])
        for one in told["settings"]
    }


async def test_a_value_comes_from_the_innermost_level_that_says_it(of: Of) -> None:
    found = await settings(of, "GET /api/shop/a")
    assert found["timeouts.response"] == ("90s", "route", "15")
    assert found["timeouts.connect"] == ("3s", "defaults", "4")
    assert found["timeouts.stream"] == ("10m", "built-in", None)
    assert found["limits.request_body"] == ("20MiB", "service", "11")
    assert found["limits.response_fields"] == (200, "built-in", None)
    assert found["cookies"] == ("keep", "service", "12")
    assert found["strip"] == (True, "built-in", None)
    assert (await settings(of, "GET /api/shop/x"))["timeouts.response"] == ("30s", "service", "10")


async def test_a_routes_own_upstream_takes_what_it_leaves_out_from_its_service(of: Of) -> None:
    found = await settings(of, "GET /api/shop/a")
    assert found["upstream.concurrent"] == (7, "route", "18")
    assert found["upstream.queue"] == (6, "service", "8")
    assert found["upstream.keepalive"] == ("1s", "defaults", "5")
    assert found["upstream.tls.verify"] == (False, "service", "8")
    assert found["upstream.tls.ca"] == (None, "built-in", None)


async def test_a_reference_leads_to_the_service_that_it_names(of: Of) -> None:
    found = await settings(of, "GET /top")
    assert found["upstream.queue"] == (6, "service shop", "8")
    assert found["timeouts.response"] == ("20s", "defaults", "4")
    assert found["host"] == ("preserve", "route", "23")
    found = await settings(of, "GET /api/shop/b")
    assert found["upstream.queue"] == (5, "defaults", "5")
    assert "upstream.tls.verify" not in found


async def test_the_fallback_has_its_own(of: Of) -> None:
    found = await settings(of, "GET /x")
    assert found["upstream.max_age"] == ("5m", "fallback", "24")
    assert found["upstream.queue"] == (5, "defaults", "5")


async def test_access_tells_who_decided_it(of: Of) -> None:
    route = (await of(TEXT).told("GET /api/shop/a"))["route"]
    assert (route["access"], route["access_from"]) == (
        "optional",
        {"from": "route", "place": "routes.yaml:16"},
    )


async def test_every_timer_and_every_bound_is_told(of: Of) -> None:
    found = await settings(of, "GET /api/shop/x")
    wanted = {f"timeouts.{one.name}" for one in fields(Timeouts)}
    wanted |= {f"limits.{one.name}" for one in fields(Limits)}
    assert wanted <= set(found)


async def test_values_of_several_files_keep_their_own(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(TEXT)
    (tmp_path / "two.yaml").write_text(
        "services: {shop: {timeouts: {idle: 5s}}}\ndefaults: {timeouts: {connect: 9s}}\n"
        "include: ['more-*.yaml']\n"
    )
    (tmp_path / "more-1.yaml").write_text(
        "routes:\n  - {match: {path: /more}, upstream: service/shop, public: true, via: true}\n"
    )
    files = files_of(tmp_path / "one.yaml", tmp_path / "two.yaml")
    asked = [question_of(f"GET {path}") for path in ("/api/shop/x", "/more")]
    first, second = [
        as_json(*await explain(files, each, readers(files.config.gateway))) for each in asked
    ]
    places = {one["name"]: one["place"] for one in first["settings"]}
    assert places["timeouts.idle"] == f"{tmp_path}/two.yaml:1"
    assert places["timeouts.connect"] == f"{tmp_path}/two.yaml:2"
    assert places["timeouts.response"] == f"{tmp_path}/one.yaml:10"
    places = {one["name"]: one["place"] for one in second["settings"]}
    assert (places["via"], second["route"]["place"]) == (f"{tmp_path}/more-1.yaml:2",) * 2


async def test_what_a_text_alone_means_was_decided_where_it_stands(of: Of) -> None:
    text = """\
        version: 1
        services:
          shop:
            public: true
            upstream:
              url: http://shop
              health: /health/
              balance: random-two
        """
    told = await of(text).told("GET /api/brain/shop/x")
    found = {one["name"]: (one["value"], one["from"], one["place"]) for one in told["settings"]}
    assert found["upstream.health.path"] == ("/health/", "service", "routes.yaml:7")
    assert found["upstream.health.interval"] == ("10s", "built-in", None)
    assert found["upstream.balance.policy"] == ("random-two", "service", "routes.yaml:8")


async def test_a_service_that_is_another_services_upstream(of: Of) -> None:
    text = """\
        version: 1
        plugins: [{api-key: {keys: [{name: a, sha256: "KEY"}]}}]
        services:
          shop: {upstream: {url: "http://shop:1/base", queue: 6}}
          short: service/shop
        """.replace("KEY", "0" * 64)
    told = await of(text).told("GET /api/brain/short/x")
    places = {one["name"]: (one["from"], one["place"]) for one in told["settings"]}
    assert places["upstream.queue"] == ("service shop", "routes.yaml:4")
    assert told["outgoing"]["targets"] == [
        {
            "url": "http://shop:1",
            "host": "shop:1",
            "weight": 1,
            "backup": False,
            "nowhere": False,
            "place": "routes.yaml:4",
        }
    ]
    assert told["outgoing"]["target"] == "/base/x"
