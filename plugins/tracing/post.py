"""One POST after another to one place, each tried for a while. It blocks: for a thread of its own."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from random import Random
from time import monotonic
from urllib.parse import urlsplit

Failed = tuple[str, float | None]
"""Why an attempt failed, and after how many seconds another one makes sense; None for never."""

_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed (OTLP, retryable response codes)."""

_PAUSE = 0.5
_LONGEST_ANSWER = 65536
_STALE = (ConnectionError, HTTPException)


class Post:
    """Posts protobuf over one connection that is kept alive.

    The server's certificate is verified by the system's authorities; no proxy, redirect, cookie or
    header comes from elsewhere than the file. `timeout`: seconds for a body, all tries included.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._headers = {
            **headers,
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
        }
        self._timeout = timeout
        self._connect = _connector(parts.scheme, str(parts.hostname), parts.port)
        self._connection: HTTPConnection | None = None
        self._closing = threading.Event()
        self._jitter = Random()  # noqa: S311  it spreads tries, and guards nothing

    def send(self, body: bytes) -> tuple[str | None, bytes]:
        """Return None and the answer's body, or why the body was not taken and b""."""
        packed = gzip.compress(body, compresslevel=1, mtime=0)
        until = monotonic() + self._timeout
        pause = _PAUSE
        while True:
            answer = self._try(packed, until)
            if isinstance(answer, bytes):
                return None, answer
            reason, wait = answer
            if wait is None:
                return reason, b""
            wait = max(wait, pause * self._jitter.uniform(0.8, 1.2))
            if wait >= until - monotonic() or self._closing.wait(wait):
                return reason, b""
            pause *= 2

    def close(self) -> None:
        """Close the connection. For the thread that sends."""
        if self._connection is not None:
            self._drop(self._connection)

    def give_up(self) -> None:
        """Wake whoever waits for an answer, and let nobody try again. For any thread."""
        self._closing.set()
        sock = None if self._connection is None else self._connection.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _try(self, body: bytes, until: float) -> bytes | Failed:
        reused = self._connection is not None
        try:
            try:
                answer, content = self._exchange(body, until)
            except _STALE:
                if not reused or self._closing.is_set():
                    raise
                # A connection that was idle may have been closed by the other side.
                answer, content = self._exchange(body, until)
        except (OSError, HTTPException) as error:
            return _said(error), 0.0
        if 200 <= answer.status < 300:
            return content
        again = _retry_after(answer) if answer.status in _AGAIN else None
        return f"it answers {answer.status}", again

    def _exchange(self, body: bytes, until: float) -> tuple[HTTPResponse, bytes]:
        left = max(until - monotonic(), 0.001)
        if self._connection is None:
            self._connection = self._connect(left)
        connection, self._connection = self._connection, None
        try:
            connection.timeout = left
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(left)
            self._connection = connection  # from here on `give_up` can wake this thread
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            content = answer.read(_LONGEST_ANSWER)
        except BaseException:
            self._drop(connection)
            raise
        if not answer.isclosed():
            self._drop(connection)  # there is more, which nobody wants
        return answer, content

    def _drop(self, connection: HTTPConnection) -> None:
        self._connection = None
        connection.close()


def _connector(scheme: str, host: str, port: int | None) -> Callable[[float], HTTPConnection]:
    if scheme == "http":
        return lambda timeout: HTTPConnection(host, port, timeout=timeout)
    context = ssl.create_default_context()
    return lambda timeout: HTTPSConnection(host, port, timeout=timeout, context=context)


def _retry_after(answer: HTTPResponse) -> float:
    """Return the seconds that the collector asks for (RFC 9110, 10.2.3); a date is not read."""
    given = answer.getheader("Retry-After", "")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0.0


def _said(error: Exception) -> str:
    """Return why a connection failed, in words that name neither address nor content."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    said = getattr(error, "strerror", None)
    return said or type(error).__name__
