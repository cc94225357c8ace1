"""The configuration as /config shows it: defaults filled in, command line laid over, no secrets.

What stands as `${NAME}` in the files stays so: the value belongs to the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from proxy.config.masking import MASK, without_credentials, without_literals
from proxy.config.models import (
    Address,
    Config,
    Gateway,
    Limits,
    Log,
    Retry,
    Timeouts,
    UpstreamSpec,
)
from proxy.config.telling import is_telling_name
from proxy.plugin.references import is_reference

Over = Mapping[str, Mapping[str, object]]
"""What the command line and `BRAIN_*` put over the files, by section and key."""

_OF_UPSTREAMS = ("concurrent", "queue", "keepalive", "max_age", "resolve_ttl", "slow_start")


def effective(config: Config, over: Over, private: frozenset[str]) -> dict[str, Any]:
    """Return what is in force, section by section; `private` are texts that are never shown."""
    written = json.loads(config.effective)
    control = {"control": config.gateway.control}
    merged = {
        **written,
        "gateway": _laid_over(
            _plain(Gateway()) | control, written.get("gateway"), over.get("gateway")
        ),
        "log": _laid_over(_plain(Log()), written.get("log"), over.get("log")),
        "defaults": _laid_over(_defaults(), written.get("defaults")),
    }
    shown: dict[str, Any] = _masked("", merged, private)
    return shown


def overridden(over: Over) -> list[str]:
    """Return the keys that the command line or `BRAIN_*` decides, as `gateway.listen`."""
    return [f"{section}.{key}" for section, keys in over.items() for key in keys]


def _defaults() -> dict[str, Any]:
    known = {field.name: field.default for field in fields(UpstreamSpec)}
    return {
        "timeouts": _plain(Timeouts()),
        "limits": _plain(Limits()),
        "retry": {**_plain(Retry()), "budget": f"{Retry().budget:.0%}"},
        "upstream": {name: _plain(known[name]) for name in _OF_UPSTREAMS},
    }


def _plain(value: Any) -> Any:
    """Return a setting as one would write it; floats are seconds."""
    if isinstance(value, Address):
        return str(value)
    if is_dataclass(value):
        given = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: _plain(one) for name, one in given.items() if one is not None}
    if isinstance(value, Enum):
        return value.value
    return f"{value:g}s" if isinstance(value, float) else value


def _laid_over(below: dict[str, Any], *layers: Any) -> dict[str, Any]:
    merged = dict(below)
    for layer in layers:
        for key, value in (layer or {}).items():
            old = merged.get(key)
            if isinstance(old, dict) and isinstance(value, dict):
                value = _laid_over(old, value)
            merged[key] = value
    return merged


def _masked(name: str, value: Any, private: frozenset[str]) -> Any:
    """Hide what is private or stands under a telling name, and credentials inside of texts."""
    if is_reference(value):
        return dict(value)
    if isinstance(value, dict):
        return {key: _masked(key, below, private) for key, below in value.items()}
    if isinstance(value, list):
        return [_masked(name, below, private) for below in value]
    if not isinstance(value, str):
        return value
    if value in private:
        return MASK
    return without_literals(value) if is_telling_name(name) else without_credentials(value)
