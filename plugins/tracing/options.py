"""The options of `tracing`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENDPOINT = "http://127.0.0.1:4318"
"""Where a collector on the same machine listens for OTLP over HTTP."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Carries a trace from the caller to the upstreams by the headers traceparent and "
    "tracestate (W3C Trace Context), and exports the gateway's own spans where that is asked for. "
    "Both headers are removed from what clients send, on every route; what they say is passed on "
    "as `trust` allows.",
    "properties": {
        "trust": {
            "type": "string",
            "enum": ["trusted", "any", "none"],
            "default": "trusted",
            "description": "Whose traceparent is continued: that of gateway.trusted_proxies, that "
            "of any caller, or nobody's. Others get a new trace, as do those without one and with "
            "a malformed one. With any, strangers join their requests to traces of their choice, "
            "and decide what is sampled. Default trusted.",
        },
        "sample": {
            "type": "string",
            "format": "percent",
            "default": "100%",
            "description": "Share of new traces that is recorded, here and by upstreams that follow "
            "the flag in traceparent. A continued trace is recorded as its caller decided. Default "
            "100%. With export, a recorded request costs this process about as much CPU again as "
            "forwarding it, most of it in a thread; one that is not costs nearly nothing.",
        },
        "header": {
            "type": "string",
            "pattern": "^[A-Za-z0-9-]+$",
            "description": "Header of the answer that tells the trace's id in 32 hexadecimal "
            "digits, such as X-Trace-Id. The access log shows it where its response_headers list "
            "it. Default none.",
        },
        "export": {
            "type": "string",
            "enum": ["none", "otlp"],
            "default": "none",
            "description": "Where the gateway's own spans go: one for each recorded request and one "
            "for each attempt at an upstream. otlp sends them to `endpoint` and needs the extra "
            "brain-gateway[tracing]. Upstreams see the last attempt's span as their parent. With "
            "none there are no such spans, so upstreams see the caller's own. Default none.",
        },
        "endpoint": {
            "type": "string",
            "minLength": 1,
            "description": "The collector, for OTLP over HTTP; /v1/traces is put behind its path. "
            "${OTEL_EXPORTER_OTLP_ENDPOINT:-http://127.0.0.1:4318} takes it from the usual "
            "variable, which is not read otherwise. With https, the system's authorities vouch for "
            "it. While it is away, spans are tried again for `timeout`, then lost and counted; "
            f"requests never wait. Default {ENDPOINT}.",
        },
        "headers": {
            "type": "object",
            "default": {},
            "additionalProperties": {
                "type": "string",
                "writeOnly": True,
                "description": "The value, such as Bearer ${COLLECTOR_TOKEN}.",
            },
            "description": "Headers for the collector, such as Authorization. Default none.",
        },
        "timeout": {
            "type": "string",
            "format": "timer",
            "default": "10s",
            "description": "How long a batch of spans is tried before it is lost. Default 10s.",
        },
        "service_name": {
            "type": "string",
            "minLength": 1,
            "default": "brain-gateway",
            "description": "Name of this gateway in traces (service.name). Default brain-gateway.",
        },
        "resource": {
            "type": "object",
            "default": {},
            "additionalProperties": {"type": "string", "description": "The value."},
            "description": "Further attributes of this gateway, such as "
            "deployment.environment.name. Default none.",
        },
    },
}
