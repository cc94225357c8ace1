"""`brain errors`: for people, scripts and the page of the documentation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.cli.error_page import page
from proxy.cli.errors import diagnostic_rows, exchange_rows
from proxy.codes import CODES, Side
from proxy.config.codes import Code as Diagnostic
from tests.cli.kit import ROOT, brain, environment

KEYS = ["code", "status", "title", "side", "stage", "retryable", "detail", "remedy", "type"]
KEYS += ["proxy_error"]


def test_the_table_has_every_code_by_side_status_and_name(tmp_path: Path) -> None:
    done = brain("errors", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head.split("  ")[0] == "CODE"
    assert head.endswith("WHAT TO DO")
    assert sorted(line.split()[0] for line in lines) == sorted(CODES)
    sides = [side.value for side in Side]
    keys = [(sides.index(side), int(status), code) for code, status, side in map(first, lines)]
    assert keys == sorted(keys)
    at = head.index("WHAT TO DO")
    for line in lines:
        assert line[at - 1] == " ", "columns are aligned"
        assert line[at:] == CODES[line.split()[0]].remedy


def first(line: str) -> tuple[str, str, str]:
    code, status, side = line.split()[:3]
    return code, status, side


def test_one_code_is_told_in_full(tmp_path: Path) -> None:
    done = brain("errors", "upstream_connect_refused", cwd=tmp_path)
    row = CODES["upstream_connect_refused"]
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "code         upstream_connect_refused",
        "status       502 Bad Gateway",
        "side         upstream",
        "stage        connect",
        "retryable    yes",
        f"clients read {row.detail}",
        f"what to do   {row.remedy}",
        "type         urn:brain-gateway:error:upstream_connect_refused",
        "RFC 9209     connection_refused",
    ]


def test_a_code_of_files_is_told_by_its_own_words(tmp_path: Path) -> None:
    done = brain("errors", "BG103", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "code         BG103",
        "severity     error",
        f"meaning      {Diagnostic.UNKNOWN_KEY.meaning}",
        f"what to do   {Diagnostic.UNKNOWN_KEY.remedy}",
    ]


@pytest.mark.parametrize(
    ("copied", "code"),
    [
        ("urn:brain-gateway:error:no_route", "no_route"),
        ("No_Route", "no_route"),
        ("bg303", "BG303"),
    ],
)
def test_a_code_is_found_as_it_was_copied(copied: str, code: str, tmp_path: Path) -> None:
    assert json.loads(brain("errors", copied, "--json", cwd=tmp_path).stdout)["code"] == code


@pytest.mark.parametrize(
    ("mistyped", "told"),
    [
        ("upstream_conect_refused", "did you mean 'upstream_connect_refused'?"),
        ("bg1033", "did you mean 'BG103'?"),
        ("xyzzy", "there is no code 'xyzzy'\n"),
    ],
)
def test_an_unknown_code_is_an_error_with_the_nearest_one(
    mistyped: str, told: str, tmp_path: Path
) -> None:
    done = brain("errors", mistyped, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--typescript"],
        ["--markdown", "--typescript"],
        ["no_route", "--typescript"],
        ["--config", "--markdown"],
        ["no_route", "--config"],
        ["no_route", "bad_path"],
    ],
)
def test_options_that_make_no_sense_together_are_misuse(
    arguments: list[str], tmp_path: Path
) -> None:
    done = brain("errors", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "errors [OPTIONS] [CODE]" in done.stderr


def test_scripts_get_an_array_of_all_codes_of_requests(tmp_path: Path) -> None:
    rows = json.loads(brain("errors", "--json", cwd=tmp_path).stdout)
    assert {row["code"] for row in rows} == set(CODES)
    for row in rows:
        assert list(row) == KEYS
        known = CODES[row["code"]]
        assert (row["status"], row["side"]) == (known.status, known.side.value)
        assert (row["retryable"], row["remedy"]) == (known.retryable, known.remedy)
        assert row["type"].endswith(f":{row['code']}")


def test_scripts_get_the_codes_of_files_when_they_ask_for_them(tmp_path: Path) -> None:
    rows = json.loads(brain("errors", "--config", "--json", cwd=tmp_path).stdout)
    assert [row["code"] for row in rows] == sorted(Diagnostic)
    assert {row["severity"] for row in rows} == {"error", "warning"}
    table = brain("errors", "--config", cwd=tmp_path).stdout
    assert [line.split()[0] for line in table.splitlines()[1:]] == sorted(Diagnostic)


def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    """Who is woken at night asks more than once, and a build asks for the module."""
    script = (
        "import sys\n"
        "from proxy.cli.main import main\n"
        "sys.argv = ['brain', 'errors', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'yaml', 'jsonschema', 'msgspec', 'asyncio', 'uvloop', 'ssl'}\n"
        "sys.stderr.write(str(sorted(heavy & set(sys.modules))))"
    )
    for arguments in ([], ["no_route"], ["BG103"], ["--json"], ["--typescript"], ["--markdown"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env=environment(),
        )
        assert done.stdout
        assert done.stderr == "[]", arguments


def test_the_page_of_the_documentation_is_what_the_command_prints(tmp_path: Path) -> None:
    printed = brain("errors", "--markdown", cwd=tmp_path).stdout
    assert printed == page(exchange_rows(), diagnostic_rows())
    written = (ROOT / "docs" / "errors.md").read_text()
    assert written == printed, "run: brain errors --markdown > docs/errors.md"


def test_the_page_has_every_code_once_in_its_tables(tmp_path: Path) -> None:
    lines = page(exchange_rows(), diagnostic_rows()).splitlines()
    codes = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert sorted(codes) == sorted([*CODES, *Diagnostic])
    for line in lines:
        if line.startswith("| "):
            assert line.count("|") in (5, 7), "no cell breaks its table"
            assert line.count("`") % 2 == 0
