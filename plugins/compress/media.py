"""Content types: which are worth compressing, and which must not wait for a coder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from proxy import Problems

_LISTED = re.compile(
    r"[a-z0-9][a-z0-9!#$&^_.+-]*/(?:\*|[a-z0-9][a-z0-9!#$&^_.+-]*)|\+[a-z0-9][a-z0-9.-]*"
)

STREAMING = frozenset(
    {
        "application/json-seq",
        "application/jsonl",
        "application/ndjson",
        "application/stream+json",
        "application/x-jsonlines",
        "application/x-ndjson",
        "multipart/x-mixed-replace",
        "text/event-stream",
    }
)
"""Read piece by piece while they are written: each piece must leave as it came."""

_GRPC = "application/grpc"


def media_type(value: str) -> str:
    """Return the type of a Content-Type in lower case, its parameters left out."""
    return value.partition(";")[0].strip().lower()


def is_streaming(media: str) -> bool:
    return media in STREAMING or media.startswith(_GRPC)


class Types:
    """The types that a file lists: `text/html`, `text/*`, `+json`."""

    def __init__(self, listed: Iterable[str]) -> None:
        names = [name.lower() for name in listed]
        self._exact = frozenset(names)
        self._kinds = tuple(name[:-1] for name in names if name.endswith("/*"))
        self._suffixes = tuple(name for name in names if name.startswith("+"))

    def take(self, media: str) -> bool:
        """Tell whether `media`, a type in lower case, is meant and is no stream."""
        listed = (
            media in self._exact
            or media.startswith(self._kinds)
            or ("/" in media and media.endswith(self._suffixes))
        )
        return listed and not is_streaming(media)


def check_types(option: str, listed: Sequence[str], problems: Problems) -> None:
    for index, name in enumerate(listed):
        if not _LISTED.fullmatch(name.lower()):
            problems.add(
                f"{option}.{index}",
                "this is no content type",
                hint="write text/html, text/* or +json, without parameters",
            )
        elif is_streaming(name.lower()):
            problems.add(f"{option}.{index}", f"{name} is a stream and is never compressed")
