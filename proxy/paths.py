"""Paths: what is matched, what is refused, what is forwarded. Pure functions on raw text.

A path is matched on its canonical view and forwarded as its raw bytes (semantics.md, rows 1-3). Raw
text here is what the parser gives: UTF-8 with surrogate escapes for bytes that are not.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from proxy.errors import GatewayError

# Anything that could make the canonical view differ from the raw path, or make an upstream read
# another path than the one that was authorised. One scan decides that a path is plain.
_NOT_PLAIN = re.compile(r"[%\\#\x00-\x20\x7f-\U0010ffff]|//|/\.\.?(?:[/;]|$)")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c)", re.IGNORECASE)
_SEPARATORS = re.compile(r"[/\\]")
_DOTS = frozenset({".", ".."})


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into its path and the rest: "" or the query with its question mark."""
    at = target.find("?")
    return (target, "") if at < 0 else (target[:at], target[at:])


def canonical(path: str) -> str:
    """Return the view of `path` on which routes match: every segment percent-decoded once.

    An encoded slash or backslash stays encoded, in lower case, so that segments keep their number;
    a route decides on it (`has_encoded_separator`). Raises GatewayError `bad_path` for what an
    upstream may read as another path: dot segments in any spelling, empty segments, raw backslashes,
    control bytes, fragments (RFC 3986, 5.2.4; RFC 9110, 4.2.3).
    """
    if _NOT_PLAIN.search(path) is None and path[:1] == "/":
        return path
    if path[:1] != "/" or "//" in path or "\\" in path or "#" in path or _CONTROL.search(path):
        raise GatewayError("bad_path")
    return "/".join(_canonical_segment(segment) for segment in path.split("/"))


def _canonical_segment(segment: str) -> str:
    decoded = unquote(segment, errors="surrogateescape") if "%" in segment else segment
    if _CONTROL.search(decoded.replace(" ", "")):
        raise GatewayError("bad_path")
    # "..;x" is a dot segment to servers that cut path parameters first.
    if any(part.partition(";")[0] in _DOTS for part in _SEPARATORS.split(decoded)):
        raise GatewayError("bad_path")
    if _SEPARATORS.search(decoded) is None:
        return decoded
    return _ENCODED_SEPARATOR.sub(lambda found: found[0].lower(), segment)


def has_encoded_separator(path: str) -> bool:
    """Tell whether `path` holds an encoded slash or backslash, for which a route must opt in."""
    return "%" in path and _ENCODED_SEPARATOR.search(path) is not None


def strip(path: str, segments: int) -> str:
    """Return what stands behind the first `segments` segments of a raw path, "" or from a slash on.

    By segments, not by length: the prefix may have been sent percent-encoded.
    """
    at = 0
    for _ in range(segments):
        at = path.find("/", at + 1)
        if at < 0:
            return ""
    return path[at:]


def join(base: str, rest: str) -> str:
    """Put `rest` behind an upstream's path, byte for byte; the empty path is "/" (RFC 9112, 3.2.1)."""
    return base + rest or "/"


def segments_of(path: str) -> int:
    """Count the segments of a prefix such as "/api/brain/crm" (3); "" has none."""
    return path.rstrip("/").count("/")
