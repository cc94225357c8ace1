"""The plugin that compresses answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, ClassVar

from aiohttp import hdrs, web
from multidict import MultiMapping

from plugins.compress.applying import compress, compress_whole, vary, weaken_validator
from plugins.compress.breach import signs_of_request
from plugins.compress.coders import LIBRARIES, Coding, coding_of, installed
from plugins.compress.judging import Judge
from plugins.compress.media import check_types
from plugins.compress.negotiation import preferred
from plugins.compress.options import SCHEMA
from proxy import (
    EXCHANGE,
    Answer,
    ConfigError,
    Exchange,
    Handler,
    Plugin,
    PluginContext,
    Problems,
    Stage,
)

_EXTRA = "install the extra: pip install 'brain-gateway[compress]'"

_REMEMBERED = 256
"""Characters of an Accept-Encoding whose outcome is remembered: browsers send a few short ones."""


class Compress(Plugin):
    """Codes an answer once the whole chain has had its say of it.

    What stands in the chain, whatever its stage, sees the answer plain. A request costs one callback;
    only an answer of a listed type is looked at further.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.GUARD

    def __init__(
        self,
        *,
        level: Mapping[str, int],
        min_size: int,
        types: Sequence[str],
        more_types: Sequence[str],
        despite: Sequence[str],
        codings: Sequence[str] | None = None,
    ) -> None:
        self._listed = codings
        self._names = tuple(name for name in codings or LIBRARIES if installed(name))
        self._level = level
        self._min_size = min_size
        self._types = {"types": types, "more_types": more_types}
        self._despite = despite
        self._judge = Judge(min_size, [*types, *more_types], despite)
        self._codings: Mapping[str, Coding] = {}
        self._preferred = lru_cache(maxsize=256)(partial(preferred, offered=self._names))

    def check(self, problems: Problems) -> None:
        for index, name in enumerate(self._listed or ()):
            if not installed(name):
                problems.add(
                    f"codings.{index}", f"the library {LIBRARIES[name]} is missing", hint=_EXTRA
                )
            if name in (self._listed or ())[:index]:
                problems.add(f"codings.{index}", f"{name} is listed twice")
        for option, listed in self._types.items():
            check_types(option, listed, problems)

    async def setup(self, context: PluginContext) -> None:
        try:
            # Off the loop: a first import reads files.
            self._codings = await asyncio.to_thread(self._load)
        except ImportError as error:
            raise ConfigError(
                f"a coding's library can't be imported: {error}", hint=_EXTRA
            ) from error

    def _load(self) -> Mapping[str, Coding]:
        return {name: coding_of(name, self._level[name]) for name in self._names}

    def explain(self, exchange: Exchange) -> list[str]:
        asked = exchange.outgoing.headers
        name = self._choose(asked)
        signs = sorted(signs_of_request(asked).difference(self._despite))
        if name is None:
            return [f"sends the answer plain: the client prefers none of {', '.join(self._names)}"]
        if signs:
            return [f"sends the answer plain: there may be a secret in it ({', '.join(signs)})"]
        large = f"has {self._min_size} bytes or more and shows no sign of a secret"
        return [f"compresses the answer by {name} if it is of a listed type, {large}"]

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        request[EXCHANGE].on_answer(partial(self._finish, request.headers))
        return handler(request)

    def _finish(self, asked: MultiMapping[str], exchange: Exchange, answer: Answer) -> None:
        if not self._judge.takes(asked, exchange, answer):
            return
        vary(answer)
        if answer.status == HTTPStatus.NOT_MODIFIED:
            weaken_validator(answer, asked)
            return
        name = None if exchange.method == hdrs.METH_HEAD else self._choose(asked)
        if name is not None:
            _code(answer, self._codings[name])

    def _choose(self, asked: MultiMapping[str]) -> str | None:
        accepted = ",".join(asked.getall(hdrs.ACCEPT_ENCODING, ()))
        if len(accepted) > _REMEMBERED:
            return preferred(accepted, self._names)
        return self._preferred(accepted) if accepted else None


def _code(answer: Answer, coding: Coding) -> None:
    body = answer.payload()
    if isinstance(body, bytes):
        compress_whole(answer, body, coding)
    else:
        compress(answer, coding)
