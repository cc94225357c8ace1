"""Talking to a running gateway's control socket, with nothing but `socket` and `json`."""

from __future__ import annotations

import json
import os
import socket

UNREACHABLE = 4
"""Exit code when no gateway listens on the control socket."""


def default_path() -> str:
    """Return where a gateway's control socket is unless its file says otherwise."""
    return f"{os.environ.get('XDG_RUNTIME_DIR', '/tmp')}/brain.sock"  # noqa: S108  as in the schema


def ask(
    path: str, method: str, target: str, timeout: float = 10.0
) -> tuple[int, dict[str, object]]:
    """Send one request and return the status and the JSON body.

    Raises OSError when nobody listens, ValueError when what answers is no gateway.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(
            f"{method} {target} HTTP/1.0\r\nHost: brain\r\nContent-Length: 0\r\n\r\n".encode()
        )
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(body)
