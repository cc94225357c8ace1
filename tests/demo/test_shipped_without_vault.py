"""The shipped routes.yaml before there is a Vault: what needs none serves, the rest comes with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from proxy.demo import DEMO_KEY
from proxy.demo.background import stand_ins_in_background
from proxy.demo.bao import Bao, bao_binary
from proxy.demo.keys import CREDENTIALS
from tests.cli.kit import ROOT, environment, free_port

CRM, LAGO = "/api/brain/django-crm/account/", "/api/brain/lago/invoices"
OTHERS = ["/api/brain/wagtail/pages/", "/api/brain/tasks", "/api/reports"]


class Shipped:
    """`brain run routes.yaml` between the stand-ins and a Vault that is not there yet."""

    def __init__(self, folder: Path) -> None:
        binary = bao_binary()
        assert binary is not None, "the extra 'test' has it"
        self.bao = Bao(binary, folder)
        self.secret_id = folder / "vault-secret-id"
        self.port = free_port()
        self._log = folder / "log"
        self._ends = ExitStack()

    def __enter__(self) -> Shipped:
        services = self._ends.enter_context(stand_ins_in_background())
        place = {
            "VAULT_ADDR": self.bao.address,
            "VAULT_SECRET_ID_FILE": str(self.secret_id),
            "BRAIN_LISTEN": f"127.0.0.1:{self.port}",
            "BRAIN_ADMIN": f"127.0.0.1:{free_port()}",
            "BRAIN_CONTROL": str(self._log.with_name("brain.sock")),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "proxy", "run", str(ROOT / "routes.yaml")],
            cwd=self._log.parent,
            env=environment(**services, **place),
            stdout=subprocess.DEVNULL,
            stderr=self._ends.enter_context(self._log.open("wb")),
        )
        self._ends.callback(process.wait, 10)
        self._ends.callback(process.kill)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def get(self, path: str) -> tuple[int, str, str | None]:
        """Return status, body and Retry-After; status 0 where nobody listens."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path, headers={"X-Api-Key": DEMO_KEY})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers["Retry-After"]
        except ConnectionRefusedError:
            return 0, "", None
        finally:
            connection.close()

    def wait(self, true: Callable[[], bool], within: float) -> float:
        """Return after how many seconds it was true."""
        began = time.monotonic()
        while not true():
            assert time.monotonic() - began < within, self._log.read_text()
            time.sleep(0.02)
        return time.monotonic() - began

    def begin_vault(self) -> None:
        """Begin as docs/deployment.md says: the role's id is the one that the file has."""
        self._ends.enter_context(self.bao)
        for path, fields in CREDENTIALS.items():
            self.bao.put(path, fields)
        _, secret_id = self.bao.gateway()
        descriptor = os.open(self.secret_id, os.O_CREAT | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret_id)


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Shipped]:
    with Shipped(tmp_path) as found:
        yield found


def test_all_others_serve_and_the_two_that_need_it_come_with_it(shipped: Shipped) -> None:
    shipped.wait(lambda: shipped.get("/ready")[0] == 200, within=10)
    assert [shipped.get(path)[0] for path in OTHERS] == [200] * len(OTHERS)
    for path in (CRM, LAGO):
        status, body, retry_after = shipped.get(path)
        assert (status, json.loads(body)["code"]) == (503, "secret_unavailable")
        assert retry_after is not None
        assert "vault" not in body.lower()
        assert "tenants/" not in body
    assert "degraded" in shipped.get("/ready")[1]

    shipped.begin_vault()
    shipped.wait(lambda: shipped.get(LAGO)[0] == 200, within=5)
    shipped.wait(lambda: shipped.get(CRM)[0] == 200, within=1)
    assert json.loads(shipped.get(CRM)[1]) == {"account": "acme"}
    assert "degraded" not in shipped.get("/ready")[1]
