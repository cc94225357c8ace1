"""From changed files to a new snapshot: one reload at a time, the last good one kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from proxy.config.models import Config
from proxy.config.texts import Kept
from proxy.errors import ConfigError
from proxy.runtime.crew import Crew
from proxy.runtime.loading import load_in_child
from proxy.runtime.slices import collector_paused
from proxy.runtime.told import Refused, log_told

log = logging.getLogger("brain.reload")

Adjust = Callable[[Config], Config]
Look = Callable[[], Awaitable[object]]
Accepted = Callable[[str, Kept | None, bool], Awaitable[None]]


class Outcome(NamedTuple):
    """How a reload ended.

    `error`: None, or why what ran before runs on. `changed`: whether the files mean something else
    than before. `notes`: what whoever asked should know besides.
    """

    error: str | None
    changed: bool = False
    notes: tuple[str, ...] = ()


class Reloader:
    """Reloads a crew from its files. `adjust` puts the command line's settings over the file's.

    `look` is awaited before each load and returns what is in the files, None where nobody knows.
    `accepted` is awaited after each load that was not refused, with its cause, the kept revision that
    it was of, and whether there was a swap. `tried` are the files of the last load if it was refused,
    and those that a kept revision runs instead of: whoever mends one of them wants it loaded; so it
    is with `tried_folders`.
    """

    def __init__(
        self, crew: Crew, files: Sequence[str], environment: Mapping[str, str], adjust: Adjust
    ) -> None:
        self._crew = crew
        self.files = tuple(files)
        self._environment = dict(environment)
        self._adjust = adjust
        self._lock = asyncio.Lock()
        self._seen: object = None
        self._outcome = Outcome(None)
        self.look: Look = _nowhere
        self.accepted: Accepted = _nobody
        self.tried: tuple[str, ...] = ()
        self.tried_folders: tuple[str, ...] = ()

    async def reload(
        self, cause: str, *, if_changed: bool = False, kept: Kept | None = None
    ) -> Outcome:
        """Load, build and swap: the files, or what `kept` has of them.

        `if_changed` keeps what runs where the files mean the same as before. Who waited for another
        reload gets its outcome if the files are still those that it loaded.
        """
        waited = self._lock.locked()
        async with self._lock:
            seen = await self.look()
            if kept is not None or not waited or seen is None or seen != self._seen:
                # How a kept revision fared says nothing of the files.
                self._seen = seen if kept is None else None
                notes = await self._notes()
                outcome = await self._reload(cause, if_changed, kept)
                self._outcome = outcome._replace(notes=notes)
            return self._outcome

    async def _notes(self) -> tuple[str, ...]:
        changed = await self._crew.notes()
        notes = tuple(f"plugin '{name}' changed on disk: restart to run it" for name in changed)
        for note in notes:
            log.warning("%s", note)
        return notes

    async def _reload(self, cause: str, if_changed: bool, kept: Kept | None) -> Outcome:
        before = self._crew.config
        try:
            changed, built = await self._load_and_swap(if_changed, kept)
        except ConfigError as error:
            return self._refused(cause, error, kept)
        except Exception as error:  # a plugin may fail in any way; the old revision must stay
            message = f"the reload failed: {type(error).__name__}: {error}"
            return self._refused(cause, ConfigError(message), kept, bug=error)
        self._remember(before, kept)
        revision = self._crew.config.revision[:12]
        if changed:
            log.info("reloaded (%s): revision %s", cause, revision)
        else:
            how = "built anew, " if built else ""
            log.info("nothing changed (%s): %srevision %s", cause, how, revision)
        if kept is not None and built:
            self._crew.ledger.count_kept()
        elif built or self._crew.ledger.last_error is not None:
            self._crew.ledger.count_reload(None)
        await self.accepted(cause, kept, built)
        return Outcome(None, changed)

    def _remember(self, before: Config, kept: Kept | None) -> None:
        """Beside what runs, what stands in the files is watched as long as a kept revision runs."""
        if kept is None:
            self.tried = self.tried_folders = ()
        else:
            self.tried = tuple(dict.fromkeys((*self.tried, *before.watched)))
            folders = (*self.tried_folders, *before.watched_folders)
            self.tried_folders = tuple(dict.fromkeys(folders))

    async def _load_and_swap(self, if_changed: bool, kept: Kept | None) -> tuple[bool, bool]:
        """Return whether the files mean something else than before, and whether there was a swap."""
        files, texts = (self.files, None) if kept is None else (kept.files, kept.texts)
        with collector_paused():
            loaded, warnings = await load_in_child(files, self._environment, texts)
            running = self._crew.config
            changed = loaded.revision != running.revision
            if not changed and if_changed and _written(loaded) == _written(running):
                return False, False
            if changed:
                log_told(log, warnings)
            await self._crew.prepare(self._adjust(loaded))
            await self._crew.commit()
        return changed, True

    def _refused(
        self,
        cause: str,
        error: ConfigError,
        kept: Kept | None,
        bug: BaseException | None = None,
    ) -> Outcome:
        text = str(error) + (f"\n{error.hint}" if error.hint else "")
        if kept is not None:
            # The files are as good as before, and who asked for it has the answer.
            self._tell(cause, error, bug or bug_behind(error))
            return Outcome(text)
        if text == self._crew.ledger.last_error:
            log.error("reload (%s) refused for the same reasons as the last one", cause)
        else:
            self._tell(cause, error, bug or bug_behind(error))
        if isinstance(error, Refused):
            self.tried = error.files
        self._crew.ledger.count_reload(text)
        return Outcome(text)

    def _tell(self, cause: str, error: ConfigError, bug: BaseException | None) -> None:
        """Log each diagnostic as a record of its own, then that they refused the reload."""
        short = str(error)
        if isinstance(error, Refused):
            log_told(log, error.told)
            short = error.summary
        log.error(
            "reload (%s) refused, the old revision serves on: %s",
            cause,
            short,
            exc_info=bug,
            extra={"hint": error.hint} if error.hint else None,
        )


def bug_behind(error: ConfigError) -> BaseException | None:
    """Return what a plugin did not raise on purpose: whoever mends it needs the traceback."""
    cause = error.__cause__
    return None if isinstance(cause, ConfigError | ValueError) else cause


def _written(config: Config) -> tuple[object, ...]:
    """What is kept of the files besides their meaning: what /config shows, what is watched."""
    return config.effective, config.watched, config.watched_folders


async def _nowhere() -> None:
    return None


async def _nobody(_cause: str, _kept: Kept | None, _swapped: bool) -> None:
    pass
