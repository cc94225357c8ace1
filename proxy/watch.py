"""Watching the files' directories: an atomic rename and a ConfigMap's swap both count as a change.

Watching a file itself goes deaf when it is replaced; so directories are watched, a poll stands
beside the notices, and a change counts only when the content has changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

log = logging.getLogger("brain.watch")

POLL = 30.0
DEBOUNCE_MS = 200
_LANGUAGE = (".yaml", ".yml")


class Watch:
    """Calls `changed` when the content of what `watched()` names, or of a neighbour, has changed."""

    def __init__(
        self, watched: Callable[[], Iterable[str]], changed: Callable[[str], Awaitable[object]]
    ) -> None:
        self._watched = watched
        self._changed = changed
        self._print = b""

    async def run(self) -> None:
        """Watch until cancelled."""
        self._print = self._fingerprint()
        while True:
            try:
                await self._one_round()
            except OSError as error:
                log.warning("can't watch: %s", error.strerror)
                await asyncio.sleep(POLL)

    async def _one_round(self) -> None:
        from watchfiles import awatch

        directories = {str(path) for path in self._directories()}
        notices = awatch(
            *directories,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            recursive=False,
            yield_on_timeout=True,
            rust_timeout=int(POLL * 1000),
        )
        async for _ in notices:
            await self.check()
            if {str(path) for path in self._directories()} != directories:
                return

    async def check(self) -> None:
        """Call `changed` when the content differs from what it was at the last call."""
        now = await asyncio.to_thread(self._fingerprint)
        if now != self._print:
            self._print = now
            await self._changed("files changed")

    def _directories(self) -> set[Path]:
        return {parent for name in self._watched() if (parent := Path(name).parent).is_dir()}

    def _fingerprint(self) -> bytes:
        digest = hashlib.sha256()
        for path in sorted(self._files()):
            try:
                content = path.read_bytes()
            except OSError:
                continue
            digest.update(str(path).encode() + b"\0" + hashlib.sha256(content).digest())
        return digest.digest()

    def _files(self) -> set[Path]:
        named = {Path(name) for name in self._watched()}
        beside = {
            path
            for directory in self._directories()
            for path in directory.iterdir()
            if path.suffix in _LANGUAGE
        }
        return named | beside
