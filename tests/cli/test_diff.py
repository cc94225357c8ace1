"""`brain diff`: a kept revision beside the files, with a gateway and without one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kit import GatewayProcess, brain

SETTINGS = "  state_dir: state\n  shutdown: {grace: 0s, drain: 1s}\n"
ONE = 'services:\n  one: {upstream: "http://127.0.0.1:9", public: true}\n'
TWO = ONE + '  two: {upstream: "http://127.0.0.1:9", public: true}\n'


@pytest.fixture
def running(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path, ONE, "--no-watch", settings=SETTINGS)
    yield process
    assert process.end() == 0
    assert "Traceback" not in process.log


def alone(folder: Path, *arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run it where no gateway answers."""
    done = brain("diff", *arguments, "--control", folder / "no.sock", cwd=folder, **changes)
    assert "Traceback" not in done.stderr
    return done


def test_what_serves_is_compared_with_the_gateways_own_files(running: GatewayProcess) -> None:
    same = running.ask("diff")
    assert same.returncode == 0, same.stderr
    assert same.stdout.endswith(f"and {running.file} mean the same\n")
    running.write(TWO)
    other = running.ask("diff")
    assert (other.returncode, other.stderr) == (3, "")
    head, *lines = other.stdout.splitlines()
    short = str(running.status()["revision"])[:12]
    assert head.startswith(f"revision {short} of ")
    assert head.endswith(f" -> {running.file}")
    assert lines == [
        "who may call:",
        "  ! * /api/brain/two/*: no route -> public",
        "routes:",
        "  + * /api/brain/two/*: http://127.0.0.1:9, public",
        "2 differences",
    ]


def test_json_has_all_of_it_in_one_object(running: GatewayProcess) -> None:
    running.write(TWO)
    done = running.ask("diff", "--json")
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert found["same"] is False
    assert found["old"]["revision"] == running.status()["revision"]
    route = "* /api/brain/two/*"
    assert found["added"] == [{"route": route, "upstream": "http://127.0.0.1:9", "who": "public"}]
    assert found["access"] == [
        {"what": "who may call", "old": "no route", "new": "public", "routes": [route]}
    ]
    assert (found["removed"], found["changed"], found["process"]) == ([], [], [])


def test_two_revisions_and_a_revision_with_a_file_can_be_named(
    running: GatewayProcess, tmp_path: Path
) -> None:
    first = str(running.status()["revision"])
    running.write(TWO)
    assert running.ask("reload").returncode == 0
    second = str(running.status()["revision"])
    forth, back = running.ask("diff", first[:8], second), running.ask("diff", second, first[:8])
    assert (forth.returncode, back.returncode) == (3, 3)
    assert "  + * /api/brain/two/*" in forth.stdout
    assert "  - * /api/brain/two/*" in back.stdout
    other = tmp_path / "other.yaml"
    other.write_text(running.file.read_text())
    assert running.ask("diff", second, str(other)).returncode == 0
    assert running.ask("diff", str(other)).returncode == 0
    assert running.ask("diff", first, second, str(other)).returncode == 2


def test_a_file_that_is_named_as_a_revision_could_be_is_a_file(
    running: GatewayProcess, tmp_path: Path
) -> None:
    (tmp_path / "cafe").write_text(running.file.read_text())
    assert running.ask("diff", "cafe").returncode == 0
    unknown = running.ask("diff", "cafe00")
    assert unknown.returncode == 1
    assert "no kept revision begins with 'cafe00'" in unknown.stderr


def test_it_needs_no_gateway(running: GatewayProcess, tmp_path: Path) -> None:
    first = str(running.status()["revision"])
    running.end()
    assert alone(tmp_path).returncode == 0
    assert alone(tmp_path, running.file).returncode == 0
    running.write(TWO)
    for named in ([], [first[:6]], [running.file], ["--state-dir", "state"]):
        done = alone(tmp_path, *named)
        assert done.returncode == 3, (named, done.stderr)
        assert "+ * /api/brain/two/*" in done.stdout
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = alone(elsewhere, running.file, BRAIN_STATE_DIR=str(tmp_path / "state"))
    assert done.returncode == 3, done.stderr


def test_a_side_that_can_not_be_loaded_is_told(running: GatewayProcess, tmp_path: Path) -> None:
    running.write(ONE + "nonsense: 1\n")
    done = running.ask("diff")
    assert (done.returncode, done.stdout) == (1, "")
    assert "unknown key 'nonsense'" in done.stderr
    assert done.stderr.splitlines()[-1] == f"error: {running.file} can't be loaded"
    gone = running.ask("diff", str(tmp_path / "gone.yaml"))
    assert gone.returncode == 1
    assert "there is no such file" in gone.stderr


def test_both_sides_have_the_same_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_URL", "http://127.0.0.1:9")
    text = "services:\n  one: {upstream: '${ONE_URL}', public: true}\n"
    process = GatewayProcess(tmp_path, text, settings=SETTINGS)
    monkeypatch.delenv("ONE_URL")
    assert process.end() == 0
    missing = alone(tmp_path)
    assert missing.returncode == 1
    assert "environment variable ONE_URL is not set" in missing.stderr
    (tmp_path / "env").write_text("ONE_URL=http://127.0.0.1:10\n")
    assert alone(tmp_path, "--env-file", tmp_path / "env").returncode == 0


def test_where_nothing_is_kept_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(f"version: 1\ngateway: {{state_dir: state}}\n{ONE}")
    done = alone(tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: nothing is kept in state\n")
    (tmp_path / "state" / "revisions").mkdir(parents=True)
    assert alone(tmp_path).stderr == "error: nothing is kept in state\n"
