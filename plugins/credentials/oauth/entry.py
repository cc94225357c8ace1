"""The option `oauth` of one entry, and its way to the tokens that entries and reloads share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plugins.credentials.oauth.counts import METRIC, TEXT, Counts
from plugins.credentials.oauth.obtained import EXPIRES, TOKEN
from plugins.credentials.oauth.options import BEARER, settings_of
from proxy import (
    ConfigError,
    KeptStore,
    PluginContext,
    Secret,
    SecretAway,
    SecretError,
    SecretPath,
)

if TYPE_CHECKING:
    from plugins.credentials.oauth.tokens import Tokens

_PUT = ("headers", "basic", "query", "cookies", "path")


def written_out(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options with the header that a token is put in where they put nothing."""
    if "oauth" not in options or any(name in options for name in _PUT):
        return options
    return {**options, "headers": {"Authorization": BEARER}}


class OAuth:
    """What one instance of the plugin has to do with tokens."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self._settings = settings_of(given)
        self._tokens: Tokens | None = None

    async def open(
        self, context: PluginContext, store: KeptStore, paths: Sequence[SecretPath]
    ) -> Tokens:
        """Return what stands before the store. Raises ConfigError where tokens can't be kept."""
        from plugins.credentials.oauth.tokens import Tokens  # most entries have none
        from plugins.credentials.tally import Tally  # it knows prometheus_client

        if self._settings.refreshes:
            self._check_store(store, paths)
        if self._settings.client is not None:
            await self._check_client(context, store, self._settings.client)
        tally = context.share("oauth tally", lambda: Tally(METRIC, TEXT, "credential", Counts))
        context.metrics.collector(METRIC, tally)
        identity, settings = context.entry.identity, self._settings
        counts = tally.of(identity)
        # The store stays the same object while its settings do.
        key = f"oauth {identity} {id(store)} {settings}"
        tokens = context.share(key, lambda: Tokens(context, store, settings, counts))
        tokens.users += 1
        self._tokens = tokens
        return tokens

    @staticmethod
    def _check_store(store: KeptStore, paths: Sequence[SecretPath]) -> None:
        for path in paths:
            why = store.writes(path.at(dict.fromkeys(path.names, "x")))
            if why is not None:
                raise ConfigError(
                    f"oauth: a refresh token of {path.text} could be lost: {why}",
                    hint="keep it in KV version 2 of a Vault, which the gateway may write",
                )

    @staticmethod
    async def _check_client(context: PluginContext, store: KeptStore, client: str) -> None:
        try:
            await store.get(client)
        except SecretAway as away:
            context.logger.warning("%s can't be read yet: %s", client, away)
        except SecretError as error:
            raise ConfigError(f"secret {client}: {error}", hint=error.hint) from None

    @staticmethod
    def with_token(secret: Secret) -> Secret:
        """Return a secret with what renewals put there, for who judges it before the first one."""
        written = {TOKEN: "x", EXPIRES: "0"}
        return Secret({**written, **secret.fields})

    def trouble(self) -> str | None:
        """Return what is wrong, for /ready."""
        return None if self._tokens is None else self._tokens.trouble()

    def told(self) -> str:
        """Say where tokens come from."""
        return f"gets access tokens from {self._settings.shown} by {self._settings.grant}"

    async def close(self) -> None:
        """Let go of the tokens."""
        tokens, self._tokens = self._tokens, None
        if tokens is not None:
            await tokens.leave()
