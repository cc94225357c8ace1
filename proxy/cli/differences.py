"""How a comparison is written: text for people, an object for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.config.diagnostics import count
from proxy.revisions.diff import WHO, Difference, Found, Told
from proxy.revisions.sides import Side

MOST = 5
"""Routes that are named with one change; the rest is counted. `--json` has all."""


def as_text(old: Side, new: Side, found: Difference) -> str:
    """Return sections, who may call first, and a closing count."""
    if not found.count:
        return f"{old.label} and {new.label} mean the same"
    lines = [f"{old.label} -> {new.label}"]
    lines += _section(WHO, [line for each in found.access for line in _change("!", each)])
    routes = [f"+ {_told(each)}" for each in found.added]
    routes += [f"- {_told(each)}" for each in found.removed]
    routes += [line for each in found.changed for line in _change("~", each)]
    lines += _section("routes", routes)
    lines += _section("process", [line for each in found.process for line in _change("~", each)])
    return "\n".join([*lines, count(found.count, "difference")])


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)] if lines else []


def _told(each: Told) -> str:
    return f"{each.route}: {each.upstream}, {each.who}"


def _change(mark: str, each: Found) -> Iterator[str]:
    what, old, new = each.change
    told = "changed" if old == new else f"{_or_none(old)} -> {_or_none(new)}"
    if what != WHO:
        told = f"{what}: {told}"
    if len(each.routes) == 1:
        yield f"{mark} {each.routes[0]}: {told}"
        return
    yield f"{mark} {told}"
    yield from (f"    {route}" for route in each.routes[:MOST])
    if len(each.routes) > MOST:
        yield f"    and {count(len(each.routes) - MOST, 'route')} more"


def _or_none(value: str | None) -> str:
    return "(not set)" if value is None else value or '""'


def as_json(old: Side, new: Side, found: Difference) -> dict[str, Any]:
    """Return the same with all routes, and whole hashes."""
    return {
        "same": not found.count,
        "old": {"label": old.label, "revision": old.config.revision},
        "new": {"label": new.label, "revision": new.config.revision},
        "access": [_object(each) for each in found.access],
        "added": [each._asdict() for each in found.added],
        "removed": [each._asdict() for each in found.removed],
        "changed": [_object(each) for each in found.changed],
        "process": [_object(each) for each in found.process],
    }


def _object(each: Found) -> dict[str, Any]:
    return {**each.change._asdict(), "routes": list(each.routes)}
