"""An image's root as a folder: the Dockerfile's steps run in it as they stand, without an engine.

Absolute paths that belong to the image are moved below the folder; `python` and `pip` are those of
an environment of the copied Python (see `base`). Both stages share one root, so that what is copied
from stage to stage stays where it is: an environment can't be moved anyway.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.image.base import copy_python
from tests.image.dockerfile import Instruction, Stage, expanded

OWN = ("/build", "/opt/brain", "/etc/brain", "/run/brain", "/var/lib/brain")
"""The absolute paths that the Dockerfile makes."""

_OWN = re.compile(rf"(?<![\w./-])({'|'.join(OWN)})(?![\w.-])")
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

NEEDS_AN_ENGINE = {"groupadd": "it changes the machine's users"}
"""First words of what is not run here, and why."""

NEEDS_ROOT = {"install": "it gives folders to another user"}


class Root:
    """`python` has pip, as the base image's; `environment` is what the steps so far have set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "tools/bin/python"
        self.environment: dict[str, str] = {}
        self._base: Mapping[str, str] = {}
        self.left_out: list[str] = []

    def path(self, text: str) -> Path:
        """Return where a path of the image is."""
        return Path(self.here(text))

    def here(self, text: str) -> str:
        """Move the image's own absolute paths in a text below the folder."""
        return _OWN.sub(lambda found: f"{self.folder}{found[1]}", text)

    def make_base(self) -> None:
        """Make what the base image brings, and the folders that exist before any step."""
        self._base = copy_python(self.folder / "usr/local")
        subprocess.run(
            [self.folder / "usr/local/bin/python3", "-m", "venv", self.python.parents[1]],
            env={**_machine(), **self._base},
            check=True,
        )
        for own in OWN:
            self.path(own).parent.mkdir(parents=True, exist_ok=True)

    def build(self, stage: Stage, context: Path) -> None:
        """Carry a stage's steps out in order; what only describes the image is left to others."""
        self.environment = {**self._base, "PATH": f"{self.python.parent}:{_SYSTEM}"}
        folder = self.folder
        for step in stage.instructions:
            if step.word == "WORKDIR":
                folder = self.path(step.text)
                folder.mkdir(parents=True, exist_ok=True)
            elif step.word == "ENV":
                self._set(step)
            elif step.word == "COPY":
                self._copy(step, context, folder)
            elif step.word == "RUN":
                self._run(step, folder)

    def _set(self, step: Instruction) -> None:
        values = {name: self.here(value) for name, value in step.pairs.items()}
        self.environment |= {
            name: expanded(value, self.environment) for name, value in values.items()
        }

    def _copy(self, step: Instruction, context: Path, folder: Path) -> None:
        *sources, target = step.text.split()
        if "from" in step.flags:
            assert sources == [target], f"{step}: an environment stays where it was made"
            return
        ignored = ignore_rules(context)
        to = folder / self.here(target)
        for source in sources:
            assert not ignored(source), f"{source} never reaches the builder: see .dockerignore"
            if (context / source).is_dir():
                assert len(sources) == 1, f"{step}: Docker would pour several folders into one"
                shutil.copytree(context / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place = to / Path(source).name if target.endswith("/") else to
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(context / source, place)

    def _run(self, step: Instruction, folder: Path) -> None:
        first = step.text.split()[0]
        if first in NEEDS_AN_ENGINE or (first in NEEDS_ROOT and os.geteuid() != 0):
            self.left_out.append(first)
            return
        done = subprocess.run(
            [self.here(part) for part in step.command],
            cwd=folder,
            env={**_machine(), **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"line {step.line}: {step.text}\n{done.stdout}{done.stderr}"


def _machine() -> dict[str, str]:
    """What a machine may need to reach its package index: nothing that steers Python itself."""
    kept = os.environ.items()
    return {key: value for key, value in kept if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}


def ignore_rules(context: Path) -> Ignored:
    return Ignored((context / ".dockerignore").read_text())


class Ignored:
    """The rules of a .dockerignore: the last one that matches decides, `!` lets in again."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        self._rules = [line for line in lines if line and not line.startswith("#")]

    def __call__(self, path: str) -> bool:
        ignored = False
        for rule in self._rules:
            pattern = rule.removeprefix("!").removesuffix("/")
            if _matches(path, pattern):
                ignored = not rule.startswith("!")
        return ignored


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern takes a path, or a folder above it. `**/` stands for any depth."""
    parts = path.split("/")
    heads = ["/".join(parts[: at + 1]) for at in range(len(parts))]
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
    return any(
        fnmatch.fnmatchcase(head, pattern) and head.count("/") == pattern.count("/")
        for head in heads
    )
