"""The usual aiohttp proxy of :mod:`bench.proxies.usual_app`, the baseline in the same language."""

from __future__ import annotations

import sys
from importlib.metadata import version

from bench.proxies.base import Proxy


class Usual(Proxy):
    name = "usual aiohttp proxy"

    @classmethod
    def version(cls) -> str | None:
        return f"aiohttp {version('aiohttp')}"

    def command(self) -> list[str]:
        app = "bench.proxies.usual_app"
        return [sys.executable, "-m", app, str(self.port), str(self.upstream)]
