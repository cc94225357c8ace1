"""The file of keys, followed while the gateway runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from logging import Logger

from plugins.api_key.checks import check_keys
from plugins.api_key.holders import Holders
from plugins.api_key.keys import Entry, digests_of
from plugins.api_key.options import FILE_SCHEMA
from proxy import ConfigError, OptionFile, Problems

LOOK_EVERY = 5.0
"""Seconds between two looks."""


class KeysFile:
    """Gives the holders what stands in a file. A bad content leaves them those of before.

    `trouble` says what is wrong with the file, None while it is good.
    """

    def __init__(self, path: str, holders: Holders, now: Callable[[], float], log: Logger) -> None:
        self.trouble: str | None = None
        self._holders = holders
        self._now = now
        self._log = log
        self._file = OptionFile(path, FILE_SCHEMA, self._check)

    def _check(self, entries: Sequence[Entry], problems: Problems) -> None:
        check_keys(entries, self._now(), problems)
        for index, entry in enumerate(entries):
            if self._holders.holds(entry["name"]):
                message = f"the option 'keys' has a key named '{entry['name']}' too"
                problems.add(f"{index}.name", message)
            if any(self._holders.knows(str(each)) for each in digests_of(entry)):
                problems.add(f"{index}.sha256", "the option 'keys' has this digest too")

    async def read(self) -> None:
        """Take what the file holds now. Raises ConfigError with its line."""
        entries = await asyncio.to_thread(self._file.read)
        if entries is not None:
            self._holders.take(entries)
            self._log.info("%s: %d callers", self._file.path, len(entries))
        self.trouble = None

    async def follow(self) -> None:
        """Look again for ever; each mistake is logged once."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.read()
            except ConfigError as error:
                said = f"{error}; the keys of before stay in use"
                if said != self.trouble:
                    self._log.error("%s", said)
                self.trouble = said
