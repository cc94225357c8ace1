"""What the command line and the environment put over the files, and where that is told."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from proxy.cli.overrides import Overrides
from proxy.config.load import load_or_raise
from proxy.config.models import Address, Config
from proxy.errors import ConfigError
from proxy.plugin.catalog import Catalog
from tests.cli.kit import ROOT, GatewayProcess, brain

SERVICES = 'services:\n  echo: {upstream: "http://127.0.0.1:9", public: true}\n'
FIXED = "  shutdown: {grace: 0s, drain: 1s}\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "routes.yaml"
    file.write_text("version: 1\n" + SERVICES)
    found = load_or_raise([file], environment={}, catalog=Catalog()).config
    assert found is not None
    return found


def test_what_is_not_given_leaves_the_file_alone(config: Config) -> None:
    assert Overrides().adjust(config) == config
    assert Overrides().over == {"gateway": {}, "log": {}}


def test_what_is_given_wins(config: Config) -> None:
    given = Overrides(
        Address("127.0.0.1", 1), Address("127.0.0.1", 2), "c.sock", grace=0.5, log_format="text"
    )
    made = given.adjust(config)
    gateway = made.gateway
    assert (gateway.listen, gateway.admin, gateway.control) == (given.listen, given.admin, "c.sock")
    assert (gateway.shutdown.grace, gateway.shutdown.drain) == (0.5, 25.0)
    assert (made.log.format, made.log.level) == ("text", "info")
    assert given.over == {
        "gateway": {
            "listen": "127.0.0.1:1",
            "admin": "127.0.0.1:2",
            "control": "c.sock",
            "shutdown": {"grace": "0.5s"},
        },
        "log": {"format": "text"},
    }


TICKETS = """
from proxy import Plugin

class Tickets(Plugin):
    one_process = "the list of used tickets"

    async def __call__(self, request, handler):
        return await handler(request)
"""


def test_more_workers_than_a_plugin_can_have_are_refused_on_the_command_line_too(
    tmp_path: Path,
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "tickets.py").write_text(TICKETS)
    text = f"version: 1\nplugins_dir: own\nplugins: [tickets]\n{SERVICES}"
    (tmp_path / "routes.yaml").write_text(text)
    asked = brain("run", "routes.yaml", "--workers", "2", cwd=tmp_path)
    assert asked.returncode == 1
    assert "2 workers would have the list of used tickets ('tickets')" in asked.stderr
    assert "one worker" in asked.stderr

    found = load_or_raise([tmp_path / "routes.yaml"], environment={}, catalog=Catalog()).config
    assert found is not None
    assert Overrides(workers=1).adjust(found).gateway.workers == 1
    with pytest.raises(ConfigError):  # what a reload would run into
        Overrides(workers=2).adjust(found)


def test_the_configuration_page_shows_them(tmp_path: Path) -> None:
    running = GatewayProcess(
        tmp_path, SERVICES, "--no-watch", "--log-format", "text", settings=FIXED
    )
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.admin_port}/config") as page:
            shown = json.load(page)
    finally:
        assert running.end() == 0
    assert shown["overridden"] == ["log.format"]
    assert shown["effective"]["log"]["format"] == "text"


def variables(text: str) -> set[str]:
    return set(re.findall(r"BRAIN_[A-Z_]+", text))


def test_every_setting_of_the_environment_is_in_the_help_and_in_the_readme(tmp_path: Path) -> None:
    helped = set()
    for command in ("run", "demo", "status", "reload"):
        helped |= variables(brain(command, "--help", cwd=tmp_path).stdout)
    readme = (ROOT / "README.md").read_text()
    read = {
        name
        for file in (ROOT / "proxy" / "cli").glob("*.py")
        for name in re.findall(r'"(BRAIN_[A-Z_]+)"', file.read_text())
    }
    assert read == helped
    assert read <= variables(readme)
