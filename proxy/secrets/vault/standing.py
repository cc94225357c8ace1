"""How a server stands, and each of its mounts: who may ask, who is told at once, what is logged.

A connection that fails, and an answer that all would get, are the server's trouble. One that comes too
late may be one engine's alone, such as a database that hangs: it keeps nobody from other mounts, nor the
token from being renewed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from proxy.secrets.vault.answers import Call
from proxy.secrets.vault.breaker import FIRST, MOST, Breaker, Pause
from proxy.secrets.vault.outages import Outage

FORGET = 30.0
"""Seconds after which the trouble of a mount that nobody asks any more is not told any more."""

Part = tuple[str, str | None]
"""A namespace and a mount; of the server's own calls, about tokens, the mount is None."""


class Standing:
    """The breakers and the lines of the log for one server and its parts."""

    def __init__(self, server: str, clock: Callable[[], float] = monotonic) -> None:
        self._name = server
        self._clock = clock
        self._server = Breaker(Pause(FIRST, MOST, clock=clock), clock=clock)
        self._outage = Outage(server, "", clock)
        self._parts: dict[Part, Breaker] = {}
        self._outages: dict[Part, Outage] = {}

    @property
    def why(self) -> str | None:
        """Why the server, or the first of its parts that is in trouble, is not asked now."""
        reasons = (each.why for each in (self._server, *list(self._parts.values())))
        return next((why for why in reasons if why is not None), None)

    def why_not(self, call: Call) -> str | None:
        """Return why a call is not made now, None where it is."""
        return self._server.why or self._part(call).why

    @contextmanager
    def admitted(self, call: Call) -> Iterator[bool]:
        """Let a call through, and say whether it tries for others. Raises SecretAway."""
        with self._part(call).admitted() as of_part, self._server.admitted() as of_all:
            yield of_part or of_all

    def unconnected(self, why: str) -> None:
        """Note that the server could not be asked, or has said what it would say to all."""
        self._server.failed(why)
        self._outage.trouble(why)

    def late(self, call: Call, why: str) -> None:
        """Note that there was no answer in time."""
        self._part(call).failed(why)
        self._told(call).trouble(why)

    def failed(self, call: Call, why: str) -> None:
        """Note trouble that is answered, such as a database's: it keeps nobody from asking."""
        self._answered(call)
        self._told(call).trouble(why)

    def worked(self, call: Call) -> None:
        """Note an answer."""
        self._answered(call)
        self._told(call).well()

    def _answered(self, call: Call) -> None:
        self._server.worked()
        self._outage.well()
        self._part(call).worked()

    def _part(self, call: Call) -> Breaker:
        """There are as many as the file has mounts, and one for tokens of each namespace."""
        key = (call.namespace, call.mount)
        if key not in self._parts:
            pause = Pause(FIRST, MOST, clock=self._clock)
            self._parts[key] = Breaker(pause, forget=FORGET, clock=self._clock)
        return self._parts[key]

    def _told(self, call: Call) -> Outage:
        key = (call.namespace, call.mount)
        if key not in self._outages:
            what = "tokens" if call.mount is None else f"mount '{call.mount}'"
            space = f" of '{call.namespace}'" if call.namespace else ""
            self._outages[key] = Outage(self._name, f"{what}{space}", self._clock)
        return self._outages[key]
