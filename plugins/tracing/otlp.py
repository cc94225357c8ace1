"""Spans as OTLP's messages (opentelemetry.io/docs/specs/otlp), made with its own protobuf classes.

OpenTelemetry's SDK is not asked: its spans are made by its tracer alone, and its exporter takes
headers from the environment and takes a redirect for a success.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as messages

from plugins.tracing.post import Post
from plugins.tracing.sender import Loss
from plugins.tracing.settings import Settings
from plugins.tracing.spans import Span, Value
from proxy import printable

_NAME = "brain-gateway"
_LONGEST = 200

_SAMPLED = 0x01
_FLAGS = _SAMPLED | messages.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = messages.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


class OtlpCollector:
    """A collector that takes OTLP over HTTP, in protobuf."""

    def __init__(self, settings: Settings) -> None:
        release = version(_NAME)
        own = {"service.name": settings.service_name, "service.version": release}
        self._resource = Resource(attributes=_attributes({**own, **settings.resource}))
        self._scope = InstrumentationScope(name=_NAME, version=release)
        self._post = Post(settings.url, settings.headers, settings.timeout)
        self.place = settings.url

    def send(self, spans: Sequence[Span]) -> Loss | None:
        """Send spans. Blocks. Return None, or how many are lost and why."""
        error, body = self._post.send(self._encoded(spans))
        return _rejected(body) if error is None else Loss(len(spans), error)

    def give_up(self) -> None:
        """Give up what is being sent. For any thread."""
        self._post.give_up()

    def close(self) -> None:
        """Close the connection. For the thread that sends."""
        self._post.close()

    def _encoded(self, spans: Iterable[Span]) -> bytes:
        scope = messages.ScopeSpans(scope=self._scope, spans=map(_message, spans))
        whole = messages.ResourceSpans(resource=self._resource, scope_spans=[scope])
        return ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString()


def _message(span: Span) -> messages.Span:
    kind = messages.Span.SPAN_KIND_CLIENT if span.client else messages.Span.SPAN_KIND_SERVER
    failed = messages.Status(code=messages.Status.STATUS_CODE_ERROR) if span.failed else None
    return messages.Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        trace_state=span.state,
        flags=_FLAGS | (_REMOTE if span.remote else 0),
        name=span.name,
        kind=kind,
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.end,
        attributes=_attributes(span.attributes),
        events=[messages.Span.Event(name=name, time_unix_nano=at) for name, at in span.events],
        status=failed,
    )


def _attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    return [_attribute(name, value) for name, value in values.items()]


# Most are the same from span to span: a third of all the work. `typed`, since True equals 1.
@lru_cache(maxsize=1024, typed=True)
def _attribute(name: str, value: Value) -> KeyValue:
    return KeyValue(key=name, value=_value(value))


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)


def _rejected(body: bytes) -> Loss | None:
    """Return what the collector did not keep, though it took the rest (OTLP, partial success)."""
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return None  # it took all, and said something else
    if partial.rejected_spans <= 0:
        return None
    return Loss(partial.rejected_spans, printable(partial.error_message, _LONGEST) or "rejected")
