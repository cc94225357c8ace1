"""`brain why`: its sentences, its lists and its exit codes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.why_text import STAGES
from proxy.codes import CODES
from tests.cli.kit import GatewayProcess, brain

FILE = (
    "plugins: [request-id]\n"
    'services:\n  dead: {upstream: {targets: ["http://127.0.0.1:9", "http://127.0.0.2:9"]}, '
    "public: true}\n"
    "  said: {upstream: 'http://127.0.0.1:9', public: true, plugins: [{respond: {status: 204}}]}\n"
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(
        tmp_path, FILE, "--no-watch", settings="  shutdown: {grace: 0s, drain: 1s}\n"
    )
    yield process
    assert process.end() == 0
    assert "Traceback" not in process.log


def get(running: GatewayProcess, path: str) -> str:
    """Ask for a path and return the id of its answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}{path}") as answer:
            return str(answer.headers["X-Request-Id"])
    except urllib.error.HTTPError as answer:
        return str(answer.headers["X-Request-Id"])


def test_a_failure_is_told_in_sentences(running: GatewayProcess) -> None:
    request_id = get(running, "/api/brain/dead/x?secret=1")
    done = running.ask("why", request_id)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout
    assert said.startswith("GET /api/brain/dead/x\n")
    assert "secret" not in said
    for line in (
        f"id          {request_id}",
        "route       dead of service dead",
        "client got  502 from the gateway",
        "to blame    the upstream, at the stage 'connect' (opening the connection): http://127.0.0.2",
        "because     upstream_connect_refused: The service refused the connection.",
        "what to do  See whether the service runs and listens on that port",
        "- tried again: the target had got nothing yet",
        "- not tried again: there were as many attempts as the route allows (retry.attempts)",
    ):
        assert line in said
    table = said.partition("\n\n")[2].splitlines()
    head, first = table[0].split(), table[1].split()
    assert head[:4] == ["attempt", "target", "connection", "outcome"]
    assert first[:4] == ["1", "http://127.0.0.1:9", "new", "upstream_connect_refused"]


def test_every_stage_of_a_code_is_told_in_words() -> None:
    assert {code.stage for code in CODES.values()} <= STAGES.keys()


def test_what_is_not_kept_is_1_and_says_how_much_is(running: GatewayProcess) -> None:
    done = running.ask("why", "no such id/..")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("'no such id/..' is not kept: nothing was asked since")
    get(running, "/api/brain/dead/x")
    done = running.ask("why", "none", "--json")
    assert done.returncode == 1
    assert "the last 1 since " in done.stderr
    assert "and 1 that failed" in done.stderr
    assert json.loads(done.stdout)["exchange"] is None


def test_lists_have_a_line_for_each(running: GatewayProcess) -> None:
    failed, said = get(running, "/api/brain/dead/x"), get(running, "/api/brain/said/x")
    get(running, "/nowhere")
    lines = [line.split() for line in running.ask("why", "--last").stdout.splitlines()]
    assert lines[0] == ["began", "id", "status", "ms", "tries", "route", "code", "request"]
    assert [line[5] for line in lines[1:]] == ["-", "said", "dead"]
    assert lines[2][1] == said
    assert lines[3][-3:] == ["upstream_connect_refused", "GET", "/api/brain/dead/x"]
    assert len(running.ask("why", "--last", "1").stdout.splitlines()) == 2
    (line,) = running.ask("why", "--failed").stdout.splitlines()[1:]
    assert failed in line
    (line,) = running.ask("why", "--route", "said").stdout.splitlines()[1:]
    assert said in line
    found = json.loads(running.ask("why", "--last", "2", "--json").stdout)
    assert [told["route"] for told in found["exchanges"]] == ["-", "said"]
    none = running.ask("why", "--route", "other")
    assert (none.returncode, none.stdout) == (0, "")
    assert "no such exchange is kept" in none.stderr


def test_what_a_plugin_answered_asked_no_target(running: GatewayProcess) -> None:
    said = running.ask("why", get(running, "/api/brain/said/x")).stdout
    assert "client got  204 from the plugin 'respond'" in said
    assert "to blame    nobody" in said
    assert "no target was asked" in said
    assert "attempt" not in said


@pytest.mark.parametrize("given", [[], ["an-id", "--last"], ["an-id", "--failed"], ["--last", "0"]])
def test_a_question_that_makes_no_sense_is_2(given: list[str], tmp_path: Path) -> None:
    assert brain("why", *given, cwd=tmp_path).returncode == 2


def test_without_a_gateway_it_is_4(tmp_path: Path) -> None:
    done = brain("why", "id", "--control", tmp_path / "none.sock", cwd=tmp_path)
    assert done.returncode == 4
    assert "pass --control PATH or set BRAIN_CONTROL" in done.stderr
