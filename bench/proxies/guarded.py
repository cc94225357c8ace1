"""The gateway and Envoy as guards: who calls is proved by a token, counted, told to the upstream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import routes
from bench.guard import Guard
from bench.proxies.envoy import TYPES, Envoy
from bench.proxies.gateway import Gateway
from bench.routes import AUDIENCE, HEADERS, ISSUER

_FILTERS = f"{TYPES}.filters.http"
_ENDLESS = (
    100_000_000  # a limit that no load of the bench reaches: each request is counted all the same
)


class GuardedEnvoy(Envoy):
    """`jwt_authn` with its cache of verified tokens, then `local_ratelimit` with its headers."""

    def __init__(self, folder: Path, upstream: int, guard: Guard) -> None:
        super().__init__(folder, upstream, logged=True)
        self._guard = guard
        self.headers = {"Authorization": f"Bearer {guard.token}"}

    def _connection_manager(self) -> dict[str, Any]:
        manager = super()._connection_manager()
        manager["http_filters"] = [self._tokens(), _limit(), *manager["http_filters"]]
        return manager

    def _tokens(self) -> dict[str, Any]:
        provider = {
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "local_jwks": {"inline_string": self._guard.keys},
            "jwt_cache_config": {"jwt_cache_size": 1000},
            "claim_to_headers": [
                {"header_name": header, "claim_name": claim} for header, claim in HEADERS.items()
            ],
        }
        everywhere = {"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}
        return {
            "name": "jwt",
            "typed_config": {
                "@type": f"{_FILTERS}.jwt_authn.v3.JwtAuthentication",
                "providers": {"issuer": provider},
                "rules": [everywhere],
            },
        }


def _limit() -> dict[str, Any]:
    all_of_them = {"default_value": {"numerator": 100}}
    return {
        "name": "limit",
        "typed_config": {
            "@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "limit",
            "token_bucket": {
                "max_tokens": _ENDLESS,
                "tokens_per_fill": _ENDLESS,
                "fill_interval": "1s",
            },
            "filter_enabled": all_of_them,
            "filter_enforced": all_of_them,
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        },
    }


class GuardedGateway(Gateway):
    """The chain of a platform: request-id, access-log, metrics, jwt, rate-limit, identity-headers."""

    def __init__(self, folder: Path, upstream: int, guard: Guard) -> None:
        super().__init__(folder, upstream)
        self.headers = {"Authorization": f"Bearer {guard.token}"}
        key = self._write("issuer.pem", guard.public)
        chain = routes.guarding_chain(self.folder / "access.log", Path(key))
        self._services = chain + routes.closed_service(upstream)
