"""Watching the files' directories: an atomic rename and a ConfigMap's swap both count as a change.

Watching a file itself goes deaf when it is replaced; so directories are watched, a poll stands
beside the notices, and a change counts only when the content has changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger("brain.watch")

POLL = 2.0
"""Seconds between two looks where no notice comes: network mounts and some containers send none."""

DEBOUNCE_MS = 200
_LANGUAGE = (".yaml", ".yml")


class Seen(NamedTuple):
    """What one look found: the directories to watch, and a digest of all that is in the files."""

    directories: frozenset[str]
    digest: bytes


class Watch:
    """Calls `changed` when the content of what `watched()` names, or of a neighbour, is another."""

    def __init__(
        self, watched: Callable[[], Iterable[str]], changed: Callable[[str], Awaitable[object]]
    ) -> None:
        self._watched = watched
        self._changed = changed

    async def run(self) -> None:
        """Watch until cancelled."""
        self._seen = await asyncio.to_thread(_look, self._watched())
        # It imports multiprocessing and anyio: not while requests wait for the loop.
        watchfiles = await asyncio.to_thread(import_module, "watchfiles")
        while True:
            try:
                await self._one_round(watchfiles)
            except OSError as error:
                log.warning("can't watch: %s", error.strerror)
                await asyncio.sleep(POLL)
                await self.check()

    async def _one_round(self, watchfiles: Any) -> None:
        """Check at every notice and every `POLL` seconds, until the directories are others."""
        directories = self._seen.directories
        notices = watchfiles.awatch(
            *directories,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            recursive=False,
            yield_on_timeout=True,
            rust_timeout=int(POLL * 1000),
        )
        async for _ in notices:
            await self.check()
            if self._seen.directories != directories:
                return

    async def check(self) -> None:
        """Call `changed` when the content differs from what it was at the last look."""
        before, self._seen = self._seen, await asyncio.to_thread(_look, self._watched())
        if self._seen.digest != before.digest:
            await self._changed("files changed")


def _look(watched: Iterable[str]) -> Seen:
    named = {Path(name) for name in watched}
    directories = {path.parent for path in named if path.parent.is_dir()}
    beside = {
        path
        for directory in directories
        for path in directory.iterdir()
        if path.suffix in _LANGUAGE
    }
    return Seen(frozenset(map(str, directories)), _digest(named | beside))


def _digest(files: Iterable[Path]) -> bytes:
    digest = hashlib.sha256()
    for path in sorted(files):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(str(path).encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.digest()
