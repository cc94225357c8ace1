"""Every timer, bound and switch of a route: its value as it is written, and who decided it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from proxy.config.models import HashKey, Outliers, RouteSpec, UpstreamSpec
from proxy.config.schema import Schema
from proxy.config.settings import block_schema
from proxy.explaining.origins import Origin, Origins
from proxy.units import duration_text, size_text

_NO_KEYS = frozenset(
    {
        ("upstream", "name"),
        ("upstream", "targets"),
        ("upstream", "path"),
        ("upstream", "outliers", "on"),
    }
)
"""Where an upstream is stands beside what is sent; outliers are on, or there are none."""

_SWITCHES: Mapping[str, str] = {
    "strip": "strip",
    "rewrite": "rewrite",
    "host": "host",
    "forward_token": "forward_token",
    "forward_cookies": "forward_cookies",
    "cookies": "rewrite_cookies",
    "location": "rewrite_location",
    "websocket": "websocket",
    "via": "via",
    "allow_encoded_slash": "allow_encoded_slash",
    "allow_underscore_headers": "allow_underscore_headers",
}
"""Keys of a route and the fields of its spec."""

_KEPT = frozenset({"cookies", "location"})
"""Switches that are written as `rewrite` or `keep`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """`value` is what one would write in the file: text, number, truth, list or None."""

    name: str
    value: Any
    origin: Origin


def settings(spec: RouteSpec, upstream: UpstreamSpec, origins: Origins) -> list[Setting]:
    """Return all that holds for a route, block by block."""
    secure = any(target.scheme == "https" for target in upstream.targets)
    pooled = _block(origins, upstream, "upstream")
    return [
        *_block(origins, spec.timeouts, "timeouts"),
        *_block(origins, spec.limits, "limits"),
        *_block(origins, spec.retry, "retry"),
        *(one for one in pooled if secure or not one.name.startswith("upstream.tls.")),
        *(_switch(origins, spec, key, field) for key, field in _SWITCHES.items()),
    ]


def _block(origins: Origins, values: Any, name: str) -> Iterator[Setting]:
    return _below(origins, values, block_schema("defaults", name), (name,))


def _below(
    origins: Origins, values: Any, schema: Schema, path: tuple[str, ...]
) -> Iterator[Setting]:
    for field in fields(values):
        if (*path, field.name) in _NO_KEYS:
            continue
        value, at = getattr(values, field.name), (*path, field.name)
        known = schema.get("properties", {}).get(field.name, {})
        if is_dataclass(value) and not isinstance(value, HashKey) and not _is_off(value):
            yield from _below(origins, value, known, at)
        else:
            written = _written(value, known.get("format"))
            yield Setting(".".join(at), written, origins.of_block(*at))


def _is_off(value: Any) -> bool:
    return isinstance(value, Outliers) and not value.on


def _written(value: Any, form: str | None = None) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, HashKey):
        return f"{value.kind} {value.name}".strip()
    if isinstance(value, Outliers):
        return False
    if form == "statuses":
        return [f"{low}-{high}" for low, high in value]
    if value is not None and form == "percent":
        return f"{value * 100:g}%"
    if isinstance(value, tuple):
        return list(value)
    if value is not None and form in ("duration", "timer"):
        return duration_text(value)
    return size_text(value) if value is not None and form == "size" else value


def _switch(origins: Origins, spec: RouteSpec, key: str, field: str) -> Setting:
    value = _written(getattr(spec, field))
    if key in _KEPT:
        value = "rewrite" if value else "keep"
    return Setting(key, value, origins.of_route(key))
