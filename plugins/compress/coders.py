"""The codings: which are installed, and how each codes a whole body or one that passes.

Libraries are imported when a plugin that uses them is set up. What a stream remembers is bounded,
whatever the level: by itself zstd would take up to 9 MiB at level 9 and br 32 MiB, for each of
hundreds of streams. So bounded a stream takes 0.3 MiB (gzip) to 1.7 MiB (br, level 9).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

_BR_WINDOW = 16
_ZSTD_WINDOW = 17
"""The logarithm of how many bytes a stream looks back on; gzip's is 15."""

_ZSTD_TABLE = 16
"""The logarithm of how many entries the tables have in which zstd finds them."""

_GZIP = 16 + zlib.MAX_WBITS

LIBRARIES: Mapping[str, str | None] = {"zstd": "zstandard", "br": "brotli", "gzip": None}
"""The library of each coding, in the order of preference; None where Python has it."""


class Coder(Protocol):
    """Codes one body piece by piece."""

    def code(self, piece: bytes) -> bytes:
        """Take a piece; what comes out may be less, or nothing yet."""

    def flush(self) -> bytes:
        """Return all that was held back, so that the client can read what was taken so far."""

    def finish(self) -> bytes:
        """Return the rest and the end mark."""


@dataclass(frozen=True, slots=True)
class Coding:
    """One coding at its level: `whole` codes a body at once, `begin` makes a coder of one body."""

    name: str
    whole: Callable[[bytes], bytes]
    begin: Callable[[], Coder]


def installed(name: str) -> bool:
    """Tell whether a coding's library is there, without importing it."""
    library = LIBRARIES[name]
    return library is None or find_spec(library) is not None


def coding_of(name: str, level: int) -> Coding:
    """Return a coding, its library imported. Raises ImportError."""
    return _MAKERS[name](level)


class _Gzip:
    def __init__(self, level: int) -> None:
        self._machine = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
        self.code = self._machine.compress

    def flush(self) -> bytes:
        return self._machine.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._machine.flush()


def _gzip(level: int) -> Coding:
    return Coding("gzip", lambda body: zlib.compress(body, level, _GZIP), lambda: _Gzip(level))


class _Brotli:
    def __init__(self, machine: Any) -> None:
        self.code: Callable[[bytes], bytes] = machine.process
        self.flush: Callable[[], bytes] = machine.flush
        self.finish: Callable[[], bytes] = machine.finish


def _br(level: int) -> Coding:
    brotli = import_module("brotli")
    return Coding(
        "br",
        lambda body: bytes(brotli.compress(body, quality=level, lgwin=_BR_WINDOW)),
        lambda: _Brotli(brotli.Compressor(quality=level, lgwin=_BR_WINDOW)),
    )


class _Zstd:
    def __init__(self, machine: Any, block: int) -> None:
        self._machine = machine
        self._block = block
        self.code: Callable[[bytes], bytes] = machine.compress
        self.finish: Callable[[], bytes] = machine.flush

    def flush(self) -> bytes:
        return bytes(self._machine.flush(self._block))


def _zstd(level: int) -> Coding:
    zstandard = import_module("zstandard")
    bounded = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=_ZSTD_WINDOW, hash_log=_ZSTD_TABLE, chain_log=_ZSTD_TABLE
    )
    whole = zstandard.ZstdCompressor(level=level)
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def begin() -> Coder:
        # One maker a stream: two streams of one maker would share its state.
        maker = zstandard.ZstdCompressor(compression_params=bounded)
        return _Zstd(maker.compressobj(), block)

    return Coding("zstd", lambda body: bytes(whole.compress(body)), begin)


_MAKERS: Mapping[str, Callable[[int], Coding]] = {"gzip": _gzip, "br": _br, "zstd": _zstd}
