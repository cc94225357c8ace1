"""What the Dockerfile promises of the image, read from its instructions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.config.load import load_or_raise
from proxy.plugin.catalog import Catalog
from proxy.version import VERSION
from tests.image.dockerfile import SHELL, Stage, expanded, stages
from tests.image.kit import ROOT
from tests.image.root import NEEDS_AN_ENGINE, NEEDS_ROOT, Ignored, ignore_rules

TEXT = (ROOT / "Dockerfile").read_text()
BUILD, IMAGE = stages(TEXT)


def test_both_stages_have_the_same_python_whose_minor_version_is_pinned() -> None:
    assert BUILD.base == IMAGE.base, "an environment and its bytecode belong to one Python"
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", IMAGE.base)


def test_it_runs_as_a_fixed_user_that_is_not_root() -> None:
    user, _, group = IMAGE.one("USER").text.partition(":")
    assert int(user) >= 10000, "an uid that no user of the host has"
    assert user == group
    made = [step.text for step in IMAGE.all("RUN")]
    assert any(f"useradd --uid {user} " in text for text in made)
    assert any(f"-o {user} -g {group} " in text for text in made)


def test_signals_reach_the_gateway_itself() -> None:
    entry, main = IMAGE.one("ENTRYPOINT").command, IMAGE.one("CMD").command
    assert (entry, main) == (("brain",), ("run", "/etc/brain/routes.yaml"))
    assert IMAGE.one("STOPSIGNAL").text == "SIGTERM"
    health = IMAGE.one("HEALTHCHECK").command
    assert health == ("brain", "status", "--quiet")
    assert health[: len(SHELL)] != SHELL, "a shell would cost more than the check itself"


def test_the_ports_are_those_of_the_shipped_routes() -> None:
    config = load_or_raise([ROOT / "routes.yaml"], environment={}, catalog=Catalog()).config
    assert config is not None
    assert config.gateway.admin is not None
    ports = [config.gateway.listen.port, config.gateway.admin.port]
    assert IMAGE.one("EXPOSE").text.split() == [str(port) for port in ports]


def test_its_labels_are_the_distributions() -> None:
    labels = IMAGE.one("LABEL").pairs
    known = "org.opencontainers.image."
    assert {key.removeprefix(known) for key in labels} >= {"title", "description", "licenses"}
    assert all(key.startswith(known) for key in labels)
    assert labels[f"{known}version"] == VERSION


def test_only_locked_packages_are_installed_and_none_is_compiled() -> None:
    installs = [step.text for step in BUILD.all("RUN") if " install " in step.text]
    from_index = [text for text in installs if "--no-index" not in text]
    assert len(from_index) == 2
    for text in from_index:
        assert "--require-hashes" in text
        assert "--only-binary :all:" in text
    assert not any("pip" in step.text.split() for step in IMAGE.all("RUN"))


def test_no_secret_and_no_stray_file_reaches_the_builder() -> None:
    ignored = ignore_rules(ROOT)
    sources = {
        source
        for stage in (BUILD, IMAGE)
        for step in stage.all("COPY")
        if "from" not in step.flags
        for source in step.text.split()[:-1]
    }
    assert not [source for source in sources if ignored(source)]
    for stray in (".env", ".git/config", "server.key", "tests/conftest.py", ".venv/bin/python"):
        assert ignored(stray), stray
    assert ignored("proxy/__pycache__/paths.cpython-311.pyc")
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"]
    assert sorted(let_in) == sorted(sources), "what nobody copies needs no way in"


def test_what_can_not_run_here_is_as_little_as_that() -> None:
    """Each step that is added runs in the tests, or stands in one of these two lists."""
    first = [step.text.split()[0] for stage in (BUILD, IMAGE) for step in stage.all("RUN")]
    assert sorted(set(first) - {"pip", "python"}) == sorted({**NEEDS_AN_ENGINE, **NEEDS_ROOT})


def test_the_reader_joins_lines_and_knows_both_forms() -> None:
    text = (
        "# syntax=docker/dockerfile:1\nARG TAG=1\nFROM base:${TAG} AS first\n"
        'RUN one \\\n  # a reason\n  && two\nENV A=1 \\\n    B="two words"\n'
        'FROM first\nHEALTHCHECK --interval=3s CMD ["x", "y"]\nCMD z\n'
    )
    first, last = stages(text)
    assert (first.base, first.name, last.base, last.name) == ("base:1", "first", "first", "1")
    assert first.one("RUN").command == (*SHELL, "one && two")
    assert first.one("ENV").pairs == {"A": "1", "B": "two words"}
    health = last.one("HEALTHCHECK")
    assert (health.flags, health.command) == ({"interval": "3s"}, ("x", "y"))
    assert last.one("CMD").command == (*SHELL, "z")


@pytest.mark.parametrize(
    "text", ["FROM a\nADD x y", "FROM a\nrun x", "FROM a\nRUN cat <<E", "RUN x", "FROM a\nRUN x \\"]
)
def test_the_reader_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(AssertionError):
        stages(text)


def test_a_variable_that_is_not_set_is_an_error() -> None:
    assert expanded("a${B}$C", {"B": "b", "C": "c"}) == "abc"
    with pytest.raises(KeyError):
        expanded("${NONE}", {})


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("a", True),
        ("b", False),
        ("b/c", False),
        ("b/d/x", True),
        ("b/cache/x", True),
        ("other/b", True),
    ],
)
def test_the_last_rule_that_matches_decides(path: str, ignored: bool) -> None:
    rules = Ignored("# rules\n*\n!b\nb/d\n**/cache\n")
    assert rules(path) == ignored


def test_the_reader_of_stages_keeps_the_order() -> None:
    assert [step.word for step in BUILD.instructions][:2] == ["ENV", "WORKDIR"]
    assert isinstance(BUILD, Stage)
    assert (BUILD.name, Path(BUILD.one("WORKDIR").text)) == ("build", Path("/build"))
