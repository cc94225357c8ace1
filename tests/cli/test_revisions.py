"""What was accepted: a start with bad files, `brain revisions`, `brain rollback`, as processes."""

from __future__ import annotations

import json
import re
import signal
import stat
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import kit
from tests.cli.kit import GatewayProcess, brain, free_port

SETTINGS = "  state_dir: state\n  shutdown: {grace: 0s, drain: 1s}\n"
ONE = 'services:\n  one: {upstream: "http://127.0.0.1:9", public: true}\n'
TWO = ONE + '  two: {upstream: "http://127.0.0.1:9", public: true}\n'
BROKEN = TWO + "  three: [\n"

WELL = {"config": "ok"}

Start = Callable[..., GatewayProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a gateway on the same folder, as often as asked; the one before has ended."""
    made: list[GatewayProcess] = []
    port = free_port()
    # The same for all: what serves at the start can't give way to a file with another one.
    monkeypatch.setattr(kit, "free_port", lambda: port)

    def run(text: str, *options: str) -> GatewayProcess:
        if made:
            assert made[-1].end() == 0
        made.append(GatewayProcess(tmp_path, text, *options, settings=SETTINGS))
        return made[-1]

    yield run
    assert made[-1].end() == 0
    assert "Traceback" not in made[-1].log


def checks(gateway: GatewayProcess) -> dict[str, str]:
    """Return what /ready says of the process: nothing listens where the services should be."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/ready") as answer:
        found: dict[str, str] = json.load(answer)["checks"]
    return {name: why for name, why in found.items() if not name.startswith("upstream ")}


def records(gateway: GatewayProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gateway.log.splitlines()]


def listed(gateway: GatewayProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gateway.ask("revisions", "--json").stdout)
    return found


def run_to_its_end(folder: Path, *options: str, **changes: str) -> Any:
    return brain("run", "routes.yaml", *options, cwd=folder, **changes)


# -- a start with bad files


def test_a_start_with_a_bad_file_serves_the_last_good_one_loudly(
    start: Start, tmp_path: Path
) -> None:
    good = start(TWO)
    revision = str(good.status()["revision"])
    bad = start(BROKEN)
    status = bad.status()
    assert (status["revision"], status["services"]) == (revision, 2)
    told, serves = records(bad)[:2]
    assert (told["level"], told["code"], told["file"]) == ("error", "BG003", str(bad.file))
    assert serves["level"] == "error"
    assert f"the files are refused: serving revision {revision[:12]} of 20" in serves["message"]
    kept = rf"serving revision {revision[:12]} of \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.match(rf"{kept}, the files are refused: error\[BG003\]", checks(bad)["config"])
    text = bad.ask("status").stdout
    assert re.search(rf"^config +{kept}, the files are refused: ", text, re.MULTILINE)
    assert "  error[BG003]" in text
    assert listed(bad)["serves"] == revision
    assert len(listed(bad)["revisions"]) == 1, "what serves instead is not accepted anew"


def test_a_file_that_is_mended_is_loaded_as_ever(start: Start) -> None:
    start(ONE)
    bad = start(BROKEN)
    bad.write(TWO)
    bad.wait_for("reloaded (files changed)")
    assert bad.status()["services"] == 2
    assert checks(bad) == WELL
    assert [each["cause"] for each in listed(bad)["revisions"]] == ["watch", "start"]


def test_a_file_that_is_mended_to_what_serves_is_well_again(start: Start) -> None:
    start(ONE)
    bad = start(BROKEN)
    bad.write(ONE)
    bad.wait_for("nothing changed (files changed)")
    assert checks(bad) == WELL


def test_it_goes_on_to_tell_while_the_file_stays_bad(start: Start) -> None:
    start(ONE)
    bad = start(BROKEN, "--no-watch")
    bad.write(ONE + "nonsense: 1\n")
    assert bad.ask("reload").returncode == 1
    assert "the files are refused: error[BG103]" in checks(bad)["config"]
    bad.write(ONE)
    bad.signal(signal.SIGHUP)
    bad.wait_for("(SIGHUP)")
    assert checks(bad) == WELL


