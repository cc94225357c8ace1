"""A body that is kept while it is sent, so that it can be sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from proxy.server.upload import ClientUpload


class Replay:
    """The client's upload, of which the first bytes up to `most` are kept.

    Iterating begins with what is kept and goes on with what has not been read yet. `whole` tells
    whether that is all: beyond `most` nothing is kept, and the body is sent once.
    """

    __slots__ = ("_kept", "_most", "length", "upload", "whole")

    def __init__(self, upload: ClientUpload, most: int) -> None:
        self.length = upload.length
        self.whole = upload.length is None or upload.length <= most
        self.upload = upload
        self._most = most
        self._kept = bytearray()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._kept:
            yield bytes(self._kept)
        async for chunk in self.upload:
            self._keep(chunk)
            yield chunk

    def _keep(self, chunk: bytes) -> None:
        if not self.whole:
            return
        self._kept += chunk
        if len(self._kept) > self._most:
            self.whole = False
            self._kept.clear()
