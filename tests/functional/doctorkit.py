"""Services with one bad habit each, and what `brain doctor` says of them."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from proxy.config.load import load
from proxy.doctoring.examine import Examination
from proxy.doctoring.patient import Options
from proxy.doctoring.subjects import Subject, subjects
from proxy.doctoring.told import as_json
from proxy.plugin.catalog import Catalog
from proxy.upstream.tls import client_contexts
from tests.functional.kit import RawUpstream, Seen

Answers = Callable[[Seen], bytes]


def answer(status: int = 200, *fields: str, body: str = "ok") -> bytes:
    """Return an answer with a length."""
    lines = [f"HTTP/1.1 {status} Any", *fields, f"Content-Length: {len(body.encode())}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def well(_seen: Seen) -> bytes:
    """Answer 200 to everything."""
    return answer()


class Service(RawUpstream):
    """Answers what `answers` makes of each request, and closes a connection idle for `idle` seconds.

    `together` is how many connections were open at once at most.
    """

    def __init__(self, answers: Answers, idle: float | None = None) -> None:
        super().__init__(self._serve)
        self.answers = answers
        self.idle = idle
        self.seen: list[Seen] = []
        self.together = 0
        self._open = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.together = max(self.together, self._open)
        try:
            while True:
                raw = await self._head(reader)
                first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
                pairs = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
                seen = Seen(first, raw, pairs, b"")
                seen.body = await reader.readexactly(int(seen.header("Content-Length") or 0))
                self.seen.append(seen)
                writer.write(self.answers(seen))
                await writer.drain()
                if _ends(self.answers(seen)):
                    return
        except TimeoutError:
            return
        finally:
            self._open -= 1

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(self.idle):
            return await reader.readuntil(b"\r\n\r\n")


Make = Callable[..., Awaitable[Service]]


def _ends(sent: bytes) -> bool:
    return not sent or sent.startswith(b"HTTP/1.0") or b"Connection: close" in sent


def subjects_of(file: Path, text: str) -> list[Subject]:
    """Return the upstreams of a file that stands in a test."""
    file.write_text(textwrap.dedent(text))
    loaded = load([file], environment={}, catalog=Catalog(), keep_tree=True)
    assert loaded.config is not None, loaded.render()
    assert loaded.root is not None
    return subjects(loaded.config, loaded.root)


class Doctor:
    """Looks at the upstreams of files; it waits a fifth of a second where a test says nothing else."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "routes.yaml"

    async def told(self, text: str, **options: Any) -> dict[str, Any]:
        """Return all that is said of a file's upstreams, places without the folder."""
        chosen = await asyncio.to_thread(subjects_of, self.file, text)
        contexts = await asyncio.to_thread(client_contexts, [one.spec for one in chosen])
        asked = Options(**{"idle_wait": 0.2, **options})
        told = as_json(await Examination(contexts, asked).all(chosen))
        for upstream in told["upstreams"]:
            for mend in (finding["mend"] for finding in upstream["findings"]):
                if mend is not None:
                    mend["place"] = mend["place"].removeprefix(f"{self.file.parent}/")
        return told

    async def of(self, check: str, text: str, **options: Any) -> list[dict[str, Any]]:
        """Return what one check says of the first upstream of a file."""
        told = await self.told(text, **options)
        return [one for one in told["upstreams"][0]["findings"] if one["check"] == check]

    async def one(self, check: str, text: str, **options: Any) -> dict[str, Any]:
        """Return the only thing that one check says of the first upstream of a file."""
        (found,) = await self.of(check, text, **options)
        return found


def alone(url: str) -> str:
    """Return a file with one service."""
    return f"""\
version: 1
services:
  crm: {{upstream: "{url}", public: true}}
"""


def line_of(finding: dict[str, Any]) -> str:
    """Return the line that mends a finding."""
    line: str = finding["mend"]["line"]
    return line