def test_a_file_that_is_gone_does_not_stop_a_gateway_that_is_told_where_it_keeps(
    start: Start, tmp_path: Path
) -> None:
    start(ONE)
    (tmp_path / "over.yaml").write_text("version: 1\n")
    done = run_to_its_end(tmp_path, "gone.yaml", "--state-dir", "state")
    assert done.returncode == 1
    assert "no revision of routes.yaml, gone.yaml is kept in state to serve instead" in done.stderr


@pytest.mark.parametrize(
    ("options", "changes"), [(["--strict"], {}), ([], {"BRAIN_STRICT": "true"})]
)
def test_strict_serves_no_kept_revision(
    options: list[str], changes: dict[str, str], start: Start, tmp_path: Path
) -> None:
    start(ONE).end()
    (tmp_path / "routes.yaml").write_text("version: 1\ngateway: {state_dir: state}\nx: [\n")
    done = run_to_its_end(tmp_path, *options, **changes)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error[BG003]")
    assert done.stderr.splitlines()[-1] == "1 error in routes.yaml"


def test_a_last_good_one_that_is_good_no_more_ends_with_both_reasons(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_URL", "http://127.0.0.1:9")
    start("services:\n  one: {upstream: '${ONE_URL}', public: true}\n").end()
    monkeypatch.delenv("ONE_URL")
    file = tmp_path / "routes.yaml"
    file.write_text(file.read_text() + "nonsense: 1\n")
    done = run_to_its_end(tmp_path)
    assert done.returncode == 1
    assert "unknown key 'nonsense'" in done.stderr
    assert "the last good one can't be served either, revision " in done.stderr
    assert done.stderr.count("environment variable ONE_URL is not set") == 2
    assert "Traceback" not in done.stderr


def test_values_of_the_environment_are_not_kept(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_URL", "http://127.0.0.1:9/what-only-the-environment-knows")
    start("services:\n  one: {upstream: '${ONE_URL}', public: true}\n")
    found = [each for each in (tmp_path / "state").rglob("*") if each.is_file()]
    assert any(b"${ONE_URL}" in each.read_bytes() for each in found)
    assert not any(b"what-only-the-environment-knows" in each.read_bytes() for each in found)
    assert {stat.S_IMODE(each.stat().st_mode) for each in found} == {0o600}


DROPIN = """
from proxy import ConfigError, Plugin
class Mine(Plugin):
    schema = {"type": "object", "properties": {"fails": {"type": "boolean", "description": "."}}}
    def __init__(self, fails=False):
        self.fails = fails
    async def setup(self, context):
        if self.fails:
            raise ConfigError("the store knows no such secret", hint="make it")
"""


def test_files_that_a_plugin_refuses_at_the_start_are_bad_files_too(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(DROPIN)
    start(ONE + "plugins_dir: plugins\nplugins: [mine]\n")
    fails = TWO + "plugins_dir: plugins\nplugins: [{mine: {fails: true}}]\n"
    bad = start(fails)
    assert bad.status()["services"] == 1
    assert "the store knows no such secret" in checks(bad)["config"]
    bad.write(fails.replace("true}}]", "false}}]"))
    bad.wait_for("reloaded (files changed)")
    assert bad.status()["services"] == 2
    assert checks(bad) == WELL


def test_the_command_line_stands_over_the_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    gateway = GatewayProcess(tmp_path, ONE, "--state-dir", str(other), settings=SETTINGS)
    assert listed(gateway)["state_dir"] == str(other)
    gateway.write(TWO)
    gateway.wait_for("reloaded (files changed)")
    assert gateway.end() == 0
    assert len(list(other.rglob("*.revision"))) == 2
    assert not (tmp_path / "state").exists()


def test_where_nothing_is_kept_the_reason_for_that_is_told_too(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text("version: 1\ngateway:\n  state_dir: state\nnonsense: 1\n")
    done = run_to_its_end(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "1 error in routes.yaml (0 services)",
        "no revision of routes.yaml is kept in state to serve instead",
    ]
    assert not (tmp_path / "state").exists(), "a start that fails leaves nothing"


def test_a_damaged_newest_revision_is_told_and_the_one_before_serves(
    start: Start, tmp_path: Path
) -> None:
    before = str(start(ONE).status()["revision"])
    newest = str(start(TWO).status()["revision"])
    path = tmp_path / "state" / "revisions" / f"{newest}.revision"
    path.write_bytes(path.read_bytes().replace(b"two:", b"too:"))
    bad = start(BROKEN)
    assert bad.status()["revision"] == before
    assert f"revision {newest[:12]} can't be read: its texts are not those" in bad.log
    done = bad.ask("revisions")
    assert f"warning: {newest}.revision is skipped: " in done.stderr


def test_a_state_dir_that_can_not_be_written_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("mine")
    (tmp_path / "routes.yaml").write_text(
        "version: 1\ngateway:\n  listen: 127.0.0.1:0\n  admin: off\n  control: c.sock\n"
        f"  state_dir: state\n{ONE}"
    )
    done = run_to_its_end(tmp_path)
    assert done.returncode == 1
    said, remedy = done.stderr.splitlines()
    assert said.startswith("error: gateway.state_dir: can't write to state/revisions: ")
    assert remedy.startswith("  name a folder of the gateway's own user")


# -- revisions and rollback


def test_revisions_are_listed_the_newest_first_with_their_causes(start: Start) -> None:
    gateway = start(ONE)
    first = str(gateway.status()["revision"])
    gateway.write(TWO)
    gateway.wait_for("reloaded (files changed)")
    second = str(gateway.status()["revision"])
    found = listed(gateway)
    assert found["serves"] == second
    told = [(each["revision"], each["cause"], each["services"]) for each in found["revisions"]]
    assert told == [(second, "watch", 2), (first, "start", 1)]
    assert found["revisions"][0]["files"] == [str(gateway.file)]
    assert abs(found["revisions"][0]["accepted_at"] - time.time()) < 60
    head, newest, oldest = gateway.ask("revisions").stdout.splitlines()
    assert head.split() == ["REVISION", "ACCEPTED", "BY", "SERVICES", "FILES"]
    assert newest.split()[:2] == ["*", second[:12]]
    assert oldest.split()[0] == first[:12]


def test_a_rollback_serves_until_the_files_change(start: Start) -> None:
    gateway = start(ONE)
    first = str(gateway.status()["revision"])
    gateway.write(TWO)
    gateway.wait_for("reloaded (files changed)")
    done = gateway.ask("rollback", first[:8])
    assert (done.returncode, done.stdout) == (0, f"revision {first}\n")
    assert done.stderr == "the files are left alone: they serve again when they change\n"
    assert gateway.status()["services"] == 1
    assert checks(gateway)["config"] == "ok"
    why = rf"serving revision {first[:12]} of .*Z by rollback, not the files"
    assert re.fullmatch(why, checks(gateway)["revision"])
    assert re.search(rf"^revision +{why}$", gateway.ask("status").stdout, re.MULTILINE)
    assert [each["cause"] for each in listed(gateway)["revisions"]] == ["rollback", "watch"]
    assert listed(gateway)["serves"] == first
    gateway.write(TWO.replace("two:", "three:"))
    gateway.wait_for("reloaded (files changed)", times=2)
    assert gateway.status()["services"] == 2
    assert checks(gateway) == WELL


@pytest.mark.parametrize("ask", ["reload", "SIGHUP"])
def test_a_rollback_ends_where_a_reload_is_asked_for(ask: str, start: Start) -> None:
    gateway = start(ONE)
    first = str(gateway.status()["revision"])
    gateway.write(TWO)
    gateway.wait_for("reloaded (files changed)")
    assert gateway.ask("rollback", first).returncode == 0
    if ask == "reload":
        assert gateway.ask("reload").returncode == 0
    else:
        gateway.signal(signal.SIGHUP)
        gateway.wait_for("reloaded (SIGHUP)")
    assert gateway.status()["services"] == 2
    assert checks(gateway) == WELL


def test_a_file_that_is_written_as_it_was_ends_a_rollback_to_the_same(start: Start) -> None:
    gateway = start(ONE)
    first = str(gateway.status()["revision"])
    gateway.write(TWO)
    gateway.wait_for("reloaded (files changed)")
    assert gateway.ask("rollback", first).returncode == 0
    gateway.write(ONE)
    gateway.wait_for("nothing changed (files changed)")
    assert checks(gateway) == WELL


def test_a_restart_after_a_rollback_serves_the_files_and_says_so(start: Start) -> None:
    gateway = start(ONE)
    first = str(gateway.status()["revision"])
    gateway.write(TWO)
    gateway.wait_for("reloaded (files changed)")
    assert gateway.ask("rollback", first).returncode == 0
    again = start(TWO)
    second = str(again.status()["revision"])
    (warning,) = [each for each in records(again) if each["level"] == "warning"]
    assert warning["message"] == (
        f"it had been rolled back to revision {first[:12]}; after this start the files serve again: "
        f"revision {second[:12]}. To go back: brain rollback {first[:12]}"
    )
    assert again.status()["services"] == 2


def test_a_restart_with_bad_files_serves_what_was_rolled_back_to(start: Start) -> None:
    gateway = start(ONE)
    first = str(gateway.status()["revision"])
    gateway.write(TWO)
    gateway.wait_for("reloaded (files changed)")
    assert gateway.ask("rollback", first).returncode == 0
    assert start(BROKEN).status()["revision"] == first


def test_a_rollback_that_can_not_be_built_is_refused_with_reasons(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(DROPIN)
    gateway = start(ONE + "plugins_dir: plugins\nplugins: [mine]\n")
    first = str(gateway.status()["revision"])
    gateway.write(TWO)
    gateway.wait_for("reloaded (files changed)")
    (tmp_path / "plugins" / "mine.py").unlink()
    done = gateway.ask("rollback", first)
    assert done.returncode == 1
    assert "there is no plugin 'mine'" in done.stderr
    assert gateway.status()["services"] == 2
    assert checks(gateway) == WELL, "the files are as good as before"
    assert gateway.ask("reload").returncode == 0


def test_a_rollback_to_what_the_files_say_changes_nothing(start: Start) -> None:
    gateway = start(ONE)
    revision = str(gateway.status()["revision"])
    done = gateway.ask("rollback", revision)
    assert (done.returncode, done.stdout) == (0, f"revision {revision}\n")
    assert done.stderr == "it serves already\n"
    assert checks(gateway) == WELL
    assert [each["cause"] for each in listed(gateway)["revisions"]] == ["start"]


def test_a_revision_that_is_not_there_is_told(start: Start) -> None:
    gateway = start(ONE)
    done = gateway.ask("rollback", "0123456789ab")
    assert done.returncode == 1
    assert "no kept revision begins with '0123456789ab'" in done.stderr
    assert "'brain revisions' lists those that are kept" in done.stderr
    assert gateway.ask("rollback", "latest").returncode == 2
    assert gateway.ask("rollback", "").returncode == 2


def test_a_gateway_that_keeps_nothing_says_what_to_set(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, ONE, settings="  shutdown: {grace: 0s, drain: 1s}\n")
    for command in (["revisions"], ["rollback", "abcd"], ["diff"]):
        done = gateway.ask(*command)
        assert done.returncode == 1, command
        assert "this gateway keeps no revisions" in done.stderr
        assert "BRAIN_STATE_DIR" in done.stderr
    assert gateway.end() == 0
    assert not (tmp_path / "state").exists()


def test_without_a_gateway_revisions_are_read_from_the_folder(start: Start, tmp_path: Path) -> None:
    gateway = start(ONE)
    revision = str(gateway.status()["revision"])
    gateway.end()
    none = ["--control", tmp_path / "none.sock"]
    for named in ([], [gateway.file], ["--state-dir", tmp_path / "state"]):
        done = brain("revisions", *none, "--json", *named, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["serves"], found["revisions"][0]["revision"]) == (None, revision)
    done = brain("revisions", *none, cwd=tmp_path, BRAIN_STATE_DIR=str(tmp_path / "state"))
    assert revision[:12] in done.stdout
    assert brain("rollback", revision, *none, cwd=tmp_path).returncode == 4


def test_what_is_missing_is_said_without_a_traceback(tmp_path: Path) -> None:
    none = ["--control", tmp_path / "none.sock"]
    done = brain("revisions", *none, cwd=tmp_path)
    assert done.returncode == 1
    assert "names no gateway.state_dir, and no gateway answers" in done.stderr
    done = brain("revisions", *none, "--state-dir", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"error: nothing is kept in {tmp_path}\n")
