"""The two headers that carry a trace: `traceparent` and `tracestate` (w3.org/TR/trace-context).

Ids are lower-case hexadecimal texts here, as on the wire: 32 digits for a trace, 16 for a span.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]*)?")
_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)

_MOST_MEMBERS = 32
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED = 1


class Parent(NamedTuple):
    """The span of the caller: `header` is what it sent, `state` its tracestate or ""."""

    trace_id: str
    span_id: str
    sampled: bool
    header: str
    state: str = ""


def parent_of(headers: Sequence[str], states: Sequence[str]) -> Parent | None:
    """Return what the caller's headers say, None for none, for several and for malformed ones.

    A later version is read as far as this one goes (section 3.2.4). A tracestate that is malformed
    is dropped, and the trace goes on without it (3.3).
    """
    if len(headers) != 1:
        return None
    found = _PARENT.fullmatch(headers[0])
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    sampled = bool(int(flags, 16) & _SAMPLED)
    return Parent(trace_id, span_id, sampled, headers[0], state_of(states) if states else "")


def state_of(headers: Sequence[str]) -> str:
    """Return a tracestate whose members are all well-formed, different, and 32 at most; else ""."""
    joined = ",".join(headers)
    members = [member for part in joined.split(",") if (member := part.strip(" \t"))]
    keys = {found[1] for member in members if (found := _MEMBER.fullmatch(member))}
    return joined if 0 < len(members) == len(keys) <= _MOST_MEMBERS else ""


def header_of(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """Return the traceparent that names a span."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"
