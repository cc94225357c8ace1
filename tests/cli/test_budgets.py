"""What a command may cost: processor time, and the libraries that it imports.

These are the only tests that measure time, and it is the processor's, not the clock's: what else the
machine does hardly counts. Hardly is not at all, caches are shared: so the best of five counts, which
only a command that really costs more can spoil.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kit import ROOT, GatewayProcess, environment

RUN = "from proxy.cli.main import main; main()"  # as the installed script does
RUN_AND_TELL = f"""
import sys
try:
    {RUN}
finally:
    print(*sys.modules, file=sys.stderr)
"""

LIBRARIES = frozenset(
    {
        *(
            "aiohttp",
            "aiohttp_cors",
            "argon2",
            "bcrypt",
            "brotli",
            "hishel",
            "httptools",
            "hvac",
            "jsonschema",
        ),
        *("msgspec", "opentelemetry", "prometheus_client", "temporalio", "uvloop", "watchfiles"),
        *("yaml", "zstandard"),
    }
)
LOOP = frozenset({"asyncio", "ssl"})
HEAVY = LIBRARIES | LOOP
"""What costs milliseconds to import, each."""

CONTRACT = LOOP | {"aiohttp", "aiohttp_cors", "bcrypt", "brotli", "msgspec"}
"""What comes with the code of plugins: their requests and answers are aiohttp's.

brotli is imported by aiohttp, and bcrypt by cryptography, wherever they are installed.
"""

MAY_IMPORT: dict[str, frozenset[str]] = {
    "--help": frozenset(),
    "--version": frozenset(),
    "check --help": frozenset(),
    "run --help": frozenset(),
    "status": frozenset(),
    "status --quiet": frozenset(),
    "reload": frozenset(),
    "revisions": frozenset(),
    "rollback {revision}": frozenset(),
    "diff": CONTRACT | {"yaml"},
    "why --last": frozenset(),
    "schema": CONTRACT,
    "schema --plugins-only": CONTRACT,
    "check": CONTRACT | {"yaml"},
    "check --no-plugins": frozenset({"yaml"}),
    "routes": CONTRACT | {"yaml"},
    "explain GET /api/brain/lago/x": CONTRACT | {"yaml", "httptools"},
    "secrets --help": frozenset(),
    "secrets status": frozenset(),
    "secrets refresh --help": frozenset(),
    "secrets check --help": frozenset(),
    "secrets policy --help": frozenset(),
    "doctor --help": frozenset(),
    "plugin --help": frozenset(),
    "plugin list": CONTRACT | {"yaml"},
    "plugin reference": frozenset(),
    "errors": frozenset(),
    "errors --typescript": frozenset(),
}
"""The heavy libraries that a command may import; all others must wait until they are used."""

TRIES = 5


@pytest.fixture
def running(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(
        tmp_path,
        'services:\n  echo: {upstream: "http://127.0.0.1:9", public: true}\n',
        "--no-watch",
        settings="  state_dir: state\n  shutdown: {grace: 0s, drain: 1s}\n",
    )
    yield process
    assert process.end() == 0


@pytest.mark.parametrize("command", MAY_IMPORT)
def test_a_command_imports_no_library_that_it_does_not_need(
    command: str, running: GatewayProcess
) -> None:
    allowed = MAY_IMPORT[command]
    if "{revision}" in command:
        command = command.format(revision=running.status()["revision"])
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_TELL, *command.split()],
        cwd=ROOT,
        env=environment(BRAIN_CONTROL=str(running.control)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}
    assert "proxy" in imported
    assert imported & HEAVY <= allowed


def test_the_table_has_every_command_but_those_that_serve() -> None:
    from proxy.cli.main import COMMANDS

    assert {row.split()[0] for row in MAY_IMPORT} >= set(COMMANDS) - {"run", "demo"}


def best(*command: str, control: Path) -> float:
    """Return seconds of processor time, user and system, of the cheapest of some runs."""
    return min(_cost(command, control) for _ in range(TRIES))


def _cost(command: tuple[str, ...], control: Path) -> float:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *command],
        cwd=ROOT,
        env=environment(BRAIN_CONTROL=str(control)),
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_the_health_check_costs_a_twentieth_of_a_second_at_most(running: GatewayProcess) -> None:
    """Every ten seconds, on half a processor: one percent of it."""
    assert best("status", "--quiet", control=running.control) <= 0.05


def test_a_check_of_the_shipped_routes_costs_half_a_second_at_most(tmp_path: Path) -> None:
    """It stands in editors, in commit hooks, and before each deployment."""
    assert best("check", control=tmp_path / "none.sock") <= 0.5
