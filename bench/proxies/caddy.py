"""Caddy on one Go scheduler thread (its garbage collector may use another now and then)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from bench.proxies.base import Proxy, version_of


class Caddy(Proxy):
    name = "Caddy"

    @classmethod
    def version(cls) -> str | None:
        return version_of("caddy", "version") if shutil.which("caddy") else None

    def command(self) -> list[str]:
        config = self._write("Caddyfile", self._config())
        return ["caddy", "run", "--config", config, "--adapter", "caddyfile"]

    def environment(self) -> Mapping[str, str]:
        """Its certificates and autosave go to the bench's folder, not to the user's home."""
        folder = str(self.folder)
        return {"GOMAXPROCS": "1", "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder}

    def _config(self) -> str:
        return f"""
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{self.port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{self.upstream} {{
    transport http {{
      keepalive_idle_conns_per_host 1024
    }}
  }}
}}
"""
