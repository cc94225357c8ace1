"""All stand-in services together: started on free loopback ports, named to routes.yaml."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from proxy.demo import agents, crm, issuer, lago, old_gateway, saleor, wagtail
from proxy.demo.issuer import TENANTS

# Known to everyone on purpose: it opens stand-ins on loopback and nothing else, and a fixed key
# keeps the printed lines good in the shell's history from one demo to the next.
DEMO_KEY: Final = "demo-key"

# Whose the calls with that key are: a tenant with an account at the CRM.
DEMO_TENANT: Final = TENANTS[0]

# A portal under development; the demo command may name another.
DEMO_ORIGIN: Final = "http://localhost:3000"

# The variable of routes.yaml that names the identity provider.
ISSUER: Final = "BRAIN_ISSUER"

# By the host names of production, so that one table shows who stands in for whom.
HOSTS: Final[Mapping[str, Callable[[], web.Application]]] = {
    "crm": crm.application,
    "wagtail-cms": wagtail.application,
    "saleor": saleor.application,
    "lago-api": lago.application,
    "ai-agents": agents.application,
    "old-gateway": old_gateway.application,
    "sso.example.com": issuer.application,
}

# Each variable of routes.yaml: the host, and the path below which the service lives.
UPSTREAMS: Final[Mapping[str, tuple[str, str]]] = {
    "DJANGO_CRM_URL": ("crm", "/api"),
    "WAGTAIL_URL": ("wagtail-cms", "/api/v2"),
    "SALEOR_URL": ("saleor", ""),
    "LAGO_URL": ("lago-api", "/api/v1"),
    "AGENTS_URL": ("ai-agents", ""),
    "TASKS_URL": ("ai-agents", "/tasks"),
    "FALLBACK_URL": ("old-gateway", ""),
    ISSUER: ("sso.example.com", issuer.APPLICATION),
}


class StandIns:
    """The services behind the demo, all in this process and this loop.

    `key` is the API key that the environment's digest lets in, `origin` the site that CORS admits.
    """

    def __init__(self, key: str = DEMO_KEY, origin: str = DEMO_ORIGIN) -> None:
        self._key = key
        self._origin = origin
        self._runners: list[web.AppRunner] = []
        self._ports: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<StandIns {self._ports or 'not started'}>"

    async def start(self) -> None:
        """Listen on 127.0.0.1, a free port for each host; never on a public address.

        Raises OSError if no port can be had; `close` then ends those already listening.
        """
        for host, application in HOSTS.items():
            self._ports[host] = await self._listen(application())

    async def _listen(self, app: web.Application) -> int:
        # A client that leaves cancels its handler: no event stream outlives its reader. One second
        # is ample to end what is left, and Ctrl-C should feel immediate.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0
        )
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        return port

    def environment(self) -> dict[str, str]:
        """The variables that point routes.yaml at these services.

        Raises KeyError before `start`: an address that nobody listens on helps no one.
        """
        return {
            **{name: self._address(*place) for name, place in UPSTREAMS.items()},
            "BRAIN_API_KEY_SHA256": hashlib.sha256(self._key.encode()).hexdigest(),
            "BRAIN_API_KEY_TENANT": DEMO_TENANT,
            "BRAIN_CORS_ORIGINS": self._origin,
        }

    def _address(self, host: str, path: str) -> str:
        return f"http://127.0.0.1:{self._ports[host]}{path}"

    async def close(self) -> None:
        """End every service, also after half a start."""
        self._ports.clear()
        while self._runners:
            await self._runners.pop().cleanup()
