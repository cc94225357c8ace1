"""A Config on its way between processes of the gateway: pickles, each small enough for one turn.

Unpickling 10,000 services at once would stop the loop. Who sends and who receives are our own
processes, and nobody else can write to what joins them.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import fields
from typing import Any

from proxy.config.models import Config

PIECE = 200
"""Most services, routes or upstreams in one pickle: a millisecond or two to unpickle."""

Packed = tuple[bytes, ...]

_SLICED = ("entries", "upstreams", "services", "routes")


def pickled(item: Any) -> bytes:
    """Return one item as bytes."""
    return pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)


def unpickled(raw: bytes) -> Any:
    """Return what another process of this gateway has pickled."""
    return pickle.loads(raw)  # noqa: S301  written by our own process


def pieces(config: Config) -> Iterator[bytes]:
    """Yield the pickles of a configuration: what is not sliced, then each slice's name and items."""
    yield pickled(
        {f.name: getattr(config, f.name) for f in fields(Config) if f.name not in _SLICED}
    )
    for name in _SLICED:
        items = getattr(config, name)
        for at in range(0, len(items), PIECE):
            yield pickled((name, items[at : at + PIECE]))


async def pack(config: Config) -> Packed:
    """Return all pieces; other tasks get their turn between two."""
    packed = []
    for piece in pieces(config):
        packed.append(piece)
        await asyncio.sleep(0)
    return tuple(packed)


async def unpack(packed: Iterable[bytes]) -> Config:
    """Return what `pack` was given."""
    return await assemble(_in_turns(packed))


async def _in_turns(packed: Iterable[bytes]) -> AsyncIterator[Any]:
    for piece in packed:
        yield unpickled(piece)
        await asyncio.sleep(0)


async def assemble(items: AsyncIterator[Any]) -> Config:
    """Return the configuration of which `pieces` made these items, now unpickled."""
    head: dict[str, Any] = await anext(items)
    parts: dict[str, list[Any]] = {name: [] for name in _SLICED}
    async for name, own in items:
        parts[name].extend(own)
    head.update((name, tuple(own)) for name, own in parts.items())
    return Config(**head)
