"""The plugin that asks for a name and a password."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, ClassVar

from aiohttp import hdrs, web

from plugins.basic.checking import Checks
from plugins.basic.credentials import name_and_password
from plugins.basic.hashes import fault_of, load_libraries
from plugins.basic.memory import Memory
from plugins.basic.options import REMEDY, SCHEMA
from plugins.basic.users import User, Users, user_of
from proxy import (
    EXCHANGE,
    Authenticator,
    ConfigError,
    Exchange,
    PluginContext,
    Principal,
    Problems,
    Unauthenticated,
)


class Basic(Authenticator):
    """Makes a principal of a user's name and password.

    Checking takes long on purpose: it is done on threads of its own, few at a time, so that a flood of
    wrong passwords neither stops the loop nor fills the memory. An unknown name costs what a wrong
    password does. Browsers send what they once asked for by themselves: the principal is ambient
    where one may be behind the request, and is not where a tool is.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    protects_schemes = frozenset({"basic"})

    def __init__(
        self,
        *,
        users: Sequence[Mapping[str, Any]],
        realm: str,
        remember: float,
        checks: int,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._entries = users
        self._realm = realm
        self._at_once = checks
        self._memory = Memory(remember, now)
        self._users: Users | None = None
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
                problems.add(f"users.{index}.hash", fault, hint=REMEDY)

    async def setup(self, context: PluginContext) -> None:
        try:
            await asyncio.to_thread(load_libraries)
        except ImportError as error:
            library = (error.name or "").partition(".")[0]
            raise ConfigError(
                f"passwords are checked by {library}, which is not installed",
                hint="install the extra: pip install 'brain-gateway[basic]'",
            ) from None
        self._users = Users([await user_of(entry, context) for entry in self._entries])
        self._checks = Checks(self._at_once, self._memory)

    async def ready(self) -> str | None:
        return None if self._users is None else self._users.trouble()

    async def close(self) -> None:
        if self._checks is not None:
            await self._checks.close()

    def challenge(self) -> str | None:
        return f'Basic realm="{self._realm}", charset="UTF-8"'

    def explain(self, exchange: Exchange) -> list[str]:
        users = "one user" if len(self._entries) == 1 else f"{len(self._entries)} users"
        sent = "sent on" if exchange.route.forward_token else "kept from the upstream"
        return [f"looks for a name and a password of {users}", f"what is accepted is {sent}"]

    def authenticate(
        self, request: web.BaseRequest
    ) -> Principal | Awaitable[Principal | None] | None:
        given = name_and_password(request)
        if given is None:
            return None
        assert self._users is not None
        name, password = given
        user, text = self._users.find(name)
        digest = self._memory.digest(text, name, password)
        if user is not None and self._memory.knows(digest):
            return _caller(user, request)
        return self._ask(request, user, digest, text, password)

    async def _ask(
        self, request: web.BaseRequest, user: User | None, digest: bytes, text: str, password: str
    ) -> Principal:
        assert self._checks is not None
        address = request[EXCHANGE].client.address
        if not await self._checks.check(digest, text, password, address) or user is None:
            raise Unauthenticated(log="unknown name, or another password")
        return _caller(user, request)


def _caller(user: User, request: web.BaseRequest) -> Principal:
    """Return the user, as a page where one may be behind the request.

    Browsers say so: by `Origin` with every method that does something and with every WebSocket (Fetch,
    3.2), and by `Sec-Fetch-Site`. A page can leave out neither. `curl -u` sends neither: held to them,
    no tool could write.
    """
    headers = request.headers
    page = hdrs.ORIGIN in headers or "Sec-Fetch-Site" in headers
    return user.page if page else user.tool
