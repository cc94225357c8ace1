"""What a bad file or command line gets: one clear diagnostic, the documented exit code, no traceback."""

from __future__ import annotations

import ctypes
import json
import socket
from pathlib import Path

import pytest

from tests.cli.kit import brain

GOOD = 'version: 1\nservices:\n  echo: {upstream: "http://127.0.0.1:9", public: true}\n'

BAD = {
    "broken YAML": ("version: 1\nservices: [\n", "routes.yaml:"),
    "a wrong type": ("version: 1\nservices: 5\n", "routes.yaml:2"),
    "an unknown key": (GOOD + "servces: {}\n", "did you mean 'services'"),
    "an unknown plugin": (GOOD + "plugins: [acess-log]\n", "access-log"),
    "a missing value": ("version: 1\nservices: {echo: '${NO_SUCH_NAME}'}\n", "NO_SUCH_NAME"),
    "a name twice": (GOOD + '  echo: "http://127.0.0.1:9"\n', "routes.yaml:4"),
    "an open service": ("version: 1\nservices: {echo: 'http://127.0.0.1:9'}\n", "lets anyone in"),
    "an empty file": ("", "routes.yaml"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("command", ["run", "check", "routes"])
def test_a_bad_file_gets_a_diagnostic_and_exit_code_1(
    what: str, command: str, tmp_path: Path
) -> None:
    text, told = BAD[what]
    (tmp_path / "routes.yaml").write_text(text)
    done = brain(command, "routes.yaml", cwd=tmp_path)
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert told in output
    assert output.count("error[") == 1, "one thing is wrong, one thing is said"
    assert "Traceback" not in output
    # `check` is asked for diagnostics: they are its data. For the others they are notices.
    assert (done.stderr == "") == (command == "check")


@pytest.mark.parametrize("command", ["run", "check", "routes"])
def test_what_can_not_be_read_is_told(command: str, tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    for name, told in {
        "missing.yaml": "there is no such file",
        "folder.yaml": "this is a folder, not a file",
    }.items():
        done = brain(command, name, cwd=tmp_path)
        output = done.stdout + done.stderr
        assert done.returncode == 1
        assert told in output
        assert "Traceback" not in output


def give_up_privileges() -> None:
    """Drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root may read everything."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP


def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(GOOD)
    (tmp_path / "routes.yaml").chmod(0)
    done = brain("check", cwd=tmp_path, first=give_up_privileges)
    assert done.returncode == 1
    assert "no permission" in done.stdout


@pytest.mark.parametrize("key", ["listen", "admin"])
def test_a_port_in_use_is_told(key: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = "admin" if key == "listen" else "listen"
        (tmp_path / "routes.yaml").write_text(
            GOOD + f"gateway: {{{key}: '127.0.0.1:{port}', {other}: '127.0.0.1:0', "
            f"control: {tmp_path}/c.sock}}\n"
        )
        done = brain("run", cwd=tmp_path)
    assert done.returncode == 1
    assert f"gateway.{key}: can't listen on 127.0.0.1:{port}: the port is in use" in done.stderr
    assert f"with --{key} HOST:PORT or BRAIN_{key.upper()}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "c.sock").exists()


def test_a_demo_whose_port_is_in_use_says_what_to_try_and_prints_no_lines(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = brain("demo", "--listen", f"127.0.0.1:{port}", cwd=tmp_path)
    assert done.returncode == 1
    assert "brain demo --listen 127.0.0.1:8081" in done.stderr
    assert done.stdout == ""


def test_without_a_file_it_is_told_to_name_one(tmp_path: Path) -> None:
    done = brain("run", cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no routes.yaml in this folder" in done.stderr
    assert "brain run FILE" in done.stderr


def test_a_plugin_with_a_bug_in_its_setup_is_told_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from proxy import Plugin\nclass Mine(Plugin):\n"
        "    async def setup(self, context):\n        1 / 0\n"
    )
    (tmp_path / "routes.yaml").write_text(GOOD + "plugins: [{use: 'own:Mine', as: mine}]\n")
    addresses = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--control", "c.sock"]
    path = f"{Path(__file__).parents[2]}:{tmp_path}"
    done = brain("run", *addresses, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 1
    said = f"plugin 'mine': ZeroDivisionError: division by zero ({tmp_path}/own.py:4)"
    assert done.stderr == f"error[BG202]: {said}\n  --> routes.yaml:4:12\n"


@pytest.mark.parametrize(("typed", "meant"), [("chekc", "check"), ("statsu", "status")])
def test_a_mistyped_command_is_told_which_is_meant(typed: str, meant: str, tmp_path: Path) -> None:
    done = brain(typed, cwd=tmp_path)
    assert done.returncode == 2
    assert f"Did you mean '{meant}'?" in done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("control: /no/such/folder/c.sock", "gateway.control"),
        ("listen: 'no-such-host.invalid:1'", "can't resolve"),
        ("tls: {cert: no.pem, key: no.pem}", "no.pem"),
    ],
)
def test_a_setting_that_can_not_be_had_is_told(settings: str, told: str, tmp_path: Path) -> None:
    base = {"listen": "'127.0.0.1:0'", "admin": "off", "control": f"{tmp_path}/c.sock"}
    base.pop(settings.partition(":")[0], None)
    rest = ", ".join(f"{key}: {value}" for key, value in base.items())
    (tmp_path / "routes.yaml").write_text(GOOD + f"gateway: {{{settings}, {rest}}}\n")
    done = brain("run", cwd=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plugin_that_fails_to_import_or_set_up_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from proxy import Plugin\n1 / 0\n")
    use = "plugins: [{use: 'own:Mine', as: mine}]\n"
    (tmp_path / "routes.yaml").write_text(GOOD + use)
    done = brain("check", cwd=tmp_path, PYTHONPATH=f"{Path(__file__).parents[2]}:{tmp_path}")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "--listen", "no-port"],
        ["run", "--listen", "127.0.0.1:99999"],
        ["check", "--format", "xml"],
        ["demo", "--admin", "nowhere"],
        ["reload", "extra"],
        ["status", "--quiet", "extra"],
        ["schema", "--nonsense"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(GOOD)
    done = brain(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "usage" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_a_good_file_is_exit_code_0(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(GOOD)
    assert brain("check", cwd=tmp_path).returncode == 0
    table = brain("routes", "--json", cwd=tmp_path)
    assert (table.returncode, len(json.loads(table.stdout))) == (0, 1)
    schema = brain("schema", cwd=tmp_path)
    assert (schema.returncode, json.loads(schema.stdout)["type"]) == (0, "object")
