"""`brain status` and `brain reload` on a running gateway, and where there is none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kit import ROOT, GatewayProcess, brain

SERVICES = 'services:\n  echo: {upstream: "http://127.0.0.1:9", public: true}\n'


@pytest.fixture
def running(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(
        tmp_path, SERVICES, "--no-watch", settings="  shutdown: {grace: 0s, drain: 1s}\n"
    )
    yield process
    assert process.end() == 0
    assert "Traceback" not in process.log


@pytest.mark.parametrize("command", [["status"], ["status", "--quiet"], ["reload"]])
def test_without_a_gateway_the_exit_code_is_4(command: list[str], tmp_path: Path) -> None:
    done = brain(*command, "--control", tmp_path / "none.sock", cwd=tmp_path)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr == "") == ("--quiet" in command)
    assert ("pass --control PATH or set BRAIN_CONTROL" in done.stderr) != ("--quiet" in command)


def test_status_tells_and_reload_reloads(running: GatewayProcess) -> None:
    assert running.status()["status"] == "serving"
    assert running.ask("status").returncode == 0
    # `--quiet` comes first where the health check has it; both orders are the same command.
    assert brain("status", "--quiet", "--control", running.control, cwd=ROOT).returncode == 0
    assert running.ask("status", "--quiet").returncode == 0
    before = running.status()["revision"]
    running.write(SERVICES + '  more: {upstream: "http://127.0.0.1:9", public: true}\n')
    done = running.ask("reload")
    assert done.returncode == 0
    assert done.stdout.strip() == f"revision {running.status()['revision']}"
    assert running.status()["revision"] != before
    running.write(SERVICES + "nonsense: 1\n")
    refused = running.ask("reload")
    assert refused.returncode == 1
    assert "unknown key 'nonsense'" in refused.stderr
    assert running.status()["reloads"] == {"ok": 1, "refused": 1}


def test_the_first_line_names_all_that_one_needs(running: GatewayProcess) -> None:
    message = json.loads(running.log.splitlines()[0])["message"]
    assert message.startswith(
        f"serving on http://127.0.0.1:{running.port}, admin http://127.0.0.1:{running.admin_port}, "
        f"control {running.control}: 1 service of {running.file}, revision "
    )


def test_status_is_for_people_and_with_json_for_scripts(running: GatewayProcess) -> None:
    running.write(SERVICES + "nonsense: 1\n")
    running.ask("reload")
    told = running.ask("status").stdout
    lines = dict(line.split(maxsplit=1) for line in told.splitlines() if line[:1] != " ")
    assert lines["pid"] == str(running.process.pid)
    assert lines["files"] == str(running.file)
    assert lines["public"] == f"http://127.0.0.1:{running.port}"
    assert lines["admin"] == f"http://127.0.0.1:{running.admin_port}"
    assert lines["reloads"] == "0 ok, 1 refused"
    assert re.search(r"^loaded at +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", told, re.MULTILINE)
    assert "the last reload was refused:\n  error[BG103]" in told
    found = running.status()
    assert (found["pid"], found["services"]) == (running.process.pid, 1)
    assert isinstance(found["loaded_at"], float)


def test_status_names_targets_that_are_left_out(running: GatewayProcess) -> None:
    targets = '["http://127.0.0.1:9", "http://127.0.0.1:10"]'
    upstream = f"{{targets: {targets}, breaker: {{failures: 1, open_for: 1m}}}}"
    running.write(f"services:\n  shop: {{public: true, upstream: {upstream}}}\n")
    assert running.ask("reload").returncode == 0
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{running.port}/api/brain/shop/")
    told = running.ask("status").stdout
    assert "shop: 0 in flight, 0 idle of 0\n" in told
    reason = "its requests failed, the last: upstream_connect_refused"
    assert f"\n  http://127.0.0.1:9 open ({reason})\n" in told
    assert f"\n  http://127.0.0.1:10 open ({reason})\n" in told


def test_a_reload_of_the_same_says_that_nothing_changed(running: GatewayProcess) -> None:
    done = running.ask("reload")
    assert (done.returncode, done.stderr) == (0, "nothing changed in the files\n")
    assert "nothing changed (command)" in running.log
    assert "reloaded" not in running.log


def test_a_diagnostic_is_one_record_and_told_once(running: GatewayProcess) -> None:
    running.write(SERVICES + "nonsense: 1\n")
    before = len(running.log.splitlines())
    for _ in range(2):
        assert running.ask("reload").returncode == 1
    records = [json.loads(line) for line in running.log.splitlines()[before:]]
    told, refused, again = records
    fields = ("code", "file", "line", "column", "message")
    shown = ("BG103", str(running.file), 9, 1, "unknown key 'nonsense' in the file")
    assert tuple(told[name] for name in fields) == shown
    assert "the old revision serves on: 1 error in" in refused["message"]
    assert again["message"] == "reload (command) refused for the same reasons as the last one"


def test_the_logs_settings_follow_a_reload(running: GatewayProcess) -> None:
    assert json.loads(running.log.splitlines()[-1])["level"] == "info"
    running.write(SERVICES + "log: {format: text, level: warning}\n")
    assert running.ask("reload").returncode == 0
    running.write(SERVICES + "nonsense: 1\n")
    assert running.ask("reload").returncode == 1
    last = running.log.splitlines()[-1]
    assert not last.startswith("{")
    assert "brain.reload" in last
    assert "reloaded (command)" not in running.log, "info is below the level by then"


def test_the_health_check_imports_next_to_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", "-m", "proxy", "status", "--quiet"),
            *("--control", str(tmp_path / "none.sock")),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "socket" in imported
    heavy = {"aiohttp", "asyncio", "click", "yaml", "ssl", "logging", "typing", "typing_extensions"}
    assert not imported & heavy
