"""`brain secrets`: its lines, its exit codes, and that no value is in any of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.secrets_status import span
from tests.cli.kit import GatewayProcess, brain

VALUE = "s3same-v4lue"
DIGEST = "5" * 64

FILE = """
secrets: {file: {path: kept}}
services:
  crm:
    upstream: http://127.0.0.1:9
    plugins:
      - api-key: {keys: [{name: a, sha256: {secret: platform/gateway, field: sha256}}]}
      - as: crm-key
        credentials:
          secret: [platform/crm, platform/crm-old]
          headers: {X-Key: "Key ${secret.token}"}
"""


def put(folder: Path, path: str, text: str, mode: int = 0o600) -> Path:
    file = folder / "kept" / f"{path}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}~")
    fresh.write_text(text)
    fresh.chmod(mode)
    return fresh.replace(file)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("secrets")
    put(folder, "platform/gateway", f"sha256: {DIGEST}\n")
    put(folder, "platform/crm", f"token: {VALUE}\n")
    settings = "  workers: 2\n  shutdown: {grace: 0s, drain: 1s}\n"
    process = GatewayProcess(folder, FILE, "--no-watch", settings=settings)
    yield process
    assert process.end() == 0
    assert "Traceback" not in process.log
    assert VALUE not in process.log


def secrets(running: GatewayProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = brain("secrets", *arguments, "--control", running.control, cwd=running.folder)
    assert VALUE not in done.stdout + done.stderr
    assert DIGEST not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_status_has_a_line_for_each_store_and_each_path(running: GatewayProcess) -> None:
    done = secrets(running, "status")
    assert (done.returncode, done.stderr) == (0, "")
    store, blank, head, *rows = done.stdout.splitlines()
    assert store.startswith("store file: ok, 4 paths, 0 in trouble, ")
    assert blank == ""
    assert head.split("  ")[0] == "STATE"
    assert [row.split()[:4] for row in rows] == [
        ["ok", "file", "platform/crm", "-"],
        ["ok", "file", "platform/gateway", "-"],
    ]
    assert rows[1].split()[-1] == "sha256"
    found = json.loads(secrets(running, "status", "--json", "--path", "platform/g").stdout)
    assert [each["path"] for each in found["secrets"]] == ["platform/gateway"]
    assert found["secrets"][0]["bound"] == ["sha256"]
    assert "1 of 2 paths" in secrets(running, "status", "--most", "1").stdout


def test_refresh_has_every_worker_ask_the_store_now(running: GatewayProcess) -> None:
    done = secrets(running, "refresh", "platform/crm#token")
    assert done.returncode == 0
    assert done.stdout == "platform/crm: the same as before in 2 workers\n"
    put(running.folder, "platform/crm", f"token: {VALUE}-2\n")
    assert "a new value in 2 workers" in secrets(running, "refresh", "platform/crm").stdout
    done = secrets(running, "refresh", "platform/none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("platform/none is not kept: nothing has asked for it yet")
    done = secrets(running, "refresh", "platform/crm", "--store", "vault")
    assert (done.returncode, done.stderr) == (1, "error: there is no store 'vault'; known: file\n")


def test_trouble_is_told_and_is_1(running: GatewayProcess) -> None:
    put(running.folder, "platform/gateway", f"sha256: {DIGEST}\n", mode=0o644)
    done = secrets(running, "refresh", "platform/gateway")
    assert done.returncode == 1
    assert "kept/platform/gateway.yaml is open to its group or to others" in done.stderr
    assert "(forbidden in 2 workers)" in done.stderr
    done = secrets(running, "status")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "2 in trouble" in lines[0]
    assert lines[3].startswith("forbidden  file   platform/gateway")
    assert "is open to its group or to others (mode 0644)" in lines[4]
    put(running.folder, "platform/gateway", f"sha256: {DIGEST}\n")
    assert secrets(running, "refresh", "platform/gateway").returncode == 0


@pytest.mark.parametrize("command", [["status"], ["refresh", "a/b"]])
def test_without_a_gateway_it_is_4(command: list[str], tmp_path: Path) -> None:
    done = brain("secrets", *command, "--control", tmp_path / "none.sock", cwd=tmp_path)
    assert done.returncode == 4
    assert "pass --control PATH or set BRAIN_CONTROL" in done.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (12.3, "12s"),
        (60, "1m"),
        (190, "3m10s"),
        (7500, "2h5m"),
        (349_200, "4d1h"),
    ],
)
def test_times_are_short(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


# -- check

ROUTES = """version: 1
secrets: {file: {path: kept}, env: {}}
services:
  crm:
    upstream: http://127.0.0.1:9
    plugins:
      - api-key: {keys: [{name: a, tenant: acme, sha256: {secret: export, field: sha256, store: env}}]}
      - credentials:
          store: file
          secret: tenants/${principal.tenant}/crm
          headers: {Authorization: "Bearer ${secret.token}"}
  erp:
    upstream: http://127.0.0.1:9
    public: true
    plugins:
      - credentials:
          store: file
          secret: [platform/new, platform/old]
          headers: {X-Key: "Key ${secret.token}"}
