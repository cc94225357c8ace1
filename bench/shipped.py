"""The shipped routes.yaml, and a file to lay over it that takes away what another server is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bench.process import ROOT

FILE = ROOT / "routes.yaml"
ELSEWHERE = "credentials"
"""The plugin for which a secret store is asked while the gateway starts."""


def without_servers(folder: Path) -> Path:
    """Write the overlay into ``folder``: no stores, and no service that needs one."""
    written = yaml.safe_load(FILE.read_text())
    needing = {
        name: {"plugins": None}
        for name, service in written["services"].items()
        if isinstance(service, dict) and _names(service.get("plugins", ())) & {ELSEWHERE}
    }
    overlay = folder / "without-servers.yaml"
    overlay.write_text(yaml.safe_dump({"version": 1, "secrets": None, "services": needing}))
    return overlay


def _names(plugins: list[Any]) -> set[str]:
    return {name for entry in plugins for name in (entry if isinstance(entry, dict) else [entry])}
