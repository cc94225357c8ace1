"""The client's request: aiohttp's, less the ways that would take the body from the forwarder."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, cast

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD

from proxy.headers import end_to_end, render, without_texts
from proxy.plugin.exchange import EXCHANGE

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from proxy.errors import GatewayError
    from proxy.headers import Field
    from proxy.plugin.exchange import Exchange
    from proxy.server.protocol import ClientConnection
    from proxy.server.tunnel import UpgradeTunnel
    from proxy.tasks import Tasks


_STATUSES = frozenset(HTTPStatus)


class Request(web.BaseRequest):
    """What every handler gets. It is never edited: `request[EXCHANGE].outgoing` is.

    aiohttp's own body readers hang under `Expect: 100-continue`, cap at 1 MiB and leave the
    forwarder an empty stream; so they raise here, and name the way that works.

    `target` and `fields` are the request target and the raw header fields as they were sent.

    What stands beside aiohttp's attributes is the gateway's own record of this request; defaults
    are on the class, since most requests change few. `route` is the runtime's route, None where no
    route took the request; `prefix` the public prefix that was stripped; `forwarded_lines` the
    finished lines that tell the upstream who came; `rewrites` the candidate and the raw path of a
    route that rewrites; `refused` why this one can't be forwarded, which its route's chain hears from
    the forwarder; `informed` whether a 1xx was relayed; `wants_trailers` whether the client reads
    what comes behind a body (RFC 9110, 6.5.1); `uploads` whether a body was announced; `upgrading`
    whether the client asks for another protocol, which was checked before; `token_offered` whether it
    put a token among the subprotocols; `copy` the copy that a
    mirror gets, `bare` the target and the fields for it, where they are not the outgoing request's;
    `keep` whether the connection may serve another request; `leases` what must be given back when all
    is over.
    """

    _payload_writer: Any = None
    _task: Any = None
    _loop: Any = None
    _client_max_size = 0
    _client_max_fields = 0

    exchange: Exchange
    route: Any = None
    prefix: str = ""
    forwarded_lines: bytes = b""
    rewrites: tuple[Any, str] = (None, "")
    sent_host: str = ""
    leases: tuple[Any, ...] = ()
    refused: GatewayError | None = None
    informed: bool = False
    upgrade: bool = False
    token_offered: bool = False
    wants_trailers: bool = False
    tunnel: UpgradeTunnel | None = None
    copy: Any = None
    bare: tuple[str, list[Field]] | None = None

    def __init__(
        self, message: RawRequestMessage, payload: StreamReader, connection: ClientConnection
    ) -> None:
        # What aiohttp's own constructor sets, less what it derives for an absolute target: the
        # gateway reduces that itself. No writer, since the gateway relays answers. No task: a
        # request that knows its task makes a cycle.
        self._message = message
        self._protocol = connection
        self._payload = payload
        self._headers = headers = message.headers
        self._method = method = message.method
        self._version = version = message.version
        self._rel_url = message.url
        # aiohttp's cached properties look here first: these are asked for on every request.
        self._cache = {"method": method, "version": version, "headers": headers}
        self._state = {}
        self.target = message.path
        self.fields = message.raw_headers
        self.keep = not message.should_close
        self.uploads = payload is not EMPTY_PAYLOAD
        self.upgrading = bool(message.upgrade)
        # Read for every request: what only the class has takes several times as long to find.
        self.refused = None
        self.tunnel = None
        self.copy = None
        self.upgrade = self.wants_trailers = False

    # aiohttp's constructor asks the transport for these three; hardly a request ever needs them.

    @property
    def _transport_peername(self) -> str | None:  # type: ignore[override]
        return self.connection.address or None

    @property
    def _transport_sslcontext(self) -> bool:  # type: ignore[override]
        return self.connection.scheme == "https"

    @property
    def _transport_sockname(self) -> Any:  # type: ignore[override]
        return self.connection.sockname

    def attach(self, exchange: Exchange) -> None:
        """Make `exchange` this request's, for the gateway and for plugins."""
        self.exchange = exchange
        self._state[EXCHANGE] = exchange

    @property
    def connection(self) -> ClientConnection:
        """The client's connection."""
        return cast("ClientConnection", self._protocol)

    @property
    def tasks(self) -> Tasks:
        """Where work that belongs to this request runs."""
        return self.connection.tasks

    @property
    def chunked(self) -> bool:
        """Whether the body comes chunked."""
        return bool(self._message.chunked)

    def inform(self, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Relay an upstream's 1xx head; HTTP/1.0 knows none (RFC 9110, 15.2)."""
        transport = self.connection.transport
        if self._version != HttpVersion11 or transport is None:
            return
        self.informed = True
        reason = HTTPStatus(status).phrase.encode() if status in _STATUSES else b""
        kept = without_texts(end_to_end(fields), self.exchange.unsaid)
        transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, render(kept)))

    # -- closed ways

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
