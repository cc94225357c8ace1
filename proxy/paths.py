"""Paths: what is matched, what is refused, what is forwarded. Pure functions on raw text.

A path is matched on its canonical view and forwarded as its raw bytes (semantics.md, rows 1-3). Raw
text here is what the parser gives: UTF-8 with surrogate escapes for bytes that are not.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from proxy.errors import GatewayError

# Anything that could make the canonical view differ from the raw path, or make an upstream read
# another path than the one that was authorised. One scan decides that a path is plain.
_NOT_PLAIN = re.compile(r"[%\\#\x00-\x20\x7f-\U0010ffff]|//|/\.\.?(?:[/;]|$)")
_REFUSED = re.compile(r"[\\#\x00-\x20\x7f]|//")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The two-, three- and four-byte spellings of ASCII that old decoders accept, `%c0%ae` for a dot.
_OVERLONG = re.compile("[\udcc0\udcc1][\udc80-\udcbf]|\udce0[\udc80-\udc9f]|\udcf0[\udc80-\udc8f]")
_ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c)", re.IGNORECASE)
# A percent sign that is text, and would be read as the begin of an encoded separator.
_MISTAKABLE = re.compile(r"%(?=(?:25)*(?:2f|5c))", re.IGNORECASE)
_IN_VIEW = re.compile(r"%(25(?=(?:25)*(?:2f|5c))|2f|5c)", re.IGNORECASE)
_MEANING = {"25": "%", "2f": "/", "5c": "\\"}
_DOTS = frozenset({".", ".."})


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into its path and the rest: "" or the query with its question mark."""
    at = target.find("?")
    return (target, "") if at < 0 else (target[:at], target[at:])


def canonical(path: str) -> str:
    """Return the view of `path` on which routes match: every segment percent-decoded once.

    Two paths have one view exactly when their segments decode to the same bytes. An encoded slash
    or backslash stays encoded, in lower case, so that segments keep their number; a route decides
    on it (`has_encoded_separator`). Raises GatewayError `bad_path` for what an upstream may read as
    another path: dot segments in any spelling, empty segments, raw backslashes, control bytes,
    overlong UTF-8, fragments (RFC 3986, 5.2.4; RFC 9110, 4.2.3).
    """
    if _NOT_PLAIN.search(path) is None and path[:1] == "/":
        return path
    if path[:1] != "/" or _REFUSED.search(path):
        raise GatewayError("bad_path")
    return "/".join(map(_canonical_segment, path.split("/")))


def _canonical_segment(segment: str) -> str:
    pieces = list(map(_decoded, _ENCODED_SEPARATOR.split(segment)))
    # "..;x" is a dot segment to servers that cut path parameters first.
    if any(piece.partition(";")[0] in _DOTS for piece in pieces):
        raise GatewayError("bad_path")
    view = _MISTAKABLE.sub("%25", pieces[0])
    for separator, piece in zip(_ENCODED_SEPARATOR.findall(segment), pieces[1:], strict=True):
        view += separator.lower() + _MISTAKABLE.sub("%25", piece)
    return view


def _decoded(piece: str) -> str:
    raw = piece.encode("utf-8", "surrogateescape")
    decoded = unquote_to_bytes(raw).decode("utf-8", "surrogateescape")
    if _CONTROL.search(decoded) or _OVERLONG.search(decoded):
        raise GatewayError("bad_path")
    return decoded


def value(segment: str) -> str:
    """Return the text that a canonical segment stands for, encoded separators decoded too."""
    if "%" not in segment:
        return segment
    return _IN_VIEW.sub(lambda found: _MEANING[found[1].lower()], segment)


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
    """Put `rest` behind an upstream's path, byte for byte; no path is "/" (RFC 9112, 3.2.1)."""
    return base + rest or "/"
