"""Watching the files' directories: an atomic rename and a ConfigMap's swap both count as a change.

Watching a file itself goes deaf when it is replaced; so directories are watched, a poll stands
beside the notices, and a change counts only when the content has changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from pathlib import Path
from time import monotonic, time
from typing import Any, NamedTuple

log = logging.getLogger("brain.watch")

POLL = 2.0
"""Seconds between two looks where no notice comes: network mounts and some containers send none."""

DEBOUNCE_MS = 200
_LANGUAGE = (".yaml", ".yml", ".py")
"""What a new file in a watched folder must end with to matter: it is included, or a plugin."""

_SWAPPED = "..data"
"""The link that Kubernetes puts in another's place when a ConfigMap changes."""


class Watched(NamedTuple):
    """The files that matter, and the folders in which a new file of the language does."""

    files: Iterable[str]
    folders: Iterable[str] = ()


class Mark(NamedTuple):
    """What one look found of a file or a folder, and when that last changed (wall clock)."""

    content: bytes
    changed: float


Marks = dict[Path, Mark]


class Watch:
    """Calls `changed` when the content of what `watched()` names is another.

    `since` is the time (wall clock) at which the load began whose files these are: what has changed
    after it is a change, though nobody looked before.
    """

    def __init__(
        self,
        watched: Callable[[], Watched],
        changed: Callable[[str], Awaitable[object]],
        since: float,
    ) -> None:
        self._watched = watched
        self._changed = changed
        self._since = since
        self._marks: Marks = {}
        self.differing: frozenset[str] = frozenset()
        """The files and folders for which `changed` was called last."""

    async def run(self) -> None:
        """Watch until cancelled."""
        # It imports multiprocessing and anyio: not while requests wait for the loop.
        watchfiles = await asyncio.to_thread(import_module, "watchfiles")
        while True:
            try:
                await self._one_round(watchfiles)
            except OSError as error:
                log.warning("can't watch: %s", error.strerror)
                await asyncio.sleep(POLL)
                await self.check()

    async def look(self) -> object:
        """Take what is in the files now for what is known. Call it before they are loaded."""
        self._since = time()
        self._marks = await asyncio.to_thread(_look, self._watched())
        return self._marks

    async def _one_round(self, watchfiles: Any) -> None:
        """Check at every notice and every `POLL` seconds, until the directories are others."""
        directories = await asyncio.to_thread(_directories, self._watched())
        notices = watchfiles.awatch(
            *directories,
            watch_filter=_Sieve(self._watched()),
            debounce=DEBOUNCE_MS,
            recursive=False,
            yield_on_timeout=True,
            rust_timeout=int(POLL * 1000),
        )
        await self.check()  # what changed before the watch began
        async for _ in notices:
            await self.check()
            if await asyncio.to_thread(_directories, self._watched()) != directories:
                return

    async def check(self) -> None:
        """Call `changed` when the content differs from what it was at the last look."""
        before, self._marks = self._marks, await asyncio.to_thread(_look, self._watched())
        differing = [
            str(path) for path, mark in self._marks.items() if self._differs(before.get(path), mark)
        ]
        if differing:
            self.differing = frozenset(differing)
            await self._changed("files changed")

    def _differs(self, before: Mark | None, now: Mark) -> bool:
        # What was not looked at before came with the last load, which read it after `since`.
        return now.changed > self._since if before is None else now.content != before.content


class _Sieve:
    """Lets pass the notices of what matters; one every `POLL` seconds whatever it is of.

    Notices that are held back keep the timeout from coming, and with it the poll.
    """

    def __init__(self, watched: Watched) -> None:
        self._names = {_SWAPPED, *(Path(name).name for name in watched.files)}
        self._folders = bool(tuple(watched.folders))
        self._passed = monotonic()

    def __call__(self, _change: object, path: str) -> bool:
        name = Path(path).name
        matters = name in self._names or (self._folders and name.endswith(_LANGUAGE))
        if matters or monotonic() - self._passed > POLL:
            self._passed = monotonic()
            return True
        return False


def _directories(watched: Watched) -> frozenset[str]:
    named = [*(Path(name).parent for name in watched.files), *map(Path, watched.folders)]
    return frozenset(str(folder) for folder in named if folder.is_dir())


def _look(watched: Watched) -> Marks:
    marks = {path: _mark_of_file(path) for path in map(Path, watched.files)}
    return marks | {path: _mark_of_folder(path) for path in map(Path, watched.folders)}


def _mark_of_file(path: Path) -> Mark:
    try:
        return Mark(hashlib.sha256(path.read_bytes()).digest(), path.stat().st_ctime)
    except OSError:
        return Mark(b"", 0.0)


def _mark_of_folder(folder: Path) -> Mark:
    """Return which files of the language stand in a folder: their content is not looked at."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.endswith(_LANGUAGE)]
            times = [entry.stat(follow_symlinks=False).st_ctime for entry in found]
    except OSError:
        return Mark(b"", 0.0)
    names = "\0".join(sorted(entry.name for entry in found))
    return Mark(os.fsencode(names), max(times, default=0.0))
