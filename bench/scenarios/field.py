"""Who takes part, and who is absent."""

from __future__ import annotations

from collections.abc import Sequence

from bench.proxies.base import Proxy
from bench.proxies.caddy import Caddy
from bench.proxies.envoy import Envoy
from bench.proxies.gateway import Gateway
from bench.proxies.haproxy import HAProxy
from bench.proxies.nginx import Nginx
from bench.proxies.usual import Usual

# Those with a bound on small requests stand next to the gateway: their A B B A has no gap in it.
EVERYBODY: tuple[type[Proxy], ...] = (HAProxy, Caddy, Nginx, Usual, Envoy, Gateway)


def present(field: Sequence[type[Proxy]]) -> list[type[Proxy]]:
    return [kind for kind in field if kind.version()]


def absent(field: Sequence[type[Proxy]]) -> list[str]:
    """A sentence for the report, or none."""
    names = [kind.name for kind in field if not kind.version()]
    return [f"Not installed here, left out: {', '.join(names)}."] if names else []
