"""The plugin that carries traces on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from aiohttp import web

from plugins.tracing.exporter import Exporter
from plugins.tracing.ids import Ids, Sampler
from plugins.tracing.options import ENDPOINT, SCHEMA
from plugins.tracing.record import Trace, record_of
from plugins.tracing.sender import Collector
from plugins.tracing.settings import EXTRA, Settings
from plugins.tracing.w3c import TRACEPARENT, TRACESTATE, Parent, header_of, parent_of
from proxy import (
    EXCHANGE,
    Answer,
    ConfigError,
    Exchange,
    Handler,
    Plugin,
    PluginContext,
    Problems,
    Stage,
)

_ids = Ids()


class Tracing(Plugin):
    """Continues the trace of a caller that is trusted, or begins one, and tells upstreams of it.

    With `export`, a recorded exchange has a span of its own, and each attempt at an upstream one
    below it. One traceparent serves all attempts: it names the span of the last one, which is known
    before there is any. Nothing but ids is made for an exchange that is not recorded.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.OBSERVE
    protects = frozenset({TRACEPARENT, TRACESTATE})

    def __init__(
        self,
        *,
        trust: str,
        sample: float,
        export: str,
        headers: Mapping[str, str],
        timeout: float,
        service_name: str,
        resource: Mapping[str, str],
        header: str | None = None,
        endpoint: str | None = None,
        ids: Ids = _ids,
    ) -> None:
        self._trust = trust
        self._sampler = Sampler(sample)
        self._header = header
        self._exports = export == "otlp"
        self._endpoint = endpoint
        self._settings = Settings(endpoint or ENDPOINT, headers, timeout, service_name, resource)
        self._ids = ids
        self._exporter: Exporter | None = None

    def check(self, problems: Problems) -> None:
        if self._exports:
            self._settings.check(problems)
        elif self._endpoint is not None:
            hint = "say 'export: otlp', or leave 'endpoint' out"
            problems.warn("endpoint", "nothing is exported to it", hint=hint)
        if self._header is not None:
            try:
                Answer().add_header(self._header, "x")
            except ValueError as error:
                problems.add("header", str(error))

    async def setup(self, context: PluginContext) -> None:
        if not self._exports:
            return
        settings = self._settings
        # 0.05 s that a reload's loop need not wait for.
        await asyncio.to_thread(import_module, "prometheus_client")
        dropped = context.metrics.counter(
            "brain_tracing_spans_dropped", "Spans that could not be exported."
        )
        self._exporter = context.share(
            f"exporter:{settings.key}",
            lambda: Exporter(partial(_collector, settings), dropped, context.logger),
        )
        try:
            await self._exporter.open()
        except ImportError as error:
            raise ConfigError(f"traces can't be exported: {error}", hint=EXTRA) from error

    async def close(self) -> None:
        if self._exporter is not None:
            await self._exporter.flush()

    def explain(self, exchange: Exchange) -> list[str]:
        said = ["begins a new trace, whatever the caller says"]
        if self._believes(exchange):
            said = ["continues the caller's trace, where it has one"]
        if self._header is not None:
            said.append(f"tells its id in {self._header} of the answer")
        if self._exports:
            said.append(f"exports spans to {self._settings.url} where the trace is sampled")
        return said

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        # A client's copy never gets here: the header is protected. One that is there is ours, and
        # the chain runs again for this exchange: an outer plugin tries once more.
        if exchange.outgoing.header(TRACEPARENT) is None:
            self._begin(request, exchange)
        return handler(request)

    def _begin(self, request: web.BaseRequest, exchange: Exchange) -> None:
        parent = self._parent(request, exchange)
        trace_id = self._ids.trace() if parent is None else parent.trace_id
        sampled = self._sampler.takes(trace_id) if parent is None else parent.sampled
        if sampled and self._exporter is not None:
            told = self._record(request, exchange, trace_id, parent)
        elif parent is not None:
            # Nothing of the gateway's own is recorded, so the caller's span stays the parent.
            told = parent.header
        else:
            told = header_of(trace_id, self._ids.span(), sampled=sampled)
        exchange.outgoing.add_header(TRACEPARENT, told)
        if parent is not None and parent.state:
            exchange.outgoing.add_header(TRACESTATE, parent.state)
        if self._header is not None:
            exchange.on_answer(partial(self._mark, trace_id))

    def _parent(self, request: web.BaseRequest, exchange: Exchange) -> Parent | None:
        if not self._believes(exchange):
            return None
        headers = request.headers.getall(TRACEPARENT, ())
        return parent_of(headers, request.headers.getall(TRACESTATE, ())) if headers else None

    def _believes(self, exchange: Exchange) -> bool:
        return self._trust == "any" or (self._trust == "trusted" and exchange.client.trusted)

    def _record(
        self, request: web.BaseRequest, exchange: Exchange, trace_id: str, parent: Parent | None
    ) -> str:
        """See to the spans of this exchange, and return the traceparent for upstreams."""
        upstream = self._ids.span()
        # The callback must not hold the request: it would make a cycle (the exchange is on it).
        trace = Trace(trace_id, parent, self._ids.span(), upstream, request.remote or "")
        exchange.on_finish(partial(self._finish, trace))
        return header_of(trace_id, upstream, sampled=True)

    def _finish(self, trace: Trace, exchange: Exchange) -> None:
        if self._exporter is not None:
            self._exporter.add(record_of(exchange, trace))

    def _mark(self, trace_id: str, _exchange: Exchange, answer: Answer) -> None:
        assert self._header is not None
        found = answer.header(self._header)
        if found is None:
            answer.add_header(self._header, trace_id)
        elif found != trace_id:
            answer.headers[self._header] = trace_id


def _collector(settings: Settings) -> Collector:
    # OpenTelemetry's libraries, for those alone who export.
    from plugins.tracing.otlp import OtlpCollector

    return OtlpCollector(settings)
