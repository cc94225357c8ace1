"""The plugins of one snapshot: made, set up, tried again, closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from traceback import walk_tb

from proxy.config.codes import Code
from proxy.config.models import Entry
from proxy.errors import ConfigError, Unavailable
from proxy.plugin.base import Plugin
from proxy.plugin.catalog import Catalog
from proxy.plugin.options import convert
from proxy.runtime.chain import Held
from proxy.runtime.context import Context
from proxy.runtime.slices import in_slices, let_go
from proxy.runtime.told import Refused, Told
from proxy.tasks import Tasks

log = logging.getLogger("brain.plugin")

RETRY_SETUP_FIRST = 1.0
RETRY_SETUP_MOST = 30.0

RETRY_SECRET_MOST = 1.5
"""The same where a secret store is away, which sees to it itself that a server in trouble is asked
seldom: routes are served again within seconds of its return."""

SETUP_WITHIN = 20.0
"""Seconds that a plugin may take to set up: what takes longer is taken for a dependency that hangs."""

CLOSE_WITHIN = 5.0
"""Seconds that all plugins of a snapshot may take to close: a shutdown must not wait for ever."""

CLOSE_AT_LEAST = 0.1
"""Seconds for each of them, whatever those before have taken."""

READY_WITHIN = 2.0
"""Seconds that a plugin may take to say whether it is ready: /ready is asked often."""


class Instances:
    """One instance per entry, in the order of the file; closed in the reverse order."""

    def __init__(
        self, catalog: Catalog, make_context: Callable[[Entry], Context], *, first: bool
    ) -> None:
        """`first` tells that nothing runs yet: then a setup that hangs must not keep all else away."""
        self._catalog = catalog
        self._make_context = make_context
        self._first = first
        self._contexts: list[Context] = []
        self._retries = Tasks(self._retry_died)
        self._dead_retries: dict[str, str] = {}
        self.held: list[Held] = []

    async def build(self, entries: tuple[Entry, ...], *, set_up: bool = True) -> None:
        """Make every entry, and set it up. Raises ConfigError naming the entry that refused."""
        async for entry in in_slices(entries):
            self.held.append(Held(entry.identity, self._make(entry)))
        if not set_up:
            return
        async for held, entry in in_slices(zip(self.held, entries, strict=True)):
            context = self._make_context(entry)
            self._contexts.append(context)
            await self._set_up(held, context, entry)

    def _make(self, entry: Entry) -> Plugin:
        found = None
        try:
            found = self._catalog.named(entry.plugin, entry.use)
            return found(**convert(found.schema, entry.options))
        except Exception as error:  # a constructor may fail in any way
            raise _refused(entry, found, error) from error

    # -- setup

    async def _set_up(self, held: Held, context: Context, entry: Entry) -> None:
        try:
            await self._try_setup(held, context)
            if isinstance(held.unavailable, _Late) and not self._first:
                raise ConfigError(str(held.unavailable))  # noqa: TRY301  told as any other
        except Exception as error:  # so may a setup
            raise _refused(entry, type(held.plugin), error) from error
        if held.unavailable is not None:
            log.warning(
                "plugin '%s' is not available: %s; trying on", held.identity, held.unavailable
            )
            self._retries.spawn(self._try_again(held, context), name=f"{held.identity}: setup")

    async def _try_setup(self, held: Held, context: Context) -> None:
        """Set up once. What an attempt made before its dependency was missed is taken back."""
        try:
            await _within(SETUP_WITHIN, held.plugin.setup(context), "setup")
        except Unavailable as away:
            await context.undo(away)
            # A new one: what was raised holds the frames of its traceback.
            kind = _Late if isinstance(away, _Late) else Unavailable
            held.unavailable = kind(str(away), code=away.code)
        else:
            held.unavailable = None

    async def _try_again(self, held: Held, context: Context) -> None:
        pause = RETRY_SETUP_FIRST
        while held.unavailable is not None:
            of_secret = held.unavailable.code == "secret_unavailable"
            await asyncio.sleep(min(pause, RETRY_SECRET_MOST) if of_secret else pause)
            pause = min(pause * 2, RETRY_SETUP_MOST)
            await self._try_setup(held, context)
        log.info("plugin '%s' is available", held.identity)

    def _retry_died(self, name: str, error: BaseException) -> None:
        # The plugin stays unavailable, and its routes closed: nothing else would be safe.
        self._dead_retries[name] = f"task died: {type(error).__name__}"

    # -- what is shown

    async def not_ready(self) -> dict[str, str]:
        """Return the reasons of the plugins that are not ready, by identity."""
        reasons = dict(self._dead_retries)
        for held in self.held:
            reason = await _reason(held)
            if reason:
                reasons[held.identity] = reason
        for context in self._contexts:
            reasons.update({name: f"task died: {why}" for name, why in context.deaths.items()})
        return reasons

    # -- end

    async def close(self) -> None:
        """Close everything, also after half a `build`. One that fails does not keep the others."""
        await self._retries.cancel()
        async for context in in_slices(reversed(self._contexts)):
            await context.stop_tasks()
        ends = monotonic() + CLOSE_WITHIN
        async for held in in_slices(reversed(self.held)):
            left = max(ends - monotonic(), CLOSE_AT_LEAST)
            try:
                await _within(left, held.plugin.close(), "close")
            except _Late as late:
                log.error("plugin '%s': %s", held.identity, late)  # noqa: TRY400  not its own words
            except Exception:
                log.exception("plugin '%s' failed to close", held.identity)
        async for context in in_slices(reversed(self._contexts)):
            context.release()
            context.part()
        await let_go(self._contexts)
        # What is frozen is never collected: it has to end by itself, with no cycle in it.
        self._make_context = _closed
        self._retries.forget()


def _closed(_: Entry) -> Context:
    raise RuntimeError("it is closed")


class _Late(Unavailable):
    """A step of a plugin's life did not end in time."""


