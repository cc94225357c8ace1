"""Reloads whose end is seen from outside: a service's answer names the revision that served it."""

from __future__ import annotations

import http.client
import signal
import time
from dataclasses import dataclass

from bench import routes
from bench.process import BenchError, Process
from bench.proxies.gateway import Gateway


@dataclass(frozen=True)
class Reload:
    """``began`` and ``ended`` are CLOCK_MONOTONIC seconds, one clock for all processes.

    ``longest_wait`` is the slowest of the small GETs that were sent back to back meanwhile.
    """

    began: float
    ended: float
    longest_wait: float


class Reloader:
    """Reloads by SIGHUP; each changes one service, the marked one, and leaves the rest."""

    def __init__(self, gateway: Gateway, process: Process, services: str, upstream: int) -> None:
        self._gateway, self._process = gateway, process
        self._services, self._upstream = services, upstream
        self._revision = 0
        self._client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)

    def reload(self, settle: float = 0.0) -> Reload:
        """Returns ``settle`` seconds after the new revision answered; the freeing of the old one
        falls into them. Raises BenchError after 30 s."""
        self._revision += 1
        text = self._services + routes.marked(self._revision, self._upstream)
        self._gateway.write_services(text)
        began = time.monotonic()
        self._process.signal(signal.SIGHUP)
        longest = self._ask_until_new(began + 30)
        return Reload(began, time.monotonic() + settle, max(longest, self.wait(settle)))

    def wait(self, seconds: float) -> float:
        """Sends small GETs back to back; returns the slowest, in seconds."""
        until, longest = time.monotonic() + seconds, 0.0
        while time.monotonic() < until:
            longest = max(longest, self._ask()[0])
        return longest

    def _ask_until_new(self, limit: float) -> float:
        expected, longest = f"/mark/{self._revision}".encode(), 0.0
        while time.monotonic() < limit:
            taken, answer = self._ask()
            longest = max(longest, taken)
            if answer.rstrip(b"/") == expected:
                return longest
        raise BenchError(f"reload {self._revision} did not come into force within 30 s")

    def _ask(self) -> tuple[float, bytes]:
        sent = time.monotonic()
        self._client.request("GET", "/api/brain/mark")
        answer = self._client.getresponse().read()
        return time.monotonic() - sent, answer
