"""`tracing`: one trace from the edge to the upstreams, and the gateway's own spans in it."""

from plugins.tracing.plugin import Tracing

__all__ = ["Tracing"]
