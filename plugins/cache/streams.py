"""Content types that are read piece by piece while they are written, and may never end."""

from __future__ import annotations

import re

STREAMING = (
    b"application/grpc",
    b"application/json-seq",
    b"application/jsonl",
    b"application/ndjson",
    b"application/stream+json",
    b"application/x-jsonlines",
    b"application/x-ndjson",
    b"multipart/x-mixed-replace",
    b"text/event-stream",
)
"""Beginnings of types: there is application/grpc+proto too."""

_STREAMING = re.compile(b"|".join(map(re.escape, STREAMING)), re.IGNORECASE)


def speaks_of_stream(value: bytes) -> bool:
    """Tell whether a Content-Type or an Accept names such a type."""
    return _STREAMING.search(value) is not None
