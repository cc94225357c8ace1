"""The plugin that puts an upstream's credential on a request, and renews it when it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, ClassVar

from aiohttp import web

from plugins.credentials.checks import check
from plugins.credentials.injection import Injection, Prepared
from plugins.credentials.oauth.answer import Rejected
from plugins.credentials.oauth.checks import check_oauth
from plugins.credentials.oauth.entry import OAuth, written_out
from plugins.credentials.options import SCHEMA
from plugins.credentials.refusals import refusal, shown
from proxy import (
    EXCHANGE,
    Answer,
    ConfigError,
    Exchange,
    GatewayError,
    Handler,
    KeptSecret,
    KeptStore,
    Plugin,
    PluginContext,
    Principal,
    Problems,
    Secret,
    SecretAway,
    SecretError,
    SecretMissing,
    SecretPath,
    Stage,
    Template,
    value_in_path,
)

MOST_KNOWN = 50_000
"""Callers whose credentials are remembered as they are sent, by instance."""

Key = tuple[str, ...] | str
"""The values of a caller that its path is made of; one alone stands for itself."""


class _Known:
    """What is sent for one caller, while the store's own memory still has the secret behind it."""

    __slots__ = ("kept", "path", "prepared", "secret", "told")

    def __init__(
        self, path: str, kept: KeptSecret, secret: Secret, prepared: Prepared, told: str
    ) -> None:
        self.path = path
        self.kept = kept
        self.secret = secret
        self.prepared = prepared
        self.told = told


