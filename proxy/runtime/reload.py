"""From changed files to a new snapshot: one reload at a time, the last good one kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from proxy.config.models import Config
from proxy.errors import ConfigError
from proxy.runtime.gateway import Gateway
from proxy.runtime.loading import load_in_child
from proxy.runtime.slices import collector_paused

log = logging.getLogger("brain.reload")

Adjust = Callable[[Config], Config]
Prepare = Callable[[Config], Callable[[], None]]


class Reloader:
    """Reloads a gateway from its files. `adjust` puts the command line's settings over the file's.

    `prepare` is called with each new configuration before the swap and may raise ConfigError; what
    it returns is called after the swap and may not fail.
    """

    def __init__(
        self, gateway: Gateway, files: Sequence[str], environment: Mapping[str, str], adjust: Adjust
    ) -> None:
        self._gateway = gateway
        self._files = tuple(files)
        self._environment = dict(environment)
        self._adjust = adjust
        self._lock = asyncio.Lock()
        self.prepare: Prepare = _nothing

    async def reload(self, cause: str) -> str | None:
        """Load, build and swap. Return None, or why what ran before runs on."""
        async with self._lock:
            try:
                await self._reload()
            except ConfigError as error:
                return self._refused(cause, str(error) + (f"\n{error.hint}" if error.hint else ""))
            except Exception as error:  # a plugin may fail in any way; the old revision must stay
                log.exception("reload (%s) failed", cause)
                return self._refused(cause, f"the reload failed: {type(error).__name__}: {error}")
        self._gateway.count_reload(None)
        log.info("reloaded (%s): revision %s", cause, self._gateway.snapshot.revision[:12])
        return None

    async def _reload(self) -> None:
        with collector_paused():
            loaded, warnings = await load_in_child(self._files, self._environment)
            if warnings:
                _log_lines(logging.WARNING, warnings)
            config = self._adjust(loaded)
            commit = self.prepare(config)
            await self._gateway.apply(config)
            commit()

    def _refused(self, cause: str, text: str) -> str:
        log.error("reload (%s) refused, the old revision serves on:", cause)
        _log_lines(logging.ERROR, text)
        self._gateway.count_reload(text)
        return text


def _log_lines(level: int, text: str) -> None:
    """Log diagnostics, each line a record: within one, their line ends would be escaped."""
    for line in text.splitlines():
        if line.strip():
            log.log(level, "%s", line)


def _nothing(_config: Config) -> Callable[[], None]:
    return lambda: None
