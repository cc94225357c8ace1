"""`brain status --quiet`: exit code 0 when the gateway serves. Imports next to nothing."""

from __future__ import annotations

import os
import sys

from proxy.cli.socket_client import UNREACHABLE, Unreachable, ask, default_path


def quiet(arguments: list[str]) -> int:
    """Return 0 when a gateway serves, 1 when it is draining, 4 when none answers, 2 for misuse."""
    path = os.environ.get("BRAIN_CONTROL") or default_path()
    if arguments[:1] == ["--control"] and len(arguments) == 2:
        path = arguments[1]
    elif arguments:
        sys.stderr.write("usage: brain status --quiet [--control PATH]\n")
        return 2
    try:
        _, status = ask(path, "GET", "/status", timeout=3.0)
    except Unreachable:
        return UNREACHABLE
    return 0 if status.get("status") == "serving" else 1