"""


def checked(
    folder: Path, *arguments: str, command: tuple[str, ...] = ("secrets", "check")
) -> subprocess.CompletedProcess[str]:
    done = brain(*command, *arguments, cwd=folder, BRAIN_SECRET_EXPORT_SHA256=DIGEST)
    assert VALUE not in done.stdout + done.stderr
    assert DIGEST not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    put(tmp_path, "platform/old", f"token: {VALUE}\n")
    put(tmp_path, "tenants/acme/crm", f"token: {VALUE}\n")
    return tmp_path


def test_check_reads_all_references_and_lists_what_needs_a_caller(folder: Path) -> None:
    done = checked(folder)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert rows[1] == "ok env export sha256 - api-key (services.crm) routes.yaml:7"
    assert rows[2].startswith("needs --tenant T file tenants/${principal.tenant}/crm token -")
    # The first of several that exists is enough.
    assert rows[3].startswith("missing file platform/new")
    assert rows[4].startswith("ok file platform/old")
    assert rows[5] == "4 references: 2 ok, 1 needs a caller, 1 missing"


def test_check_tries_the_paths_of_a_tenant(folder: Path) -> None:
    done = checked(folder, "--tenant", "acme")
    assert done.returncode == 0
    assert "ok       file   tenants/acme/crm" in done.stdout
    done = checked(folder, "--tenant", "other")
    assert done.returncode == 1
    assert (
        "error[BG221]: secret tenants/other/crm#token of 'file': there is no secret "
        "'tenants/other/crm' in kept\n  --> routes.yaml:10:19"
    ) in done.stdout
    assert "^ write 'token: …' into kept/tenants/other/crm.yaml" in done.stdout


def test_a_tenant_that_is_no_segment_is_2_and_is_not_repeated(folder: Path) -> None:
    for tenant in ("..", "a/b", "a b", ""):
        done = checked(folder, "--tenant", tenant)
        assert done.returncode == 2
        assert "${principal.tenant} is no name in a path" in done.stderr
    assert checked(folder, "--claim", "region").returncode == 2


@pytest.mark.parametrize(
    ("text", "mode", "state", "told"),
    [
        (f"token: {VALUE}\n", 0o644, "forbidden", "is open to its group or to others"),
        (f"key: {VALUE}\n", 0o600, "lacks field", "it has no 'token'"),
        (f"- {VALUE}\n", 0o600, "malformed", ""),
    ],
)
def test_check_tells_what_is_wrong_with_a_secret(
    folder: Path, text: str, mode: int, state: str, told: str
) -> None:
    put(folder, "platform/old", text, mode)
    done = checked(folder, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert [each["state"] for each in found["references"]][2:] == ["missing", state]
    assert [each["line"] for each in found["diagnostics"]] == [18, 18]
    assert {each["code"] for each in found["diagnostics"]} == {"BG221"}
    assert told in found["diagnostics"][1]["message"]


@pytest.mark.parametrize(
    ("options", "text", "told"),
    [
        ('headers: {X-Key: "${secret.token}"}', f'token: "{VALUE}\\n"', "control character"),
        (
            'basic: {user: "${secret.user}", password: "${secret.token}"}',
            f'user: "{VALUE}:x"\ntoken: {VALUE}\n',
            "the user for Basic has a colon",
        ),
        (
            'base_url: "${secret.url}"\n          hosts: {suffixes: [shops.example]}',
            f"url: https://{VALUE}.example\n",
            "base_url: ",
        ),
        (
            (
                'base_url: "${secret.url}"\n          oauth: {grant: client_credentials,'
                " token_url: https://sso.example.com/token}"
            ),
            f"url: http://{VALUE}.example\nclient_id: {VALUE}\nclient_secret: {VALUE}\n",
            "base_url: ",
        ),
    ],
)
@pytest.mark.parametrize("command", [("secrets", "check"), ("check", "--connect")])
def test_check_tells_of_a_secret_that_its_plugin_could_not_use(
    folder: Path, options: str, text: str, told: str, command: tuple[str, ...]
) -> None:
    routes = ROUTES.replace("[platform/new, platform/old]", "platform/old")
    routes = routes.replace('headers: {X-Key: "Key ${secret.token}"}', options)
    (folder / "routes.yaml").write_text(routes)
    put(folder, "platform/old", text)
    done = checked(folder, command=command)
    assert done.returncode == 1
    (message,) = (line for line in done.stdout.splitlines() if line.startswith("error[BG221]"))
    assert message.startswith("error[BG221]: secret platform/old#")
    assert told in message
    assert "routes.yaml:18:19" in done.stdout


def test_a_token_that_is_not_there_yet_is_no_fault_of_a_secret(folder: Path) -> None:
    routes = ROUTES.replace("[platform/new, platform/old]", "platform/old").replace(
        'headers: {X-Key: "Key ${secret.token}"}',
        "oauth: {grant: client_credentials, token_url: https://sso.example.com/token}",
    )
    (folder / "routes.yaml").write_text(routes)
    put(folder, "platform/old", f"client_id: {VALUE}\nclient_secret: {VALUE}\n")
    assert checked(folder).returncode == 0


def test_nothing_is_to_be_written_where_the_store_is_away(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(
        """
