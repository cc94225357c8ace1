"""A page of the docs as an operator follows it: its commands, in their order, in one shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_PART = re.compile(
    r"^##+ (?P<title>[^\n]+)$|^```(?P<kind>sh|yaml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_FILE = re.compile(r"# (\S+\.yaml)\n")
_DONE = "-- done --"

SECONDS = 20.0
"""How long the commands of one block may take."""


class Step(NamedTuple):
    """Commands of a section of a page, or a `file` that it shows: a block of YAML that is named."""

    section: str
    text: str
    file: str | None = None


def steps(page: str) -> Iterator[Step]:
    """Yield what an operator does, in the order of the page. Examples without a name are left out."""
    section = ""
    for part in _PART.finditer(page):
        if part["title"]:
            section = part["title"]
        elif part["kind"] == "sh":
            yield Step(section, part["text"])
        elif named := _FILE.match(part["text"]):
            yield Step(section, part["text"], named[1])


class Shell:
    """One bash in a folder: what fails in it ends it, as `set -e -o pipefail` does."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            ["bash", "--norc", "-e", "-o", "pipefail"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    async def run(self, commands: str, within: float = SECONDS) -> str:
        """Return what commands say, to either output. One that fails fails the test."""
        async with asyncio.timeout(within):
            return await asyncio.to_thread(self._run, commands)

    def _run(self, commands: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{commands}\necho; echo '{_DONE}'\n")
        self._process.stdin.flush()
        lines: list[str] = []
        while (line := self._process.stdout.readline()) != f"{_DONE}\n":
            lines.append(line)
            assert line, f"this failed:\n{commands}\nafter:\n{''.join(lines)}"
        return "".join(lines)

    def end(self) -> None:
        """End it, and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
