"""The plugin that asks for a name and a password."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, ClassVar

from aiohttp import hdrs, web

from plugins.basic.checking import Checks
from plugins.basic.hashes import fault_of, missing_library
from plugins.basic.options import MAKE_ONE, SCHEMA
from plugins.basic.users import User, user_of
from proxy import (
    Authenticator,
    ConfigError,
    Exchange,
    PluginContext,
    Principal,
    Problems,
    Unauthenticated,
)

LONGEST = 1024
"""Bytes of name and password together."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Basic(Authenticator):
    """Makes a principal of a user's name and password.

    Checking takes long on purpose: it is done on threads of its own, few at a time, so that a flood of
    wrong passwords neither stops the loop nor fills the memory. An unknown name costs what a wrong
    password does. Browsers send what they once asked for by themselves: the principal is ambient.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    protects_schemes = frozenset({"basic"})

    def __init__(
        self,
        *,
        users: Sequence[Mapping[str, Any]],
        remember: float,
        checks: int,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._entries = users
        self._remember = remember
        self._at_once = checks
        self._now = now
        self._users: dict[str, User] = {}
        self._checks: Checks | None = None

    def check(self, problems: Problems) -> None:
        names = set[str]()
        for index, entry in enumerate(self._entries):
            if entry["name"] in names:
                problems.add(f"users.{index}.name", f"two users are named '{entry['name']}'")
            names.add(entry["name"])
            given = entry["hash"]
            fault = fault_of(given) if isinstance(given, str) else None
            if fault is not None:
                problems.add(f"users.{index}.hash", fault, hint=f"make one: {MAKE_ONE}")

    async def setup(self, context: PluginContext) -> None:
        for entry in self._entries:
            user = await user_of(entry, context)
            library = missing_library(user.hash)
            if library is not None:
                raise ConfigError(
                    f"the hash of '{entry['name']}' needs {library}, which is not installed",
                    hint="install the extra: pip install 'brain-gateway[basic]'",
                )
            self._users[entry["name"]] = user
        self._checks = Checks(self._at_once, self._remember, self._now)

    async def close(self) -> None:
        if self._checks is not None:
            self._checks.close()

    def challenge(self) -> str | None:
        return 'Basic realm="brain", charset="UTF-8"'

    def explain(self, exchange: Exchange) -> list[str]:
        users = "one user" if len(self._entries) == 1 else f"{len(self._entries)} users"
        sent = "sent on" if exchange.route.forward_token else "kept from the upstream"
        return [f"looks for a name and a password of {users}", f"what is accepted is {sent}"]

    def authenticate(
        self, request: web.BaseRequest
    ) -> Principal | Awaitable[Principal | None] | None:
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        if not any(one[:6].lower() == "basic " for one in given):
            return None
        if len(given) > 1:
            raise Unauthenticated(log="more than one Authorization")
        name, password = _read(given[0][6:].strip(" "))
        user = self._users.get(name)
        # A name that nobody has is checked like one that somebody has: it takes as long.
        text = (user or next(iter(self._users.values()))).hash
        assert self._checks is not None
        digest = self._checks.digest(text, password)
        if user is not None and self._checks.known(digest):
            return user.principal
        return self._ask(user, digest, text, password)

    async def _ask(self, user: User | None, digest: bytes, text: str, password: str) -> Principal:
        assert self._checks is not None
        if not await self._checks.check(digest, text, password) or user is None:
            raise Unauthenticated(log="unknown name, or another password")
        return user.principal


def _read(credentials: str) -> tuple[str, str]:
    """Return name and password (RFC 7617, 2). Raises Unauthenticated for what is neither."""
    try:
        raw = b64decode(credentials, validate=True)
        text = raw.decode()
    except ValueError:
        raise Unauthenticated(log="not in base64, or not in UTF-8") from None
    name, colon, password = text.partition(":")
    if not colon or len(raw) > LONGEST or _CONTROL.search(text):
        raise Unauthenticated(log="no name and password")
    return name, password
