"""The plugin that lets in whoever signs what it sends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from aiohttp import web
from multidict import CIMultiDictProxy

from plugins.webhook.checks import check_address, check_bounds, check_needs, check_scheme
from plugins.webhook.detached import DetachedVerifier, fetched_keys
from plugins.webhook.hmacs import HmacVerifier
from plugins.webhook.options import SCHEMA
from plugins.webhook.providers import CUSTOM, PROVIDERS, REPEATED, SALEOR
from plugins.webhook.replays import Replays
from plugins.webhook.schemes import Scheme, Signed
from proxy import (
    EXCHANGE,
    Authenticator,
    ConfigError,
    Exchange,
    KeySet,
    PluginContext,
    Principal,
    Problems,
    SecretRef,
    Unauthenticated,
)


class Verifier(Protocol):
    """Knows how one provider signs."""

    def read(self, headers: CIMultiDictProxy[str]) -> Signed:
        """Return what is to be checked, of a request that has the provider's header."""

    async def verify(self, signed: Signed, body: bytes) -> bytes:
        """Return what was signed, or raise Unauthenticated."""


class Webhook(Authenticator):
    """Verifies a provider's signature on the raw bytes of a request, before anything reads them.

    The body is read whole, within a bound, once its header has the form of a signature; it goes on
    as it came. The signature goes on too: a service behind may verify it again.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA

    def __init__(
        self,
        *,
        provider: str,
        tolerance: float,
        max_body: int,
        replay: float | None = None,
        hmac: Mapping[str, Any] | None = None,
        secrets: Sequence[SecretRef] | None = None,
        jwks_uri: str | None = None,
        store: Mapping[str, Any] | None = None,
        name: str | None = None,
        tenant: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._given = {
            "provider": provider,
            CUSTOM: hmac,
            "secrets": secrets,
            "jwks_uri": jwks_uri,
        }
        self._provider = provider
        self._jwks_uri = jwks_uri
        self._secrets = secrets or ()
        self._tolerance = tolerance
        self._most = max_body
        self._replay_given = replay
        self._store = store
        self._subject = name or provider
        self._tenant = tenant
        self._now = now
        self._scheme = _scheme(provider, hmac)
        self._remembered = self._usual_replay() if replay is None else replay
        self._principal = Principal(self._subject, tenant)
        self._verifier: Verifier | None = None
        self._keys: KeySet | None = None
        self._replays: Replays | None = None
        if self._remembered and store is None:
            self.one_process = "the list of received deliveries"

    def _usual_replay(self) -> float:
        if self._scheme.timed:
            # From a clock that is ahead by the tolerance until one that is behind by it.
            return 2 * self._tolerance
        known = PROVIDERS.get(self._provider)
        usual = REPEATED if known is None else known.replay
        return 0.0 if self._provider == SALEOR or usual is None else usual

    def check(self, problems: Problems) -> None:
        check_needs(self._given, problems)
        if self._jwks_uri is not None:
            check_address(self._jwks_uri, problems)
        if self._provider == CUSTOM and self._given[CUSTOM] is not None:
            check_scheme(self._scheme, problems)
        check_bounds(
            self._tolerance, self._replay_given, self._most, problems, timed=self._scheme.timed
        )

    async def setup(self, context: PluginContext) -> None:
        self._principal = Principal(
            self._subject,
            self._tenant,
            claims=MappingProxyType({"provider": self._provider}),
            by=context.entry.identity,
        )
        if self._remembered:
            self._replays = Replays(await context.once(self._store))
        self._verifier = await self._made_verifier(context)

    async def _made_verifier(self, context: PluginContext) -> Verifier:
        if self._jwks_uri is not None:
            self._keys = await fetched_keys(context, self._jwks_uri)
            return DetachedVerifier(self._scheme.header, self._keys)
        bound = [await context.secrets.bind(reference) for reference in self._secrets]
        if not all(secret.current for secret in bound):
            raise ConfigError("a secret of the webhook is empty", hint="anybody could sign with it")
        return HmacVerifier(self._scheme, bound)

    async def ready(self) -> str | None:
        return None if self._keys is None else self._keys.trouble()

    def challenge(self) -> str | None:
        return f'Webhook realm="brain", header="{self._scheme.header}"'

    def explain(self, exchange: Exchange) -> list[str]:
        within = f", made within {self._tolerance:g} s" if self._scheme.timed else ""
        kept = f"for {self._remembered:g} s" if self._remembered else "not at all"
        return [
            f"verifies {self._scheme.header} of {self._provider} on the raw body{within}",
            f"remembers what got through {kept}",
        ]

    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        if self._scheme.header not in request.headers:
            return None
        assert self._verifier is not None
        signed = self._verifier.read(request.headers)
        self._check_time(signed.timestamp)
        exchange = request[EXCHANGE]
        body = await exchange.outgoing.read(self._most)
        content = await self._verifier.verify(signed, body)
        if self._replays is not None:
            await self._replays.admit(exchange, content, self._remembered)
        return self._principal

    def _check_time(self, timestamp: str | None) -> None:
        """Refuse a time that is not about now, before the body is read."""
        if timestamp is None:
            return
        away = int(timestamp) - self._now()
        if abs(away) > self._tolerance:
            raise Unauthenticated("webhook_expired", log=f"the signed time is {away:+.0f} s away")


def _scheme(provider: str, hmac: Mapping[str, Any] | None) -> Scheme:
    if provider == SALEOR:
        return Scheme("Saleor-Signature")
    if provider in PROVIDERS:
        return PROVIDERS[provider].scheme
    return Scheme("X-Signature") if hmac is None else Scheme(**hmac)
