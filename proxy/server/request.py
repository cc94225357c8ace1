"""The client's request: aiohttp's, with the ways closed that would take the body from the forwarder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD

if TYPE_CHECKING:
    from proxy.server.protocol import ClientConnection


class Request(web.BaseRequest):
    """What every handler gets. It is never edited: `request[EXCHANGE].outgoing` is.

    aiohttp's own body readers hang under `Expect: 100-continue`, cap at 1 MiB and leave the forwarder
    an empty stream; so they raise here, and name the way that works.

    `passage` is the runtime's own record of this request.
    """

    ATTRS = web.BaseRequest.ATTRS | {"passage"}
    passage: Any = None

    @property
    def connection(self) -> ClientConnection:
        """The client's connection."""
        return cast("ClientConnection", self._protocol)

    @property
    def target(self) -> str:
        """The request target as it was sent."""
        return self._message.path

    @property
    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """The raw header fields as they were sent."""
        return self._message.raw_headers  # type: ignore[no-any-return]

    @property
    def chunked(self) -> bool:
        """Whether the body comes chunked."""
        return bool(self._message.chunked)

    @property
    def has_body(self) -> bool:
        """Whether a body was announced."""
        return self._payload is not EMPTY_PAYLOAD

    @property
    def upgrading(self) -> bool:
        """Whether the client asks for another protocol; which one was checked before."""
        return bool(self._message.upgrade)

    async def read(self) -> NoReturn:
        """Raise: use `outgoing.read(limit)`."""
        raise _closed_way("read()")

    async def text(self) -> NoReturn:
        """Raise: use `outgoing.read(limit)`."""
        raise _closed_way("text()")

    async def json(self, **_: Any) -> NoReturn:
        """Raise: use `outgoing.read(limit)`."""
        raise _closed_way("json()")

    async def post(self) -> NoReturn:
        """Raise: use `outgoing.read(limit)`."""
        raise _closed_way("post()")

    async def multipart(self) -> NoReturn:
        """Raise: use `outgoing.read(limit)`."""
        raise _closed_way("multipart()")


def _closed_way(name: str) -> RuntimeError:
    return RuntimeError(
        f"request.{name} would take the body from the upstream: "
        "use `await request[EXCHANGE].outgoing.read(limit)`"
    )
