"""Loading in a child process: parsing 10,000 services would stop the loop even from a thread.

The child sends its Config back in pieces (`packing`). It is our own process, started by us; nobody
else can write to its pipe.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, BinaryIO

from proxy.config.models import Config
from proxy.config.texts import FileText
from proxy.errors import ConfigError
from proxy.log_lines import BELOW
from proxy.runtime.packing import assemble, pickled, pieces, unpickled
from proxy.runtime.told import Refused, Told, told
from proxy.tasks import Tasks
from proxy.text import printable

log = logging.getLogger("brain.reload")

TIMEOUT = 120.0
LONGEST = 8 * 1024
"""Bytes that are kept of what the child writes, the last ones."""

_LENGTH = 4


async def load_in_child(
    files: Sequence[str],
    environment: Mapping[str, str],
    texts: Sequence[FileText] | None = None,
) -> tuple[Config, list[Told]]:
    """Load `files` in a child process, from `texts` where given. Return their meaning and warnings.

    Raises Refused with the diagnostics, and ConfigError when the child fails or takes longer than
    `TIMEOUT` seconds. What the child writes goes into the log.
    """
    # -P: a folder `plugins` where the gateway was started is nobody's plugins.
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "proxy.runtime.loading",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment_of_child(),
    )
    tasks = Tasks()
    said = tasks.spawn(_log_what_it_writes(child), name="loading: stderr")
    try:
        async with asyncio.timeout(TIMEOUT):
            asked = {"files": list(files), "environment": dict(environment), "texts": texts}
            return await _converse(child, asked)
    except TimeoutError:
        raise ConfigError("loading took too long") from None
    except (asyncio.IncompleteReadError, ConnectionError):
        how = await _death(child)
        await tasks.join(1.0)
        last = f": {said.result()}" if said.done() and said.result() else ""
        raise ConfigError(f"the loading process died: {how}{last}") from None
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        # What it started itself may hold its stderr open.
        await tasks.join(1.0)
        await tasks.cancel()


def environment_of_child() -> dict[str, str]:
    """Return this process's environment, with what a child needs to import the same modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


async def _log_what_it_writes(child: asyncio.subprocess.Process) -> str:
    """Log all of it as one record and return its last line: of a traceback, the error."""
    assert child.stderr is not None
    said = b""
    while piece := await child.stderr.read(LONGEST):
        said = (said + piece)[-LONGEST:]
    text = said.decode(errors="replace").strip()
    if text:
        log.warning("the loading process wrote:", extra={BELOW: text})
    return printable(text.rpartition("\n")[2], 200)


async def _death(child: asyncio.subprocess.Process) -> str:
    """Say how a child ended that broke off. One that lives on has closed its end: it is killed."""
    try:
        async with asyncio.timeout(1.0):
            code = await child.wait()
    except TimeoutError:
        return "it broke off"
    return ending(code)


def ending(code: int) -> str:
    """Return what a child's exit code tells in words."""
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


async def _converse(
    child: asyncio.subprocess.Process, asked: Mapping[str, object]
) -> tuple[Config, list[Told]]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(asked).encode())
    child.stdin.close()
    items = _items(child.stdout)
    head: dict[str, Any] = await anext(items)
    found: list[Told] = head["told"]
    if "error" in head:
        summary = head["error"].rpartition("\n")[2]
        raise Refused(head["error"], found, summary=summary, files=head["files"])
    return await assemble(items), found


async def _items(stream: asyncio.StreamReader) -> AsyncIterator[Any]:
    while length := int.from_bytes(await stream.readexactly(_LENGTH)):
        yield unpickled(await stream.readexactly(length))
        await asyncio.sleep(0)


# -- the child


def _send(pipe: BinaryIO, raw: bytes) -> None:
    pipe.write(len(raw).to_bytes(_LENGTH) + raw)


def _own_pipe() -> BinaryIO:
    """Keep stdout to ourselves: a plugin that prints when it is imported prints to stderr."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe


def child() -> None:
    """Read what to load from stdin, write the pieces and an empty one to what was stdout."""
    from proxy.config.load import load
    from proxy.plugin.catalog import Catalog

    asked = json.load(sys.stdin)
    texts = asked["texts"] and [FileText(*each) for each in asked["texts"]]
    with _own_pipe() as pipe:
        loaded = load(
            asked["files"], environment=asked["environment"], catalog=Catalog(), texts=texts
        )
        found = told(loaded.diagnostics)
        if loaded.config is None:
            head = {"error": loaded.render(), "told": found, "files": loaded.files}
            _send(pipe, pickled(head))
        else:
            _send(pipe, pickled({"told": found}))
            for piece in pieces(loaded.config):
                _send(pipe, piece)
        pipe.write(bytes(_LENGTH))


if __name__ == "__main__":
    child()
