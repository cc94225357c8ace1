"""HAProxy, one thread. It logs to syslog only, so it has no part in the logged scenario."""

from __future__ import annotations

import shutil

from bench.proxies.base import Proxy, version_of


class HAProxy(Proxy):
    name = "HAProxy"

    @classmethod
    def version(cls) -> str | None:
        return version_of("haproxy", "-v") if shutil.which("haproxy") else None

    def command(self) -> list[str]:
        return ["haproxy", "-db", "-f", self._write("haproxy.cfg", self._config())]

    def _config(self) -> str:
        """``http-reuse always`` shares upstream connections between clients, as the others do."""
        return f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
listen proxy
  bind 127.0.0.1:{self.port} backlog 2048
  server service 127.0.0.1:{self.upstream} maxconn 2000
"""
