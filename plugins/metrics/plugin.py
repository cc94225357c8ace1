"""The plugin that counts exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

from plugins.metrics.series import Gauge, RouteSeries, Store
from proxy import (
    EXCHANGE,
    Answer,
    Exchange,
    Handler,
    Plugin,
    PluginContext,
    Problems,
    Stage,
)

if TYPE_CHECKING:
    from aiohttp import web

    from plugins.metrics.collector import GatewayCollector

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that become a label; all others are "other", so that no client can add series."""

_BUCKETS = ["5ms", "10ms", "25ms", "50ms", "100ms", "250ms", "500ms", "1s", "2.5s", "5s", "10s"]
_SLOW_BUCKETS = ["30s", "60s", "120s"]


class Metrics(Plugin):
    """Counts every exchange by route, service, method, status class and error code.

    Never by path or tenant: clients could make series without end. Counts survive a reload.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "description": "Counts exchanges for Prometheus, read on /metrics.",
        "properties": {
            "buckets": {
                "type": "array",
                "minItems": 1,
                "maxItems": 40,
                "items": {
                    "type": "string",
                    "format": "duration",
                    "description": "An upper bound, such as 250ms.",
                },
                "default": [*_BUCKETS, *_SLOW_BUCKETS],
                "description": "Upper bounds of the histograms of duration and of time to first "
                "byte, rising. Default 14 from 5ms to 120s. Each bound costs two series a route; "
                "a change begins these histograms anew.",
            }
        },
    }
    stage = Stage.OBSERVE

    def __init__(self, *, buckets: Sequence[float]) -> None:
        self._bounds = tuple(buckets)
        self._store = Store()
        self._collector: GatewayCollector | None = None
        self._context: PluginContext | None = None
        self._routes: dict[object, tuple[RouteSeries, Gauge]] = {}

    def check(self, problems: Problems) -> None:
        for index, (low, high) in enumerate(pairwise(self._bounds), start=1):
            if high <= low:
                problems.add(f"buckets.{index}", "buckets must rise")

    async def setup(self, context: PluginContext) -> None:
        # prometheus-client: 0.05 s that a check of a file need not pay, nor the loop wait for.
        module = await asyncio.to_thread(import_module, "plugins.metrics.collector")
        self._collector = context.share("collector", module.GatewayCollector)
        self._store = self._collector.store
        self._collector.attach(context.status)
        self._context = context
        context.metrics.collector("brain_gateway", self._collector)

    async def close(self) -> None:
        if self._collector is not None and self._context is not None:
            self._collector.detach(self._context.status)
        self._routes.clear()  # their chains hold this

    def explain(self, exchange: Exchange) -> list[str]:
        service = exchange.route.service or ""
        return [f'counts under route="{exchange.route.name}", service="{service}"']

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        # A chain may run twice for one exchange, when an outer plugin tries again: count once.
        if exchange.callbacks is None or self._finish not in exchange.callbacks:
            self._series(exchange)[1].value += 1
            exchange.on_finish(self._finish)
        return handler(request)

    def _series(self, exchange: Exchange) -> tuple[RouteSeries, Gauge]:
        route = exchange.route
        found = self._routes.get(route)
        if found is None:
            service = route.service or ""
            store = self._store
            found = store.route(route.name, service, self._bounds), store.service(service)
            self._routes[route] = found
        return found

    def _finish(self, exchange: Exchange) -> None:
        series, in_flight = self._routes.get(exchange.route) or self._series(exchange)
        in_flight.value -= 1
        error = exchange.error
        method = exchange.method if exchange.method in _METHODS else "other"
        key = method, exchange.status // 100, "" if error is None else error.code
        series.answered[key] = series.answered.get(key, 0) + 1
        series.received += exchange.received
        series.sent += exchange.sent
        ended = exchange.ended
        series.duration.observe(perf_counter() - exchange.started if ended is None else ended)
        if exchange.head_sent is not None:
            series.first_byte.observe(exchange.head_sent)
