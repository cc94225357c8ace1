"""A credential ready to be put on requests, and to be kept out of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plugins.credentials import values
from plugins.credentials.values import LEAST
from proxy import (
    Answer,
    GatewayError,
    Origin,
    Outgoing,
    PreparedHeaders,
    Secret,
    Template,
    TenantHosts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTHORIZATION = "Authorization"


class Injection:
    """What the options put where."""

    def __init__(
        self,
        *,
        headers: Mapping[str, Template],
        basic: Mapping[str, Template] | None,
        query: Mapping[str, Template],
        cookies: Mapping[str, Template],
        path: Template | None,
        base_url: Template | None,
        hosts: TenantHosts,
    ) -> None:
        self._hosts = hosts
        self._base_url = base_url
        self._headers = headers
        self._basic = basic
        self._query = query
        self._cookies = cookies
        self._path = path

    def __bool__(self) -> bool:
        put = self._headers or self._basic or self._query or self._cookies
        return bool(put or self._path or self._base_url)

    def told(self) -> Iterator[str]:
        """Yield where something is put, by name."""
        yield from (f"header {name}" for name in self._headers)
        if self._basic is not None:
            yield f"header {AUTHORIZATION} (Basic)"
        yield from (f"query {name}" for name in self._query)
        yield from (f"cookie {name}" for name in self._cookies)
        if self._path is not None:
            yield "the path"
        if self._base_url is not None:
            yield "the host"

    def of(self, secret: Secret) -> Prepared:
        """Make a credential of a secret. Raises GatewayError, `credential_missing` or `_invalid`."""
        fields = values.Fields(secret)
        origin = None if self._base_url is None else self._origin(self._base_url, secret)
        prefix = "" if self._path is None else values.prefix(self._path, fields)
        named = values.headers(self._headers, fields)
        query = values.headers(self._query, fields)
        cookies = values.cookies(self._cookies, fields)
        texts = list(fields.used.values())
        if self._basic is not None:
            # The user's name is no secret, and stands in many a header.
            authorization = named[AUTHORIZATION] = values.basic(**self._basic, fields=fields)
            password = values.Fields(secret)
            password.text(self._basic["password"])
            texts += [authorization.partition(" ")[2], *password.used.values()]
        headers = values.prepared(named) if named else None
        return Prepared(headers, query, cookies, prefix, origin, values.telling(iter(texts)))

    def _origin(self, base_url: Template, secret: Secret) -> Origin:
        try:
            return self._hosts.origin(values.Fields(secret).text(base_url))
        except ValueError as error:
            raise GatewayError("credential_invalid", log=f"base_url: {error}") from None


class Prepared:
    """One secret on its way. Nothing that shows it shows a value."""

    __slots__ = ("_cookies", "_headers", "_origin", "_plain", "_prefix", "_query", "telling")

    def __init__(
        self,
        headers: PreparedHeaders | None,
        query: Mapping[str, str],
        cookies: Mapping[str, str],
        prefix: str,
        origin: Origin | None,
        telling: tuple[bytes, ...],
    ) -> None:
        self._headers = headers
        self._query = query
        self._cookies = cookies
        self._prefix = prefix
        self.telling = telling
        self._origin = origin
        self._plain = not (query or cookies or prefix or origin)

    def put_on(self, outgoing: Outgoing) -> None:
        """Put it in the place of what the client sent."""
        if self._headers is not None:
            outgoing.put(self._headers, instead=True)
        if self._plain:
            return
        for name, value in self._query.items():
            outgoing.set_query(name, value)
        for name, value in self._cookies.items():
            outgoing.set_cookie(name, value)
        if self._prefix:
            outgoing.target = self._prefix + outgoing.target
        if self._origin is not None:
            outgoing.send_to(self._origin)

    def kept_from(self, answer: Answer) -> Answer:
        """Return an answer without the headers that repeat it, and without cookies that follow it."""
        said = b"\n".join([value for _, value in answer.wire_fields()])
        if self._cookies:
            self._keep_sessions(answer)
        for text in self.telling:
            if text in said:
                self._take_out(answer)
        if len(answer.reason or "") >= LEAST:
            self._keep_reason(answer)
        return answer

    def _keep_reason(self, answer: Answer) -> None:
        reason = (answer.reason or "").encode("utf-8", "surrogateescape")
        if any(text in reason for text in self.telling):
            answer.set_status(answer.status)

    def _keep_sessions(self, answer: Answer) -> None:
        """Take out cookies of our names: a session that an upstream has renewed is a credential too."""
        if answer.header("Set-Cookie") is None:
            return
        sent = answer.headers.getall("Set-Cookie")
        kept = [each for each in sent if each.partition("=")[0].strip() not in self._cookies]
        if len(kept) < len(sent):
            del answer.headers["Set-Cookie"]
            answer.headers.extend([("Set-Cookie", each) for each in kept])

    def _take_out(self, answer: Answer) -> None:
        kept = [
            (name, value)
            for name, value in answer.headers.items()
            if not any(text in value.encode("utf-8", "surrogateescape") for text in self.telling)
        ]
        answer.headers.clear()
        answer.headers.extend(kept)