async def _within(seconds: float, step: Awaitable[None], name: str) -> None:
    """Await a step of a plugin's life. Raises _Late when it takes longer than `seconds`."""
    bound = asyncio.timeout(seconds)
    try:
        async with bound:
            await step
    except TimeoutError as error:
        if not bound.expired():
            raise  # the plugin's own
        raise _Late(f"{name}() takes longer than {seconds:.3g} s") from error


async def _reason(held: Held) -> str | None:
    if held.unavailable is not None:
        return str(held.unavailable)
    try:
        async with asyncio.timeout(READY_WITHIN):
            return await held.plugin.ready()
    except TimeoutError:
        return "ready() takes too long"
    except Exception as error:
        log.exception("plugin '%s' failed to say whether it is ready", held.identity)
        return f"ready() failed: {type(error).__name__}"


def _refused(entry: Entry, plugin: type[Plugin] | None, error: Exception) -> Refused:
    """Return what refuses the load: a plugin's own words, or which bug it has and where."""
    place = entry.place
    message = f"plugin '{entry.identity}': {_said(plugin, error)}"
    hint = error.hint if isinstance(error, ConfigError) else None
    below = f"  --> {place}" + (f"\n   = {hint}" if hint else "")
    found = Told(
        "error", Code.PLUGIN_REFUSES, place.file, place.line, place.column, message, hint, below
    )
    summary = f"plugin '{entry.identity}' can't be set up"
    return Refused(f"{place}: {message}", [found], summary=summary, hint=hint)


def _said(plugin: type[Plugin] | None, error: Exception) -> str:
    if isinstance(error, ConfigError | ValueError) and str(error):
        return str(error)
    where = _place(plugin, error)
    return f"{type(error).__name__}: {error}" + (f" ({where})" if where else "")


def _place(plugin: type[Plugin] | None, error: Exception) -> str | None:
    """Return file and line of the innermost place in the plugin's own source that raised."""
    module = "" if plugin is None else plugin.__module__
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") == module
    ]
    return places[-1] if places else None
