"""Talking to a running gateway's control socket, with nothing but `socket` and `json`."""

from __future__ import annotations

import json
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself takes longer to import than all of this
    from typing import Any

UNREACHABLE = 4
"""Exit code when no gateway listens on the control socket."""


class Unreachable(Exception):
    """Nobody answers on a control socket, or not as a gateway does. Its text says what to do."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"no gateway answers on {path}: pass --control PATH or set BRAIN_CONTROL\n"
            "  (the line with which a gateway starts names its control socket)"
        )


def default_path() -> str:
    """Return where a gateway's control socket is unless its file says otherwise."""
    return f"{os.environ.get('XDG_RUNTIME_DIR', '/tmp')}/brain.sock"  # noqa: S108  as in the schema


def ask(path: str, method: str, target: str, timeout: float = 10.0) -> tuple[int, dict[str, Any]]:
    """Send one request and return the status and the JSON body. Raises Unreachable."""
    request = f"{method} {target} HTTP/1.0\r\nHost: brain\r\nContent-Length: 0\r\n\r\n"
    try:
        answer = _exchange(path, request.encode(), timeout)
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), json.loads(body)
    except (OSError, ValueError, IndexError):
        raise Unreachable(path) from None


def _exchange(path: str, request: bytes, timeout: float) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(request)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer
