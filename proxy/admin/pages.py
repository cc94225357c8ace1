"""What the operator reads: /health, /ready, /metrics and /config."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from proxy.admin.effective import Over, effective, overridden
from proxy.config.models import Config
from proxy.config.private import private_values
from proxy.runtime.gateway import Gateway
from proxy.runtime.probing import Prober
from proxy.runtime.snapshot import Snapshot
from proxy.version import VERSION


@dataclass(frozen=True, slots=True)
class Page:
    """A page's answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


Show = Callable[[str], Awaitable[Page]]


class Pages:
    """The pages of one gateway. Each takes the request's Accept header."""

    def __init__(self, gateway: Gateway, prober: Prober, over: Over) -> None:
        """`over` is what the command line put over the files."""
        self._gateway = gateway
        self._prober = prober
        self._over = over
        self.by_name: dict[str, Show] = {
            "health": self.health,
            "ready": self.ready,
            "metrics": self.metrics,
            "config": self.config,
        }

    async def health(self, _accept: str = "") -> Page:
        """Say that the loop turns. Touches nothing."""
        return Page(200, b'{"status": "ok"}')

    async def ready(self, _accept: str = "") -> Page:
        """Say whether traffic should come here, and what is not well.

        503 only before the first snapshot, while draining, or for a check that
        `gateway.ready_requires` names.
        """
        gateway = self._gateway
        if not gateway.loaded or gateway.draining:
            return _page(
                503, {"status": "draining" if gateway.draining else "starting", "checks": {}}
            )
        snapshot = gateway.snapshot
        checks = await self._checks(snapshot)
        required = [name for name in snapshot.config.gateway.ready_requires if _bad(checks, name)]
        degraded = any(value != "ok" for value in checks.values())
        status = "failing" if required else "degraded" if degraded else "ok"
        return _page(503 if required else 200, {"status": status, "checks": checks})

    async def _checks(self, snapshot: Snapshot) -> dict[str, str]:
        checks = self._gateway.process_checks()
        checks.update(await snapshot.instances.not_ready())
        for upstream in snapshot.upstreams.values():
            failure = self._prober.failure(upstream)
            if failure is not None:
                checks[f"upstream {upstream.name}"] = failure
        return checks

    async def metrics(self, accept: str = "") -> Page:
        """Return the registry in the format that the scraper asks for."""
        # Thousands of routes take a while to write out: the loop goes on meanwhile.
        body, content_type = await asyncio.to_thread(
            lambda: self._gateway.shared.metrics.expose(accept)
        )
        return Page(200, body, content_type)

    async def config(self, _accept: str = "") -> Page:
        """Return the configuration that runs, `${NAME}` as written, secrets never there."""
        if not self._gateway.loaded:
            return _page(503, {"status": "starting"})
        # Ten thousand services take a while to write out.
        return await asyncio.to_thread(self._config, self._gateway.snapshot.config)

    def _config(self, config: Config) -> Page:
        return _page(
            200,
            {
                "version": VERSION,
                "revision": config.revision,
                "overridden": overridden(self._over),
                "effective": effective(
                    config, self._over, private_values(config, self._gateway.catalog)
                ),
            },
        )


def _bad(checks: dict[str, str], name: str) -> bool:
    return any(value != "ok" for key, value in checks.items() if key in (name, f"upstream {name}"))


def _page(status: int, data: dict[str, Any]) -> Page:
    return Page(status, json.dumps(data, default=str).encode())
