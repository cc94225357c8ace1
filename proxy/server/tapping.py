"""A body that plugins look at on its raw way to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.plugin.streams import Taps
    from proxy.server.relay import ClientSink


class TappedSink:
    """Shows a body to taps and feeds it to the client's sink, whose pace it keeps."""

    __slots__ = ("_sink", "_taps")

    def __init__(self, sink: ClientSink, taps: Taps) -> None:
        self._sink = sink
        self._taps = taps

    @property
    def paused(self) -> bool:
        """Whether the client is behind."""
        return self._sink.paused

    def feed(self, data: bytes) -> None:
        """Take body bytes."""
        self._taps.feed(data)
        self._sink.feed(data)

    def flush(self) -> None:
        """Write what is held."""
        self._sink.flush()

    def end(self, tail: bytes) -> None:
        """Write what is held and `tail`: the body has gone by."""
        self._sink.end(tail)
        self._taps.end()
