"""A real gateway for a test: the production runner, on loopback and free ports, in its own thread."""

from __future__ import annotations

import http.client
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from proxy.config.load import load_or_raise
from proxy.errors import ConfigError
from proxy.hosting import Host
from proxy.plugin.catalog import Catalog
from proxy.testing.thread import LoopThread

TIMEOUT = 10.0
"""Seconds that a test waits for an answer."""


_SETTINGS = """version: 1
gateway:
  listen: 127.0.0.1:0
  admin: 127.0.0.1:0
  control: control.sock
  shutdown: {grace: 0s, drain: 2s}
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a client got it. Repeated headers are repeated in `fields`."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Return the first value of `name`, in any case, or None."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class Brain:
    """A gateway that runs `text`, a routes.yaml without its `gateway:` section.

    The file is `folder / "routes.yaml"`, so that `plugins_dir`, `include` and certificates are found
    beside it. `environment` is all of `${NAME}`. Raises ConfigError for what can't be served, with
    the diagnostics. Use it as a context manager, or by the fixture `brain`.
    """

    def __init__(
        self, text: str, folder: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.path = folder / "routes.yaml"
        self.url = ""
        self.admin_url = ""
        # A folder with a short name: the path of a socket has at most 107 bytes.
        self._own = TemporaryDirectory(prefix="brain-")
        self._environment = dict(environment or {})
        self._thread = LoopThread("brain")
        self._host: Host | None = None
        self._write(text)
        self._settings = Path(self._own.name) / "gateway.yaml"
        self._settings.write_text(_SETTINGS)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._thread.run(self._start())
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Drain and end."""
        if self._host is not None:
            host, self._host = self._host, None
            self._thread.run(host.stop())
        self._thread.stop()
        self._own.cleanup()

    def _write(self, text: str) -> None:
        self.path.write_text(textwrap.dedent(text))

    async def _start(self) -> None:
        files = [str(self.path), str(self._settings)]
        loaded = load_or_raise(files, environment=self._environment, catalog=Catalog())
        config = loaded.config
        assert config is not None
        host = Host(
            config,
            files,
            self._environment,
            loaded.catalog,
            lambda found: found,
            watch=False,
            probe=False,
        )
        await host.start()
        self._host = host
        self.url = f"http://127.0.0.1:{host.listener.port}"
        self.admin_url = f"http://127.0.0.1:{host.admin_port}"

    def reload(self, text: str | None = None) -> None:
        """Load the file again, with `text` in it where given. Raises ConfigError where refused."""
        assert self._host is not None, "the gateway does not run"
        if text is not None:
            self._write(text)
        outcome = self._thread.run(self._host.reloader.reload("a test"), timeout=60.0)
        if outcome.error is not None:
            raise ConfigError(outcome.error)

    # -- requests

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Send one request to the public listener and return the whole answer."""
        return self._ask(self.url, method, path, headers, body)

    def get(self, path: str, **headers: str) -> Reply:
        """GET with headers as `X_Api_Key="…"`."""
        return self.request("GET", path, headers=_named(headers))

    def admin(self, path: str) -> Reply:
        """GET of the admin listener: /ready, /metrics, /config."""
        return self._ask(self.admin_url, "GET", path, None, None)

    def _ask(
        self,
        url: str,
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
    ) -> Reply:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
