"""What the operator reads: /health, /ready, /metrics and /config."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from proxy.admin.effective import Over, effective, overridden
from proxy.config.models import Config
from proxy.errors import ConfigError
from proxy.runtime.crew import Crew
from proxy.version import VERSION


@dataclass(frozen=True, slots=True)
class Page:
    """A page's answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


HEALTHY = Page(200, b'{"status": "ok"}')
Show = Callable[[str], Awaitable[Page]]


class Pages:
    """The pages of one gateway. Each takes the request's Accept header."""

    def __init__(self, crew: Crew, over: Over) -> None:
        """`over` is what the command line put over the files."""
        self._crew = crew
        self._over = over
        self.by_name: dict[str, Show] = {
            "health": self.health,
            "ready": self.ready,
            "metrics": self.metrics,
            "config": self.config,
        }

    async def health(self, _accept: str = "") -> Page:
        """Say that the loop turns. Touches nothing."""
        return HEALTHY

    async def ready(self, _accept: str = "") -> Page:
        """Say whether traffic should come here, and what is not well.

        503 only before the first snapshot, while draining, or for a check that
        `gateway.ready_requires` names.
        """
        crew = self._crew
        if not crew.loaded or crew.ledger.draining:
            return json_page(
                503, {"status": "draining" if crew.ledger.draining else "starting", "checks": {}}
            )
        checks = {**crew.ledger.process_checks(), **await crew.checks()}
        required = [name for name in crew.config.gateway.ready_requires if _bad(checks, name)]
        degraded = any(value != "ok" for value in checks.values())
        status = "failing" if required else "degraded" if degraded else "ok"
        return json_page(503 if required else 200, {"status": status, "checks": checks})

    async def metrics(self, accept: str = "") -> Page:
        """Return what is counted in the format that the scraper asks for."""
        return Page(200, *await self._crew.metrics(accept))

    async def config(self, _accept: str = "") -> Page:
        """Return the configuration that runs, `${NAME}` as written, secrets never there."""
        if not self._crew.loaded:
            return json_page(503, {"status": "starting"})
        try:
            config, private = await self._in_force()
        except ConfigError as error:
            return json_page(503, {"status": str(error)})
        # Ten thousand services take a while to write out.
        return await asyncio.to_thread(self._config, config, private)

    async def _in_force(self) -> tuple[Config, frozenset[str]]:
        """Return a configuration and what of that very one is private, though reloads come between."""
        while True:
            config = self._crew.config
            private = await self._crew.private()
            if self._crew.config is config:
                return config, private

    def _config(self, config: Config, private: frozenset[str]) -> Page:
        return json_page(
            200,
            {
                "version": VERSION,
                "revision": config.revision,
                "overridden": overridden(self._over),
                "effective": effective(config, self._over, private),
            },
        )


def _bad(checks: dict[str, str], name: str) -> bool:
    return any(value != "ok" for key, value in checks.items() if key in (name, f"upstream {name}"))


def json_page(status: int, data: dict[str, Any]) -> Page:
    """Return a page of JSON."""
    return Page(status, json.dumps(data, default=str).encode())
