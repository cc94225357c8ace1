"""Loading in a child process: parsing 10,000 services would stop the loop even from a thread.

The child sends its Config back in pickled pieces, each small enough to be unpickled between two
turns of the loop. It is our own process, started by us; nobody else can write to its pipe.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from proxy.config.models import Config
from proxy.errors import ConfigError

PIECE = 200
"""Most services, routes or upstreams in one pickle: a millisecond or two to unpickle."""

TIMEOUT = 120.0
_LENGTH = 4
_SLICED = ("entries", "upstreams", "services", "routes")


async def load_in_child(files: Sequence[str], environment: Mapping[str, str]) -> tuple[Config, str]:
    """Load `files` in a child process. Return what they mean and the rendered warnings, "" for none.

    Raises ConfigError with the rendered diagnostics, or when the child fails or takes longer than
    `TIMEOUT` seconds.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy.runtime.loading",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _converse(child, files, environment)
    except TimeoutError:
        raise ConfigError("loading took too long") from None
    except (asyncio.IncompleteReadError, BrokenPipeError):
        raise ConfigError("the loading process died") from None
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _converse(
    child: asyncio.subprocess.Process, files: Sequence[str], environment: Mapping[str, str]
) -> tuple[Config, str]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps({"files": list(files), "environment": dict(environment)}).encode())
    child.stdin.close()
    pieces = _pieces(child.stdout)
    head: dict[str, Any] = await anext(pieces)
    if "error" in head:
        raise ConfigError(head["error"])
    warnings: str = head.pop("warnings")
    parts: dict[str, list[Any]] = {name: [] for name in _SLICED}
    async for name, items in pieces:
        parts[name].extend(items)
    head.update((name, tuple(items)) for name, items in parts.items())
    return Config(**head), warnings


async def _pieces(stream: asyncio.StreamReader) -> AsyncIterator[Any]:
    while length := int.from_bytes(await stream.readexactly(_LENGTH)):
        raw = await stream.readexactly(length)
        yield pickle.loads(raw)  # noqa: S301  written by our own child
        await asyncio.sleep(0)


# -- the child


def _send(item: Any) -> None:
    raw = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
    sys.stdout.buffer.write(len(raw).to_bytes(_LENGTH) + raw)


def _send_config(config: Config, warnings: str) -> None:
    whole = {f.name: getattr(config, f.name) for f in fields(Config) if f.name not in _SLICED}
    _send({"warnings": warnings, **whole})
    for name in _SLICED:
        items = getattr(config, name)
        for at in range(0, len(items), PIECE):
            _send((name, items[at : at + PIECE]))


def child() -> None:
    """Read what to load from stdin, write the pieces and an empty one to stdout."""
    from proxy.config.load import InvalidConfig, load_or_raise
    from proxy.plugin.catalog import Catalog

    asked = json.load(sys.stdin)
    try:
        loaded = load_or_raise(asked["files"], environment=asked["environment"], catalog=Catalog())
    except InvalidConfig as error:
        _send({"error": str(error)})
    else:
        assert loaded.config is not None
        _send_config(loaded.config, loaded.render() if loaded.diagnostics else "")
    sys.stdout.buffer.write(bytes(_LENGTH))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    child()