class Credentials(Plugin):
    """Innermost, so that no other plugin sees an upstream's secret."""

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.CREDENTIALS

    @classmethod
    def expand(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return written_out(options)

    def __init__(
        self,
        *,
        secret: SecretPath | Sequence[SecretPath],
        on_status: Sequence[int],
        keep_body: int,
        required: bool,
        store: str | None = None,
        headers: Mapping[str, Template] | None = None,
        basic: Mapping[str, Template] | None = None,
        query: Mapping[str, Template] | None = None,
        cookies: Mapping[str, Template] | None = None,
        path: Template | None = None,
        base_url: Template | None = None,
        hosts: Mapping[str, Any],
        oauth: Mapping[str, Any] | None = None,
    ) -> None:
        self._paths = (secret,) if isinstance(secret, SecretPath) else tuple(secret)
        self._names = tuple(dict.fromkeys(name for one in self._paths for name in one.names))
        self._readers = [value_in_path(name) for name in self._names]
        self._only = self._readers[0] if len(self._readers) == 1 else None
        self._injection = Injection(
            headers=headers or {},
            basic=basic,
            query=query or {},
            cookies=cookies or {},
            path=path,
            base_url=base_url,
        )
        self._given = {"headers": headers, "basic": basic, "path": path, "base_url": base_url}
        self._hosts = hosts
        self._oauth = None if oauth is None else OAuth(oauth)
        self._on_status = frozenset(on_status)
        self._keep_body = keep_body
        self._required = required
        self._store_name = store
        self._store: KeptStore
        self._known: dict[Key, _Known] = {}

    # -- load

    def check(self, problems: Problems) -> None:
        check(self._injection, self._given, problems)
        if self._oauth is not None:
            check_oauth(self._oauth.given, problems)

    async def setup(self, context: PluginContext) -> None:
        self._store = context.secrets.store(self._store_name)
        self._injection.hosts = context.hosts(**self._hosts)
        if self._oauth is not None:
            self._store = await self._oauth.open(context, self._store, self._paths)
        if self._names:
            return
        try:
            await self._ask(())
        except (SecretAway, Rejected) as away:
            # Requests ask again, and get 503 until it is back: nothing here has to be done anew.
            context.logger.warning("%s can't be read yet: %s", self._shown, away)
        except SecretMissing as error:
            if self._required:
                raise ConfigError(f"secret {self._shown}: {error}", hint=error.hint) from None
            context.logger.warning("%s is missing, and not required: %s", self._shown, error)
        except SecretError as error:
            raise ConfigError(f"secret {self._shown}: {error}", hint=error.hint) from None
        except GatewayError as error:
            raise ConfigError(f"secret {self._shown}: {error.log}") from None

    async def ready(self) -> str | None:
        return None if self._oauth is None else self._oauth.trouble()

    async def close(self) -> None:
        if self._oauth is not None:
            await self._oauth.close()

    @property
    def _shown(self) -> str:
        return " or ".join(path.text for path in self._paths)

    def explain(self, exchange: Exchange) -> list[str]:
        lines = [f"reads {self._shown}, puts it in: {', '.join(self._injection.told())}"]
        if self._oauth is not None:
            lines.append(self._oauth.told())
        if self._names and exchange.principal is not None:
            try:
                key = self._key(exchange.principal)
                lines.append(f"this caller's: {' or '.join(self._spelt(key))}")
            except GatewayError as error:
                lines.append(f"this caller would be refused: {error.status} {error.code}")
        return lines

    # -- requests

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        exchange = request[EXCHANGE]
        key = self._key(exchange.principal) if self._names else ()
        known = self._known.get(key)
        if (
            known is None
            or known.secret is not known.kept.secret
            or monotonic() >= known.kept.until
        ):
            known = await self._found(key)
        outgoing = exchange.outgoing
        if not outgoing.replayable:
            await self._hold(request, exchange)
        target = outgoing.target
        known.prepared.put_on(outgoing)
        told = exchange.credential
        exchange.credential = known.told if told is None else f"{told}, {known.told}"
        answer = await handler(request)
        if answer.status not in self._on_status:
            return known.prepared.kept_from(answer)
        fresh = await self._fresh(key, known)
        if fresh is None or not outgoing.replayable:
            return known.prepared.kept_from(answer)
        outgoing.target = target
        fresh.prepared.put_on(outgoing)
        exchange.credential = f"{exchange.credential}, refused, {fresh.told}"
        return fresh.prepared.kept_from(await handler(request))

    async def _hold(self, request: web.BaseRequest, exchange: Exchange) -> None:
        """Receive a short body whole: one that was streamed can't be sent a second time."""
        length = request.headers.get("Content-Length", "")
        if self._on_status and length.isdecimal() and 0 < int(length) <= self._keep_body:
            await exchange.outgoing.read(self._keep_body)

    def _key(self, principal: Principal | None) -> Key:
        """Return the caller's values. Raises GatewayError for one that is missing, or no text."""
        if principal is None:
            raise GatewayError("claim_missing", log=f"nobody is known, for ${{{self._names[0]}}}")
        try:
            if self._only is not None:
                return self._only(principal)
            return tuple([read(principal) for read in self._readers])
        except LookupError as missing:
            raise GatewayError("claim_missing", log=str(missing)) from None
        except ValueError as error:
            raise GatewayError("claim_invalid", log=str(error)) from None

    def _spelt(self, key: Key) -> list[str]:
        """Return the paths of a caller, before anything is asked. Raises GatewayError."""
        each = (key,) if isinstance(key, str) else key
        values = dict(zip(self._names, each, strict=True))
        try:
            return [path.at(values) for path in self._paths]
        except ValueError as error:
            raise GatewayError("claim_invalid", log=str(error)) from None

    async def _found(self, key: Key) -> _Known:
        """Return what is sent for a caller. Raises GatewayError."""
        try:
            return await self._ask(key)
        except SecretError as error:
            raise refusal(error, self._shown) from None

    async def _ask(self, key: Key) -> _Known:
        """Ask for the first path that exists. Raises SecretError, GatewayError."""
        missing: SecretMissing | None = None
        for place, path in zip(self._paths, self._spelt(key), strict=True):
            try:
                kept = await self._store.get(path)
            except SecretMissing as error:
                missing = missing or error
                continue
            return self._remembered(key, place, path, kept)
        assert missing is not None, "there is at least one path"
        raise missing

    def _remembered(self, key: Key, place: SecretPath, path: str, kept: KeptSecret) -> _Known:
        secret = kept.secret
        assert secret is not None, "a store that has none raises"
        known = self._known.get(key)
        told = shown(place, secret, stale=kept.stale)
        if known is None or known.secret is not secret or known.path != path:
            known = _Known(path, kept, secret, self._injection.of(secret), told)
            self._keep(key, known)
        known.kept, known.told = kept, told
        return known

    def _keep(self, key: Key, known: _Known) -> None:
        self._known.pop(key, None)
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = known

    async def _fresh(self, key: Key, refused: _Known) -> _Known | None:
        """Return what is to be sent in place of what was refused, None where it is all there is."""
        try:
            await self._store.again(refused.path, refused.secret)
            fresh = await self._ask(key)
        except (SecretError, GatewayError):
            return None  # the upstream's own answer says more than that it could not be replaced
        return None if fresh.secret is refused.secret else fresh
