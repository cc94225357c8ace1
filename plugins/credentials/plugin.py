"""The plugin that puts an upstream's credential on a request, and renews it when it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from aiohttp import web

from plugins.credentials.callers import Callers, Key
from plugins.credentials.checks import check
from plugins.credentials.counts import METRIC, TEXT, Counts
from plugins.credentials.injection import Injection
from plugins.credentials.known import Known, Memory
from plugins.credentials.oauth.answer import Rejected
from plugins.credentials.oauth.checks import check_oauth
from plugins.credentials.oauth.entry import OAuth, written_out
from plugins.credentials.options import SCHEMA
from plugins.credentials.refusals import beside, refusal, shown
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
    TenantHosts,
)


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
        self._callers = Callers((secret,) if isinstance(secret, SecretPath) else secret)
        self._injection = Injection(
            headers=headers or {},
            basic=basic,
            query=query or {},
            cookies=cookies or {},
            path=path,
            base_url=base_url,
            hosts=TenantHosts(**hosts),
        )
        self._given = {"headers": headers, "basic": basic, "path": path, "base_url": base_url}
        # By suffixes the operator says whose hosts they are.
        self._own_host = base_url is not None and not hosts["suffixes"]
        self._oauth = None if oauth is None else OAuth(oauth)
        self._on_status = frozenset(on_status)
        self._keep_body = keep_body
        self._required = required
        self._store_name = store
        self._store: KeptStore
        self._memory = Memory()
        # Looked up for every request.
        self._key = self._callers.key if self._callers.names else _same_for_all
        self._remembered = self._memory.fresh
        self._counts = Counts()

    # -- load

    def check(self, problems: Problems) -> None:
        check(self._injection, self._given, problems)
        if self._oauth is not None:
            check_oauth(self._oauth.given, problems)

    async def setup(self, context: PluginContext) -> None:
        self._store = context.secrets.store(self._store_name)
        if self._oauth is not None:
            self._store = await self._oauth.open(context, self._store, self._callers.paths)
        await self._count(context)
        if self._callers.names:
            return
        try:
            await self._ask(())
        except (SecretAway, Rejected) as away:
            # Requests ask again, and get 503 until it is back: nothing here has to be done anew.
            context.logger.warning("%s can't be read yet: %s", self._callers, away)
        except SecretMissing as error:
            if self._required:
                raise ConfigError(f"secret {self._callers}: {error}", hint=error.hint) from None
            context.logger.warning("%s is missing, and not required: %s", self._callers, error)
        except SecretError as error:
            raise ConfigError(f"secret {self._callers}: {error}", hint=error.hint) from None
        except GatewayError as error:
            raise ConfigError(error.log or error.code) from None

    async def _count(self, context: PluginContext) -> None:
        # It knows prometheus_client: 0.05 s that a reload's loop need not wait for.
        module = await asyncio.to_thread(import_module, "plugins.credentials.tally")
        tally = context.share("tally", lambda: module.Tally(METRIC, TEXT, "secret", Counts))
        context.metrics.collector(METRIC, tally)
        self._counts = tally.of(str(self._callers))

    def judge(self, option: str, secret: Secret) -> list[str]:
        if option.startswith("oauth."):
            return []
        try:
            if self._oauth is not None:
                secret = self._oauth.with_token(secret)
            self._injection.of(secret)
        except GatewayError as error:
            return [error.log or error.code]
        except (ConfigError, SecretError) as error:
            return [str(error)]
        return []

    async def ready(self) -> str | None:
        return None if self._oauth is None else self._oauth.trouble()

    async def close(self) -> None:
        if self._oauth is not None:
            await self._oauth.close()

    def explain(self, exchange: Exchange) -> list[str]:
        lines = [f"reads {self._callers}, puts it in: {', '.join(self._injection.told())}"]
        if self._given["base_url"] is not None:
            host = "the host that the secret names, as Host too"
            lines.append(f"sends the request to {host}: the upstream is not asked")
        if self._oauth is not None:
            lines.append(self._oauth.told())
        if self._callers.names and exchange.principal is not None:
            try:
                key = self._callers.key(exchange.principal)
                lines.append(f"this caller's: {' or '.join(self._callers.spelt(key))}")
            except GatewayError as error:
                lines.append(f"this caller would be refused: {error.status} {error.code}")
        return lines

    # -- requests

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        exchange = request[EXCHANGE]
        key = self._key(exchange.principal)
        known = self._remembered(key)
        if known is None:
            known = await self._found(key)
        else:
            self._counts.remembered += 1
        outgoing = exchange.outgoing
        if not outgoing.replayable:
            await self._hold(request, exchange)
        target = outgoing.target
        known.prepared.put_on(outgoing)
        if exchange.credential is None:
            exchange.credential, exchange.unsaid = known.told, known.prepared.telling
        else:
            exchange.credential = beside(exchange.credential, known.told)
            exchange.unsaid += known.prepared.telling
        answer = await handler(request)
        if answer.status not in self._on_status:
            return known.prepared.kept_from(answer)
        fresh = await self._fresh(key, known)
        if fresh is None or not outgoing.replayable:
            return known.prepared.kept_from(answer)
        self._counts.renewed += 1
        outgoing.target = target
        fresh.prepared.put_on(outgoing)
        exchange.unsaid += fresh.prepared.telling
        exchange.credential = f"{exchange.credential}, refused, {fresh.told}"
        return fresh.prepared.kept_from(await handler(request))

    async def _hold(self, request: web.BaseRequest, exchange: Exchange) -> None:
        """Receive a short body whole: one that was streamed can't be sent a second time."""
        length = request.headers.get("Content-Length", "")
        if self._on_status and length.isdecimal() and 0 < int(length) <= self._keep_body:
            await exchange.outgoing.read(self._keep_body)

    async def _found(self, key: Key) -> Known:
        """Return what is sent for a caller. Raises GatewayError."""
        try:
            known = await self._ask(key)
        except SecretError as error:
            self._counts.refused += 1
            raise refusal(error, str(self._callers)) from None
        if known.kept.stale:
            self._counts.stale += 1
        else:
            self._counts.asked += 1
        return known

    async def _ask(self, key: Key) -> Known:
        """Ask for the first path that exists. Raises SecretError, GatewayError."""
        missing: SecretMissing | None = None
        for place, path in zip(self._callers.paths, self._callers.spelt(key), strict=True):
            try:
                return self._made(key, place, path, await self._store.get(path))
            except SecretMissing as error:
                missing = missing or error
            except GatewayError as error:
                raise GatewayError(error.code, log=f"secret {place.text}: {error.log}") from None
        assert missing is not None, "there is at least one path"
        raise missing

    def _made(self, key: Key, place: SecretPath, path: str, kept: KeptSecret) -> Known:
        secret = kept.secret
        assert secret is not None, "a store that has none raises"
        told = shown(place, secret, stale=kept.stale, own_host=self._own_host)
        known = self._memory.of(key, path, secret)
        if known is None:
            known = Known(path, kept, secret, self._injection.of(secret), told)
            self._memory.keep(key, known)
        known.kept, known.told = kept, told
        return known

    async def _fresh(self, key: Key, refused: Known) -> Known | None:
        """Return what is to be sent in place of what was refused, None where it is all there is."""
        try:
            await self._store.again(refused.path, refused.secret)
            fresh = await self._ask(key)
        except (SecretError, GatewayError):
            return None  # the upstream's own answer says more than that it could not be replaced
        return None if fresh.secret is refused.secret else fresh


def _same_for_all(_: Principal | None) -> Key:
    return ()
