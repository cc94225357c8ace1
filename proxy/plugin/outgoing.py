"""The request as the upstream will see it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Container, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote_plus, unquote_plus

from proxy.errors import GatewayError
from proxy.headers import MEANT, Field, first, is_name, without
from proxy.paths import split_target
from proxy.plugin.decoding import OF_REQUEST, decoded
from proxy.plugin.fields import CleanHeaders, OutgoingHeaders, PreparedHeaders, outgoing_field
from proxy.plugin.hosts import Origin
from proxy.plugin.streams import broken, chained, gather
from proxy.rewriting import cookies_without


class Upload(Protocol):
    """The client's body on its way: chunks as they arrive, counted and timed by the gateway."""

    length: int | None
    """Bytes announced by Content-Length, None for a chunked body."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Outgoing:
    """What is sent to the upstream: edited freely, while what the client sent stays as it was.

    Hop-by-hop headers, forwarding headers and identity headers are gone already. `target` is the raw
    path and query. As long as nobody touches `headers` or `body`, both are relayed as received.
    `origin` is where `send_to` sends it, None for the route's upstream.
    Setting a `method` or `target` that would not be one on the wire raises ValueError.
    """

    __slots__ = (
        "_content",
        "_fields",
        "_handed_out",
        "_headers",
        "_method",
        "_put",
        "_stream",
        "_target",
        "_upload",
        "origin",
    )

    def __init__(
        self, method: str, target: str, fields: list[Field], upload: Upload | None = None
    ) -> None:
        self._method = method
        self._target = target
        self._fields = fields
        self._put: frozenset[bytes] | None = None
        self._headers: CleanHeaders | None = None
        self._upload = upload
        self._content: bytes | None = None
        self._stream: AsyncIterator[bytes] | None = None
        self._handed_out = False
        self.origin: Origin | None = None

    def __repr__(self) -> str:
        return f"<Outgoing {self._method}>"  # a credential may stand in the path

    def _set_method(self, method: str) -> None:
        if not is_name(method):
            raise ValueError("a method is a token")
        self._method = method

    def _set_target(self, target: str) -> None:
        if not is_target(target):
            raise ValueError("a target begins with a slash and holds no space and no control")
        self._target = target

    if TYPE_CHECKING:
        method: str

        @property
        def target(self) -> str: ...
        @target.setter
        def target(self, target: str) -> None: ...
    else:  # read several times a request: attrgetter is faster than a function
        method = property(attrgetter("_method"), _set_method)
        target = property(attrgetter("_target"), _set_target)

    def aim(self, target: str) -> None:
        """Set the target, whose bytes came through the gateway's own checks."""
        self._target = target

    def send_to(self, origin: Origin) -> None:
        """Send this request to a tenant's host in place of the route's upstream, from now on.

        Called again, as behind a secret that has changed, it replaces what was said before. The path
        of the base URL takes the place of the upstream's own, the rest of `target` stays byte for
        byte. `Host`, SNI and the name in the certificate are the origin's. Raises TypeError for what
        `TenantHosts.origin` has not made.
        """
        if not isinstance(origin, Origin):
            raise TypeError("an origin is made by TenantHosts.origin")
        self.origin = origin

    @property
    def path(self) -> str:
        """The raw path, as it will be sent."""
        return split_target(self.target)[0]

    @property
    def query(self) -> str:
        """The raw query without its question mark, "" where there is none."""
        return split_target(self.target)[1][1:]

    @property
    def headers(self) -> CleanHeaders:
        """The end-to-end headers, made on first access.

        Setting a value that is not clean, or a header that the gateway writes itself (Host, framing,
        hop-by-hop), raises there.
        """
        if self._headers is None:
            self._headers = OutgoingHeaders.from_wire(self._fields)
        return self._headers

    def header(self, name: str) -> str | None:
        """Return the first value of `name`, leaving the headers on their raw way."""
        if self._headers is not None:
            return self._headers.get(name)
        found = first(self._fields, name)
        return None if found is None else found.decode("utf-8", "surrogateescape")

    def add_header(self, name: str, value: str) -> None:
        """Append a header, leaving the others on their raw way.

        Raises TypeError or ValueError for a value that is not clean, and ValueError for a header
        that the gateway writes itself: Host, framing, hop-by-hop.
        """
        if self._headers is not None:
            self._headers.add(name, value)
        else:
            self._fields.append(outgoing_field(name, value))

    def put(self, prepared: PreparedHeaders, *, instead: bool = False) -> None:
        """Append headers that were prepared before, leaving the others on their raw way.

        Where a chain runs again for a request, those of the same names that were put before are gone;
        with `instead` the client's are gone too, and those that only `_` for `-` tells from them.
        """
        before, names = self._put, prepared.names
        meant = prepared.meant
        if instead and _holds(self.wire_fields(), meant):
            self.edit_fields(lambda fields: [*_without(fields, meant), *prepared.fields])
        elif self._headers is None and (instead or before is None):
            self._fields.extend(prepared.fields)
        else:
            again = names & (before or frozenset())
            self.edit_fields(lambda fields: [*without(fields, again), *prepared.fields])
        self._put = names if before is None else before | names

    def wire_fields(self) -> Sequence[Field]:
        """Return the raw fields to send, without framing ones: none comes in here, nor by a plugin."""
        return self._fields if self._headers is None else self._headers.to_wire()

    def edit_fields(self, edited: Callable[[Sequence[Field]], list[Field]]) -> None:
        """Replace the raw fields by what is made of them, whose bytes are not checked again."""
        if self._headers is None:
            self._fields = edited(self._fields)
        else:
            self._headers = OutgoingHeaders.from_wire(edited(self._headers.to_wire()))

    @property
    def body(self) -> AsyncIterator[bytes] | None:
        """The body to send, None when there is none. Assign to wrap it: it is then sent chunked."""
        if self._stream is None and self._content is not None:
            self._stream = chained([self._content] if self._content else [])
        if self._stream is None and self._upload is not None:
            self._stream = aiter(self._upload)
        return self._stream

    @body.setter
    def body(self, body: AsyncIterator[bytes] | None) -> None:
        self._content = b"" if body is None else None
        self._upload = None
        self._stream = body

    async def read(self, limit: int, *, decode: bool = False) -> bytes:
        """Return the whole body; it stays sendable as it was and can be sent again.

        `limit` is in bytes. Raises GatewayError `body_too_large` (413) over it; what was too large
        may still be sent. `decode` undoes the Content-Encoding of what is returned, within the same
        limit; then also `body_coding_unknown` (415) and `body_invalid` (400) are raised.
        """
        if self._content is None:
            self._content = await self._collect(limit)
            self._upload = self._stream = None
        if len(self._content) > limit:
            raise GatewayError("body_too_large")
        if decode and self._content:
            return decoded(self._content, self._coding(), limit, OF_REQUEST)
        return self._content

    def _coding(self) -> str:
        """Return all that is said of codings: what stands on a second line counts too."""
        return ",".join(
            value.decode("latin-1")
            for name, value in self.wire_fields()
            if name.lower() == b"content-encoding"
        )

    async def _collect(self, limit: int) -> bytes:
        announced = None if self._upload is None else self._upload.length
        if announced is not None and announced > limit:
            raise GatewayError("body_too_large")  # before the client is told to send it
        body, parts = self.body, list[bytes]()
        if body is None:
            return b""
        try:
            if await gather(body, parts, limit):
                return b"".join(parts)
        except Exception as error:
            self._stream = broken(parts, error)
            raise
        self._stream = chained(parts, body)
        raise GatewayError("body_too_large")

    def replace(self, body: bytes, content_type: str | None = None) -> None:
        """Send `body` instead, with its own Content-Length, and Content-Type where given."""
        self._content = body
        self._upload = self._stream = None
        for name in ("Content-Encoding", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest"):
            self.headers.popall(name, None)
        if content_type is not None:
            self.headers["Content-Type"] = content_type

    def set_query(self, name: str, value: str | None) -> None:
        """Set one query parameter, or remove it; the others keep their bytes and their order."""
        path, query = split_target(self.target)
        kept = [part for part in query[1:].split("&") if part and _parameter_name(part) != name]
        if value is not None:
            kept.append(f"{quote_plus(name)}={quote_plus(value)}")
        self._set_target(path + ("?" + "&".join(kept) if kept else ""))

    def set_cookie(self, name: str, value: str) -> None:
        """Set one cookie; the others keep their order. Raises ValueError for an unclean one."""
        sent = self.headers.popall("Cookie", [])
        kept = [left for each in sent if (left := cookies_without(each, (name,)))]
        self.headers["Cookie"] = "; ".join([*kept, f"{name}={value}"])

    @property
    def replayable(self) -> bool:
        """Whether the body can be sent again: there is none, or it is held whole."""
        return self._content is not None or (self._upload is None and self._stream is None)

    def carry(self, upload: Upload) -> None:
        """Take the client's body, before the chain runs."""
        self._upload = upload

    def hold(self, content: bytes) -> bytes:
        """Keep a body that was received whole: from now on it can be sent again."""
        self._content = content
        self._upload = self._stream = None
        return content

    def payload(self) -> bytes | Upload | AsyncIterator[bytes] | None:
        """Return what the forwarder sends: whole bytes, the untouched upload, a stream, or None.

        Raises RuntimeError where a stream was handed out before: half of it would be sent.
        """
        if self._content is not None:
            return self._content
        streamed = self._upload if self._stream is None else self._stream
        if streamed is not None:
            if self._handed_out:
                raise RuntimeError(
                    "the body was sent and is not replayable: read it by "
                    "`await outgoing.read(limit)` before the handler is called twice"
                )
            self._handed_out = True
        return streamed

    def let_go(self) -> None:
        """Let go of the client's body, which knows the exchange: a cycle would be left."""
        self._upload = self._stream = None


_NOT_IN_TARGET = re.compile("[\x00-\x20\x7f]")


def is_target(text: str) -> bool:
    """Tell whether `text` may stand as a request's target in origin-form (RFC 9112, 3.2.1)."""
    return text.startswith("/") and _NOT_IN_TARGET.search(text) is None


def _holds(fields: Sequence[Field], names: Container[bytes]) -> bool:
    for name, _ in fields:  # noqa: SIM110  half the time of any(), for each request
        if MEANT[name] in names:
            return True
    return False


def _without(fields: Sequence[Field], meant: Container[bytes]) -> list[Field]:
    return [field for field in fields if MEANT[field[0]] not in meant]


def _parameter_name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])
