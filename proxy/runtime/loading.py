"""Loading in a child process: parsing 10,000 services would stop the loop even from a thread.

The child sends its Config back in pickled pieces, each small enough to be unpickled between two
turns of the loop. It is our own process, started by us; nobody else can write to its pipe.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, BinaryIO

from proxy.config.models import Config
from proxy.config.texts import FileText
from proxy.errors import ConfigError
from proxy.log_lines import BELOW
from proxy.runtime.told import Refused, Told, told
from proxy.tasks import Tasks
from proxy.text import printable

log = logging.getLogger("brain.reload")

PIECE = 200
"""Most services, routes or upstreams in one pickle: a millisecond or two to unpickle."""

TIMEOUT = 120.0
LONGEST = 8 * 1024
"""Bytes that are kept of what the child writes, the last ones."""

_LENGTH = 4
_SLICED = ("entries", "upstreams", "services", "routes")


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
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
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
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


async def _converse(
    child: asyncio.subprocess.Process, asked: Mapping[str, object]
) -> tuple[Config, list[Told]]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(asked).encode())
    child.stdin.close()
    pieces = _pieces(child.stdout)
    head: dict[str, Any] = await anext(pieces)
    found: list[Told] = head.pop("told")
    if "error" in head:
        summary = head["error"].rpartition("\n")[2]
        raise Refused(head["error"], found, summary=summary, files=head["files"])
    parts: dict[str, list[Any]] = {name: [] for name in _SLICED}
    async for name, items in pieces:
        parts[name].extend(items)
    head.update((name, tuple(items)) for name, items in parts.items())
    return Config(**head), found


async def _pieces(stream: asyncio.StreamReader) -> AsyncIterator[Any]:
    while length := int.from_bytes(await stream.readexactly(_LENGTH)):
        raw = await stream.readexactly(length)
        yield pickle.loads(raw)  # noqa: S301  written by our own child
        await asyncio.sleep(0)


# -- the child


def _send(pipe: BinaryIO, item: Any) -> None:
    raw = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(len(raw).to_bytes(_LENGTH) + raw)


def _send_config(pipe: BinaryIO, config: Config, found: list[Told]) -> None:
    whole = {f.name: getattr(config, f.name) for f in fields(Config) if f.name not in _SLICED}
    _send(pipe, {"told": found, **whole})
    for name in _SLICED:
        items = getattr(config, name)
        for at in range(0, len(items), PIECE):
            _send(pipe, (name, items[at : at + PIECE]))


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
            _send(pipe, {"error": loaded.render(), "told": found, "files": loaded.files})
        else:
            _send_config(pipe, loaded.config, found)
        pipe.write(bytes(_LENGTH))


if __name__ == "__main__":
    child()
