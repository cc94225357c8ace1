"""Calls to the server with bounds on all that they can cost: threads, time, size, and attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from proxy.config.models import VaultSecrets
from proxy.ports.secrets import SecretAway, SecretError, SecretForbidden
from proxy.secrets.vault.answers import Answer, Call, Unanswered
from proxy.secrets.vault.outcomes import is_of_all, refusal
from proxy.secrets.vault.standing import Standing
from proxy.secrets.vault.threads import Busy, Lane, TooLate

if TYPE_CHECKING:
    from proxy.secrets.vault.wire import Wire

READERS = 6
"""Threads that read secrets."""

KEEPERS = 2
"""Threads for the token alone: many reads never keep it from being renewed."""

CONNECT = 1.0
"""Seconds to be connected: the server is near."""


class Transport:
    """Asks one server. No thread, socket or library is there before the first call."""

    def __init__(self, settings: VaultSecrets) -> None:
        self._settings = settings
        self._server = f"Vault at {settings.address}"
        self._within = CONNECT + settings.timeout
        self._executor = ThreadPoolExecutor(READERS + KEEPERS, thread_name_prefix="vault")
        self._readers = Lane(self._executor, READERS)
        self._keepers = Lane(self._executor, KEEPERS)
        self._standing = Standing(self._server)
        self._wire: asyncio.Future[Wire] | None = None

    def __repr__(self) -> str:
        return f"<Transport {self._settings.address} {self.why or 'well'}>"

    @property
    def why(self) -> str | None:
        """Why the server, or one of its mounts, is not asked now, None where all are."""
        return self._standing.why

    def why_not(self, call: Call) -> str | None:
        """Return why a call is not made now, None where it is."""
        return self._standing.why_not(call)

    async def ask(self, call: Call, token: str = "", *, of_token: bool = False) -> Answer:
        """Return the answer to a call that the server has done. Raises SecretError.

        `of_token`: it is about the token itself, and takes a thread of its own.
        """
        wire = await self._opened()
        lane = self._keepers if of_token else self._readers
        with self._standing.admitted(call) as probes:
            answer = await self._sent(call, partial(self._send, wire, call, token, probes), lane)
            if isinstance(answer, Unanswered):
                raise self._unanswered(call, answer)
            error = refusal(answer, self._server, call.path)
            self._note(call, answer, error)
        if error is not None:
            raise error
        return answer

    def _note(self, call: Call, answer: Answer, error: SecretError | None) -> None:
        if not isinstance(error, SecretAway):
            self._standing.worked(call)
        elif is_of_all(answer):
            self._standing.unconnected(str(error))
        else:
            self._standing.failed(call, str(error))

    async def _sent(
        self, call: Call, send: Callable[[float], Answer | Unanswered | None], lane: Lane
    ) -> Answer | Unanswered:
        deadline = monotonic() + self._within
        try:
            answer = await lane.run(partial(send, deadline), self._within)
        except TooLate:
            return Unanswered(f"did not answer within {self._within:g} s", late=True)
        except Busy:
            message = f"{self._server} is asked for too much at once: no thread was free"
            raise SecretAway(message) from None
        if answer is None:
            raise SecretAway(self.why_not(call) or f"{self._server} was not asked")
        return answer

    def _send(
        self, wire: Wire, call: Call, token: str, probes: bool, deadline: float
    ) -> Answer | Unanswered | None:
        """Send in a thread; not where others have found out, while it was waited for, that it fails."""
        return None if self.why_not(call) and not probes else wire.send(call, token, deadline)

    def _unanswered(self, call: Call, failure: Unanswered) -> SecretError:
        why = f"{self._server} {failure.why}"
        if not failure.sent:
            return SecretForbidden(why)
        if failure.late:
            self._standing.late(call, why)
        else:
            self._standing.unconnected(why)
        return SecretAway(why)

    async def _opened(self) -> Wire:
        """Import what takes a third of a second in a thread, once."""
        if self._wire is None:
            loop = asyncio.get_running_loop()
            self._wire = loop.run_in_executor(self._executor, _open, self._settings)
        return await asyncio.shield(self._wire)

    def close(self) -> None:
        """Let go of the connections. A thread that waits for the server ends with its wait."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._wire is not None and self._wire.done() and not self._wire.cancelled():
            self._wire.result().close()


def _open(settings: VaultSecrets) -> Wire:
    from proxy.secrets.vault.wire import Wire

    timeout = (CONNECT, settings.timeout)
    return Wire(settings.address, settings.ca, timeout, READERS + KEEPERS)
