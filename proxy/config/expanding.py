"""The options of plugins with what a short word in them stands for, such as a profile."""

from __future__ import annotations

from typing import Any

from proxy.config.registry import Registry
from proxy.config.schema import ENTRY_KEYS
from proxy.errors import ConfigError


def written_out(tree: Any, registry: Registry) -> Any:
    """Return a tree of a file as written, in which the entries of each `plugins:` are expanded.

    `${NAME}` stays as it stands: only what a plugin adds is new.
    """
    if isinstance(tree, list):
        return [written_out(below, registry) for below in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: [_entry(item, registry) for item in below]
        if key == "plugins" and isinstance(below, list)
        else written_out(below, registry)
        for key, below in tree.items()
    }


def _entry(item: Any, registry: Registry) -> Any:
    if not isinstance(item, dict):
        return item
    use = item.get("use")
    key = "with" if use else next((name for name in item if name not in ENTRY_KEYS), None)
    options = item.get(key or "")
    if not isinstance(options, dict):
        return item
    try:
        made = registry.get(use or str(key), use=use is not None).made
    except (KeyError, ConfigError):
        return item
    return {**item, key: {**(made.expand(options) if made else options)}}
