"""A collector of traces that reads what is really sent, and a gateway that sends to it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway


class Collector:
    """What OTLP over HTTP is sent to: it reads the protobuf and keeps all spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.requests: list[web.Request] = []
        self.resources: list[dict[str, Any]] = []
        self.status = 200
        self.rejects = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def _take(self, request: web.Request) -> web.Response:
        taken = ExportTraceServiceRequest.FromString(await request.read())
        self.requests.append(request)
        if self.status == 200:
            for resource in taken.resource_spans:
                self.resources.append(values(resource.resource.attributes))
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
        answer = ExportTraceServiceResponse()
        if self.rejects:
            answer.partial_success.rejected_spans = self.rejects
            answer.partial_success.error_message = "too old"
        return web.Response(
            status=self.status,
            body=answer.SerializeToString(),
            content_type="application/x-protobuf",
        )

    async def wait(self, count: int) -> list[Span]:
        """Wait for so many spans; there may not be more."""
        async with asyncio.timeout(10):
            while len(self.spans) < count:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(self.spans) == count
        return self.spans

    async def trace(self, traceparent: str) -> list[Span]:
        """Wait for the spans of a trace: they come together."""
        trace_id = bytes.fromhex(traceparent.split("-")[1])
        async with asyncio.timeout(10):
            while not (found := [span for span in self.spans if span.trace_id == trace_id]):
                await asyncio.sleep(0.01)
        return found

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


def values(attributes: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes
    }


def exporting(collector: Collector, more: str = "") -> str:
    """Return the options that export to `collector`."""
    return f'export: otlp, endpoint: "{collector.url}"{more}'


async def traced(
    gateway: MakeGateway, url: str, options: str = "", top: str = "", **environment: str
) -> Gateway:
    """Run a gateway with one service behind tracing; `url` may be an upstream's whole mapping."""
    return await gateway(
        f"""
        version: 1
        gateway: {{{top}}}
        plugins:
          - request-id
          - tracing: {{{options}}}
        services:
          echo:
            upstream: {url if url.startswith("{") else f'"{url}"'}
            public: true
            timeouts: {{response: 300ms}}
        """,
        **environment,
    )
