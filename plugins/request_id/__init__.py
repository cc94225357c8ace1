"""`request-id`: one name for a request, from the edge to the upstream's log."""

from plugins.request_id.plugin import RequestId

__all__ = ["RequestId"]
