"""The pages that plugins serve under the gateway's own paths."""

from __future__ import annotations

from collections.abc import Callable

from proxy.errors import ConfigError
from proxy.plugin.base import Handler

Key = tuple[str, str]
"""Method and path, as the request has them."""

Fold = Callable[[Handler], Handler]


class OwnPages:
    """Handlers by method and path, put where requests find them as soon as there is a chain.

    A plugin whose dependency was away at the start serves its pages later than others.
    """

    def __init__(self, base_path: str) -> None:
        self._base = base_path
        self._handlers: dict[Key, Handler] = {}
        self._waiting: set[Key] = set()
        self._fold: Fold | None = None
        self.found: dict[Key, Handler] = {}

    def add(self, key: Key, handler: Handler) -> None:
        """Serve `<base_path>/_<path>`. Raises ConfigError when another plugin does."""
        if key in self._handlers and key not in self._waiting:
            raise ConfigError(f"another plugin serves {key[0]} _{key[1]} already")
        self._waiting.discard(key)
        self._put(key, handler)

    def wait(self, key: Key, handler: Handler) -> None:
        """Serve `handler` in its place until the plugin serves it again."""
        self._waiting.add(key)
        self._put(key, handler)

    def _put(self, key: Key, handler: Handler) -> None:
        self._handlers[key] = handler
        if self._fold is not None:
            self.found[self._full(key)] = self._fold(handler)

    def open(self, fold: Fold) -> None:
        """Put every page inside the chain that `fold` puts around it, those of later too."""
        self._fold = fold
        for key, handler in self._handlers.items():
            self.found[self._full(key)] = fold(handler)

    def clear(self) -> None:
        """Serve nothing."""
        self._fold = None
        self._handlers.clear()
        self._waiting.clear()
        self.found.clear()

    def _full(self, key: Key) -> Key:
        return key[0], f"{self._base}/_{key[1]}"