version: 1
secrets:
  vault: {address: "http://127.0.0.1:9", auth: {approle: {role_id: a, secret_id_file: gone}}}
services:
  erp:
    upstream: http://127.0.0.1:9
    public: true
    plugins: [credentials: {secret: platform/erp, headers: {X-Key: "${secret.token}"}}]
"""
    )
    done = checked(tmp_path)
    assert done.returncode == 1
    assert "gone is not there" in done.stdout
    assert "write it" not in done.stdout


def test_what_is_not_required_is_a_warning(folder: Path) -> None:
    (folder / "kept/platform/old.yaml").unlink()
    text = ROUTES.replace("[platform/new, platform/old]", "platform/new\n          required: false")
    (folder / "routes.yaml").write_text(text)
    done = checked(folder)
    assert done.returncode == 0
    assert "warning[BG221]: secret platform/new#token" in done.stdout


def test_check_of_files_that_can_not_be_served_says_why(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text("version: 1\nnonsense: 1\n")
    done = checked(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "unknown key 'nonsense'" in done.stderr


def test_check_connect_reads_what_is_the_same_for_all(folder: Path) -> None:
    done = checked(folder, "--connect", command=("check",))
    assert "BG221" not in done.stdout
    (folder / "kept/platform/old.yaml").unlink()
    done = checked(folder, "--connect", command=("check",))
    assert done.returncode == 1
    assert done.stdout.count("error[BG221]") == 2
    assert "tenants" not in done.stdout.replace("${principal.tenant}", "")


def test_a_policy_is_for_files_with_a_vault(folder: Path) -> None:
    done = checked(folder, command=("secrets", "policy"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: routes.yaml has no secrets.vault\n"
