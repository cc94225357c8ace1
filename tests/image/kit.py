"""What the tests of the image share: where things are, and a container without an engine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.image.dockerfile import Stage
from tests.image.root import Root

ROOT = Path(__file__).parents[2]

NEEDED = {"GATEWAY_HOST": "api.example.com", "BRAIN_TRUSTED_PROXIES": "172.20.0.0/16"}
"""What compose.yaml asks of its operator."""


class Container:
    """Starts commands as an engine would: the image's user, folder and environment, nothing else."""

    def __init__(self, root: Root, stage: Stage, environment: Mapping[str, str]) -> None:
        self._entry = stage.one("ENTRYPOINT").command
        self._main = stage.one("CMD").command
        self._health = stage.one("HEALTHCHECK").command
        self._root = root
        user, _, group = stage.one("USER").text.partition(":")
        own = _as_user(int(user), int(group))
        self.user = int(own.get("user", os.geteuid()))
        self._options: dict[str, Any] = {
            "cwd": root.path(stage.one("WORKDIR").text),
            "env": {**root.environment, **environment},
            **own,
        }

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Start what the image starts; both its streams go to `log`."""
        with log.open("wb") as stream:
            return subprocess.Popen(
                self._here([*self._entry, *self._main]),
                stdout=stream,
                stderr=stream,
                **self._options,
            )

    def health(self) -> int:
        """Run the health check and return its exit code. It must be silent."""
        done = self.execute(self._health)
        assert done.stdout + done.stderr == ""
        return done.returncode

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `docker exec` does."""
        return subprocess.run(
            self._here(command),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            **self._options,
        )

    def _here(self, command: Sequence[str]) -> list[str]:
        return [self._root.here(part) for part in command]


def _as_user(user: int, group: int) -> dict[str, Any]:
    """Who the process is: only root can be somebody else."""
    if os.geteuid() != 0:
        return {}
    return {"user": user, "group": group, "extra_groups": []}
