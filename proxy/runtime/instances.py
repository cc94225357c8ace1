"""The plugins of one snapshot: made, set up, tried again, closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from proxy.config.models import Entry
from proxy.errors import ConfigError, GatewayError, Unavailable
from proxy.plugin.base import Plugin
from proxy.plugin.catalog import Catalog
from proxy.plugin.options import convert
from proxy.runtime.chain import Held
from proxy.runtime.context import Context

log = logging.getLogger("brain.plugin")

RETRY_SETUP_FIRST = 1.0
RETRY_SETUP_MOST = 30.0


class Instances:
    """One instance per entry, in the order of the file; closed in the reverse order."""

    def __init__(self, catalog: Catalog, make_context: Callable[[Entry], Context]) -> None:
        self._catalog = catalog
        self._make_context = make_context
        self._contexts: list[Context] = []
        self.held: list[Held] = []

    async def build(self, entries: tuple[Entry, ...]) -> None:
        """Make and set up every entry. Raises ConfigError naming the entry that refused."""
        for entry in entries:
            self.held.append(Held(entry.identity, self._make(entry)))
        for held, entry in zip(self.held, entries, strict=True):
            context = self._make_context(entry)
            self._contexts.append(context)
            await self._set_up(held, context)

    def _make(self, entry: Entry) -> Plugin:
        found = self._catalog.named(entry.plugin, entry.use)
        try:
            return found(**convert(found.schema, entry.options))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{entry.place}: plugin '{entry.identity}': {error}") from error

    async def _set_up(self, held: Held, context: Context) -> None:
        try:
            await held.plugin.setup(context)
        except Unavailable as away:
            held.unavailable = _unavailable(away)
            log.warning("plugin '%s' is not available: %s; trying on", held.identity, away)
            context.spawn(lambda: self._try_again(held, context), name=f"{held.identity}: setup")
        except ConfigError as error:
            where = f"{context.entry.file}:{context.entry.line}"
            raise ConfigError(
                f"{where}: plugin '{held.identity}': {error}", hint=error.hint
            ) from error

    async def _try_again(self, held: Held, context: Context) -> None:
        pause = RETRY_SETUP_FIRST
        while held.unavailable is not None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_SETUP_MOST)
            try:
                await held.plugin.setup(context)
            except Unavailable as away:
                held.unavailable = _unavailable(away)
            else:
                held.unavailable = None
                log.info("plugin '%s' is available", held.identity)

    async def not_ready(self) -> dict[str, str]:
        """Return the reasons of the plugins that are not ready, by identity."""
        reasons = {}
        for held in self.held:
            reason = held.unavailable.log if held.unavailable else await held.plugin.ready()
            if reason:
                reasons[held.identity] = reason
        for context in self._contexts:
            reasons.update({name: f"task died: {why}" for name, why in context.deaths.items()})
        return reasons

    async def close(self) -> None:
        """Close everything, also after half a `build`. One that fails does not keep the others."""
        for context in reversed(self._contexts):
            await context.stop_tasks()
        for held in reversed(self.held):
            try:
                await held.plugin.close()
            except Exception:
                log.exception("plugin '%s' failed to close", held.identity)
        for context in reversed(self._contexts):
            context.release()


def _unavailable(away: Unavailable) -> GatewayError:
    error = GatewayError("dependency_unavailable", log=str(away))
    error.code = away.code
    return error
