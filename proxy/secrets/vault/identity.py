"""The gateway's token: got when it is needed, kept alive, and exchanged before it ends."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any

from proxy.config.models import VaultSecrets
from proxy.ports.secrets import (
    SecretAway,
    SecretError,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
)
from proxy.secrets.vault import calls
from proxy.secrets.vault.entering import enter
from proxy.secrets.vault.logins import GIVEN, credential_now
from proxy.secrets.vault.setbacks import Setbacks
from proxy.secrets.vault.token import Token, prolonged
from proxy.secrets.vault.transport import Transport
from proxy.tasks import Tasks

log = logging.getLogger("brain.secrets.vault")

LOOK_AT_FILE = 2.0
"""Seconds between looks at a file that holds a token."""

BETWEEN = 1.0
"""Seconds from one exchange of a dead token to the next: where tokens die as soon as they are given,
what is kept serves on, and nobody logs in with each question.
"""

AHEAD = 300.0
"""Seconds before its end for which that is told of a token; a tenth of its life where that is less."""

REVOKE_WITHIN = 0.5
"""Seconds that the end of the gateway waits for the token to be given back."""


_REFUSED_YOUNG = "see who revokes tokens; one needs 'read' on auth/token/lookup-self"


class Identity:
    """One token for all that a store asks for, and one login for all that wait for it.

    `on_leases_end` is told, when another token is in use, in how many seconds the one before ends:
    all that was leased with it ends then too.
    """

    def __init__(
        self,
        settings: VaultSecrets,
        transport: Transport,
        on_leases_end: Callable[[float], None],
        *,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._draw = draw
        self._setbacks = Setbacks(clock, draw)
        self.logins = self.renewals = 0
        self._token: Token | None = None
        self._last: Token | None = None
        self._exchanged = -math.inf
        self._on_leases_end = on_leases_end
        self._entering: asyncio.Task[Token] | None = None
        self._looking: dict[str, asyncio.Task[bool]] = {}
        self._tasks = Tasks()
        self._keeping: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Identity {self._settings.auth.method} {self.why or 'well'}>"

    @property
    def left(self) -> float | None:
        """The seconds that the token is good for, None where there is none, or where it has no end."""
        return None if self._token is None else self._token.left(self._clock())

    @property
    def why(self) -> str | None:
        """Why there is no token, or will soon be none; None where all is well."""
        token, now = self._token, self._clock()
        if token is None or token.has_ended(now):
            return self._setbacks.why
        left = token.left(now)
        if left is None or left > min(AHEAD, token.life / 10) or self._goes_on(token):
            return None
        return f"the token ends in {left:.0f} s, and nothing renews it"

    def _goes_on(self, token: Token) -> bool:
        given = self._settings.auth.method in GIVEN
        return self._setbacks.why is None and (token.renewable or not given)

    async def token(self) -> Token:
        """Return a token that is good by all that is known here. Raises SecretError."""
        token = self._token
        if token is not None and not token.has_ended(self._clock()):
            return token
        return await self._entered()

    async def after_refusal(self, used: Token) -> Token | None:
        """Return a token to ask once more with; None where a policy has refused, not the token.

        Only a token that is known to be alive was refused by a policy. Raises SecretError where it is
        not, and there is no other.
        """
        if await self._is_alive(used):
            return None
        if self._token is not None and self._token.value != used.value:
            return self._token  # somebody has noticed before
        if self._entering is None:
            if self._clock() - self._exchanged < BETWEEN:
                raise self._refused_young()
            self._exchanged = self._clock()
        return await self._entered(dead=used)

    async def refused_again(self, used: Token) -> None:
        """Return where a policy has refused a token that was just got; raise SecretAway where not."""
        if not await self._is_alive(used):
            raise self._refused_young()

    def _refused_young(self) -> SecretAway:
        message = f"Vault at {self._settings.address} refuses a token that it gave just now"
        return SecretAway(message, hint=_REFUSED_YOUNG, retry_after=BETWEEN)

    async def _is_alive(self, token: Token) -> bool:
        """Ask the server about a token: one question for all that want to know at a time."""
        looking = self._looking.get(token.value)
        if looking is None:
            looking = self._looking[token.value] = self._spawn(self._lookup(token), "lookup")
            looking.add_done_callback(lambda _: self._looking.pop(token.value, None))
        return await asyncio.shield(looking)

    async def _lookup(self, token: Token) -> bool:
        """Say whether the server knows a token. One may have no right to ask about itself."""
        for question in (calls.lookup, calls.mounts):
            try:
                call = question(self._settings.namespace)
                await self._transport.ask(call, token.value, of_token=True)
            except (SecretForbidden, SecretMissing):
                continue
            except SecretMalformed:
                pass  # an answer, if one of too many mounts
            return True
        return False

    # -- another token

    async def _entered(self, dead: Token | None = None) -> Token:
        """Return a new token, got once for all who wait for it."""
        if self._entering is None:
            self._setbacks.check()
            self._entering = self._spawn(self._enter(dead), "login")
        return await asyncio.shield(self._entering)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = self._tasks.spawn(work, name=f"vault: {name}", quiet=True)
        task.add_done_callback(_seen)
        return task

    async def _enter(self, dead: Token | None) -> Token:
        if dead is not None and self._token is dead:
            self._token, self._last = None, dead.ended(self._clock())
        try:
            token = await enter(self._settings, self._transport, self._clock)
        except SecretError as error:
            raise self._setbacks.add(error, self._about()) from None
        finally:
            self._entering = None
        self._use(token)
        return token

    def _about(self) -> str:
        """Say what a setback means to whoever reads the log."""
        left = self._token.left(self._clock()) if self._token is not None else None
        ends = f"the token in use ends in {left:.0f} s" if left else "there is no token"
        return f"Vault at {self._settings.address}: {ends}"

    def _use(self, token: Token) -> None:
        before, self._last, self._token = self._last, token, token
        self.logins += token.own
        self._setbacks.end(f"Vault at {self._settings.address}")
        if self._keeping is None or self._keeping.done():
            self._keeping = self._tasks.spawn(self._keep(), name="vault: token")
        if self._watching is None and self._settings.auth.method == "token_file":
            self._watching = self._tasks.spawn(self._watch(), name="vault: token file")
        if before is not None and before.value != token.value:
            self._on_leases_end(before.left(self._clock()) or 0.0)

    # -- its life

    async def _keep(self) -> None:
        """Prolong the token, or get another before it ends, for as long as that can be done."""
        goes_on = True
        while goes_on and (token := self._token) is not None and not token.has_ended(self._clock()):
            wait = token.wait(self._clock(), self._draw())
            if wait is None:
                return
            await asyncio.sleep(self._setbacks.left if self._setbacks.why else wait)
            if self._token is token:
                goes_on = await self._prolong(token)

    async def _prolong(self, token: Token) -> bool:
        """Say whether there is more to be done for the token that is in use then."""
        given = self._settings.auth.method in GIVEN
        try:
            if token.renewable and await self._renewed(token):
                return True
        except SecretAway as error:
            renewal = calls.renewal(self._settings.namespace)
            if given or self._transport.why_not(renewal) is not None:
                self._setbacks.add(error, self._about())
                return True  # the server is away; 500 alone may also say "past the maximum"
        except SecretError:
            pass  # it may not renew itself, or is dead
        if given:
            return False
        with suppress(SecretError):  # told where it came about
            await self._entered()
        return True

    async def _renewed(self, token: Token) -> bool:
        call, now = calls.renewal(self._settings.namespace), self._clock()
        answer = await self._transport.ask(call, token.value, of_token=True)
        longer = prolonged(token, answer.body, now)
        if longer is None:
            return False
        self.renewals += 1
        if self._token is token:
            self._token = self._last = longer
            self._setbacks.end(f"Vault at {self._settings.address}")
        return True

    async def _watch(self) -> None:
        """Take another token when one stands in the file."""
        tried = ""
        while True:
            await asyncio.sleep(LOOK_AT_FILE)
            with suppress(SecretError):  # told where it came about; the file may be half written
                value = await credential_now(self._settings.auth)
                if value not in {tried, self._last.value if self._last else ""}:
                    tried = value
                    self._setbacks.forget()
                    await self._entered()

    async def close(self) -> None:
        """Stop, and give back a token that the gateway logged in for."""
        await self._tasks.cancel()
        token, self._token = self._token, None
        if token is None or not token.own or token.has_ended(self._clock()):
            return
        call = calls.revocation(self._settings.namespace)
        with suppress(SecretError, TimeoutError):  # it ends by itself, if later
            async with asyncio.timeout(REVOKE_WITHIN):
                await self._transport.ask(call, token.value, of_token=True)


def _seen(task: asyncio.Task[Any]) -> None:
    """Take a task's error for known: whoever waited has it, and all may have gone."""
    if not task.cancelled():
        task.exception()
