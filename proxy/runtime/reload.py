"""From changed files to a new snapshot: one reload at a time, the last good one kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from proxy.config.models import Config
from proxy.errors import ConfigError
from proxy.runtime.gateway import Gateway
from proxy.runtime.loading import load_in_child

log = logging.getLogger("brain.reload")

Adjust = Callable[[Config], Config]


class Reloader:
    """Reloads a gateway from its files. `adjust` puts the command line's settings over the file's."""

    def __init__(
        self, gateway: Gateway, files: Sequence[str], environment: Mapping[str, str], adjust: Adjust
    ) -> None:
        self._gateway = gateway
        self._files = tuple(files)
        self._environment = dict(environment)
        self._adjust = adjust
        self._lock = asyncio.Lock()
        self.before: Callable[[Config], None] = _nothing

    async def reload(self, cause: str) -> str | None:
        """Load, build and swap. Return None, or why what ran before runs on."""
        async with self._lock:
            try:
                await self._reload()
            except ConfigError as error:
                text = str(error) + (f"\n{error.hint}" if error.hint else "")
                log.error("reload (%s) refused, the old revision serves on:\n%s", cause, text)
                self._gateway.count_reload(text)
                return text
        self._gateway.count_reload(None)
        log.info("reloaded (%s): revision %s", cause, self._gateway.snapshot.revision[:12])
        return None

    async def _reload(self) -> None:
        config = self._adjust(await load_in_child(self._files, self._environment))
        self.before(config)
        await self._gateway.apply(config)


def _nothing(_config: Config) -> None:
    return None
