"""Single requests, where a load would be too much: is it up, is the answer the right one."""

from __future__ import annotations

import http.client
from collections.abc import Mapping


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body, over a connection of its own. Raises OSError when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def status_of(port: int, path: str) -> int:
    """0 when nobody answers."""
    try:
        return ask(port, path)[0]
    except (OSError, http.client.HTTPException):
        return 0
