"""What outlives a snapshot: shared values of plugins, the metrics registry, the client session."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from proxy.tasks import Tasks

if TYPE_CHECKING:
    from proxy.plugin.http import HttpClient
    from proxy.plugin.metrics import MetricRegistry

T = TypeVar("T")

CLOSE_WITHIN = 5.0
"""Seconds for the ends of shared values that take a moment, when the process stops."""

log = logging.getLogger("brain.plugin")


class Shared:
    """One per process. Values are counted by their users; the last one to leave closes them.

    `split` counts requests by service, upstream and class of the status, where a route has several
    upstreams; `mirrored` counts copies by service and result.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Any] = {}
        self._users: dict[tuple[str, str], int] = {}
        self._closing = Tasks()
        self._metrics: MetricRegistry | None = None
        self._http: HttpClient | None = None
        self.deaths = 0
        self.split: Counter[tuple[str, str, str]] = Counter()
        self.mirrored: Counter[tuple[str, str]] = Counter()

    def take(self, key: tuple[str, str], factory: Callable[[], T]) -> T:
        """Return the value of `key`, made by the first who asks."""
        if key not in self._values:
            self._values[key] = factory()
        self._users[key] = self._users.get(key, 0) + 1
        value: T = self._values[key]
        return value

    def give_back(self, key: tuple[str, str]) -> None:
        """One user less."""
        self._users[key] -= 1
        if self._users[key]:
            return
        del self._users[key]
        close = getattr(self._values.pop(key), "close", None)
        if close is not None:
            try:
                ending = close()
                if inspect.iscoroutine(ending):
                    self._closing.spawn(ending, name=f"close shared value {key}")
            except Exception:
                log.exception("shared value %s failed to close", key)

    def count_death(self) -> None:
        """One more background task died."""
        self.deaths += 1

    @property
    def metrics(self) -> MetricRegistry:
        """The registry, made (and prometheus_client imported) when first asked for."""
        if self._metrics is None:
            from proxy.plugin.metrics import MetricRegistry

            self._metrics = MetricRegistry()
        return self._metrics

    @property
    def http(self) -> HttpClient:
        """The client, made when first asked for."""
        if self._http is None:
            from proxy.plugin.http import HttpClient

            self._http = HttpClient()
        return self._http

    async def close(self) -> None:
        """Close the client, and wait for what is closing."""
        await self._closing.join(CLOSE_WITHIN)
        if self._http is not None:
            await self._http.close()
