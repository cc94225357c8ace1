"""The locks of the image and of its builder: parts of requirements.lock, and no more than needed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.image.kit import ROOT

PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$")
HASH = re.compile(r"^ +--hash=(sha256:[0-9a-f]{64})(?: \\)?$")
NAME = re.compile(r"^[A-Za-z0-9._-]+")

Lock = dict[str, tuple[str, frozenset[str]]]


def read(name: str) -> Lock:
    """Return version and hashes of each package of a lock."""
    found: dict[str, tuple[str, set[str]]] = {}
    package = ""
    for line in Path(ROOT / name).read_text().splitlines():
        if pin := PIN.match(line):
            package = pin[1]
            found[package] = (pin[2], set())
        elif hashed := HASH.match(line):
            found[package][1].add(hashed[1])
        else:
            assert line.lstrip().startswith("#"), f"{name}: {line}"
    return {key: (version, frozenset(hashes)) for key, (version, hashes) in found.items()}


def names(requirements: list[str]) -> set[str]:
    return {found[0].lower() for each in requirements if (found := NAME.match(each))}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
RUNNING = ("basic", "compress", "tracing", "valkey")
"""The extras of the image."""
WHOLE = read("requirements.lock")
IMAGE = read("requirements-image.lock")
BUILD = read("requirements-build.lock")


@pytest.mark.parametrize("name", ["requirements-image.lock", "requirements-build.lock"])
def test_it_is_a_part_of_the_whole_lock_at_equal_versions_and_hashes(name: str) -> None:
    """Where this fails: `make lock`."""
    part = read(name)
    assert part
    assert {key: WHOLE.get(key) for key in part} == part
    assert all(hashes for _, hashes in part.values())


def what_runs() -> set[str]:
    extras = (each for name in RUNNING for each in EXTRAS[name])
    return names([*PROJECT["project"]["dependencies"], *extras])


def test_the_image_has_what_runs() -> None:
    assert what_runs() <= set(IMAGE)


def test_the_image_has_nothing_that_shows_tests_develops_or_measures() -> None:
    others = {name for name in EXTRAS if name not in RUNNING}
    assert others == {"demo", "test", "dev", "bench", "testing"}
    kept_out = set().union(*(names(EXTRAS[name]) for name in others)) - what_runs()
    assert not kept_out & set(IMAGE)


def test_the_builder_has_the_build_system_and_little_else() -> None:
    assert names(PROJECT["build-system"]["requires"]) <= set(BUILD)
    assert len(BUILD) < 10
