"""`brain doctor`, as somebody at a terminal sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from proxy.cli.doctor import doctor
from tests.cli.kit import ROOT, brain, free_port


class Old(BaseHTTPRequestHandler):
    """A server that speaks HTTP/1.0."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Old)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routes.yaml").write_text(
        "version: 1\nservices:\n"
        f'  well: {{upstream: "http://127.0.0.1:{port}", public: true, aliases: [good]}}\n'
        f'  gone: {{upstream: "http://127.0.0.1:{free_port()}", public: true}}\n'
    )
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, arguments)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["well"], 0),
        (["good"], 0),
        (["gone"], 1),
        ([], 1),
        (["well", "gone", "--json"], 1),
        (["nothing"], 2),
        (["well", "--idle-wait", "soon"], 2),
        (["well", "--idle-wait", "1h"], 2),
        (["well", "--public-host", "a b"], 2),
        (["well", "--public-host", "a\r\nX: y"], 2),
        (["well", "--path", "no-slash"], 2),
        (["well", "--path", "/a b"], 2),
        (["well", "--file", "nowhere.yaml"], 1),
    ],
)
def test_the_exit_code_says_how_it_went(arguments: list[str], code: int) -> None:
    found = run(*arguments)
    assert found.exit_code == code, found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)


def test_a_service_that_is_not_there_gets_a_suggestion() -> None:
    found = run("wel")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "there is no service 'wel'. Did you mean 'well'?" in found.stderr


def test_only_the_services_that_are_named_are_asked() -> None:
    assert [one["name"] for one in json.loads(run("good", "--json").stdout)["upstreams"]] == [
        "well"
    ]
    both = json.loads(run("gone", "well", "--json").stdout)
    assert [one["name"] for one in both["upstreams"]] == ["well", "gone"]


def test_a_note_shows_what_was_sent_and_what_came() -> None:
    found = run("well").stdout
    assert "  note     keepalive   keeps no connection: it speaks HTTP/1.0" in found
    assert "sent  GET / (Host: 127.0.0.1:" in found
    assert "came  200 in " in found
    # It takes 100 fields, those that a gateway adds among them.
    assert "  note     bounds      takes 43 fields, and answers 431 to 100" in found
    assert found.endswith("0 problems, 2 notes\n")


def test_a_bad_file_is_its_diagnostics_on_stderr(folder: Path) -> None:
    (folder / "routes.yaml").write_text("version: 1\nservices: {a: http://a}\n")
    found = run()
    assert (found.exit_code, found.stdout) == (1, "")
    assert "BG210" in found.stderr


TOP = "upstreams problems notes"
UPSTREAM = "name services place path targets findings"
FINDING = "check severity summary targets evidence mend advice"


def test_json_has_the_documented_keys() -> None:
    told = json.loads(run("--json").stdout)
    assert " ".join(told) == TOP
    upstream = told["upstreams"][0]
    assert " ".join(upstream) == UPSTREAM
    assert " ".join(upstream["findings"][0]) == FINDING
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    every = f"{TOP} {UPSTREAM} {FINDING} url requests sent came line place where".split()
    assert {key for key in every if f"`{key}`" not in page} == set()


def test_it_is_a_command_of_the_real_program(folder: Path) -> None:
    found = brain("doctor", "well", "--json", cwd=folder)
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["problems"] == 0
