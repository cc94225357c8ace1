"""The plugin that asks an outside service who calls."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from aiohttp import web

from plugins.forward_auth.checks import check_bounds, check_copied, check_sent
from plugins.forward_auth.options import SCHEMA
from plugins.forward_auth.profiles import written_out
from plugins.forward_auth.question import STRANGER, Credential, Finder, Question, SessionCookies
from plugins.forward_auth.relaying import relayed
from plugins.forward_auth.service import Service
from plugins.forward_auth.verdict import Known, Reader, Verdict, claims_of
from plugins.forward_auth.verdicts import Verdicts
from proxy import (
    EXCHANGE,
    Answer,
    Authenticator,
    Exchange,
    PluginContext,
    Principal,
    Problems,
    Unauthenticated,
)


class ForwardAuth(Authenticator):
    """Lets in whom the service lets in, and relays its refusals; where it says neither, nobody.

    A caller who shows nothing of the service's own is asked about last, when no authenticator of the
    route knows him: its redirect to a login is for those whom nobody else would let in.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA

    @classmethod
    def expand(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return written_out(options)

    def __init__(
        self,
        *,
        url: str,
        schemes: Sequence[str],
        headers: Sequence[str],
        cache: float,
        cache_per: str,
        timeout: float,
        max_body: int,
        session: Sequence[str],
        copy: Sequence[str],
        claims: Mapping[str, Any] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._most = max_body
        self._headers = headers
        self._cache = cache
        self._per_path = cache_per == "path"
        self._claims = claims_of(claims or {})
        self._copied = copy
        # All else that is copied is protected: nobody else can have put it there.
        self._replaced = [name for name in self._copied if name.lower() == "authorization"]
        self._session = SessionCookies(session)
        self._finder = Finder(self._session, schemes)
        self._verdicts = Verdicts(cache, now)
        self._service: Service | None = None
        self._identity = "forward-auth"
        read = [claim.header for claim in self._claims]
        self.protects = frozenset(name.lower() for name in [*self._copied, *read])
        self.protects_cookies = frozenset(session)
        self.protects_schemes = frozenset(scheme.lower() for scheme in schemes)

    def check(self, problems: Problems) -> None:
        if not self._claims:
            hint = "say 'profile', or 'claims: {subject: HEADER}'"
            problems.add("url", "nothing says which header tells who calls", hint=hint)
        for claim in self._claims:
            if claim.name in ("subject", "tenant") and claim.separator is not None:
                problems.add(f"claims.{claim.name}", "it is one text, and no list")
        check_copied(self._copied, problems)
        check_sent(self._headers, problems)
        check_bounds(self._cache, self._timeout, self._most, problems)

    async def setup(self, context: PluginContext) -> None:
        self._identity = context.entry.identity
        reader = Reader(self._claims, self._copied, self._session, self._identity)
        self._service = Service(context, self._url, self._timeout, self._most, reader)

    def challenge(self) -> str | None:
        return 'Cookie realm="brain"'

    def explain(self, exchange: Exchange) -> list[str]:
        kept = f"for {self._cache:g} s" if self._cache else "not at all"
        per = "method and path" if self._per_path else "credential"
        copied = ", ".join(self._copied) or "nothing"
        return [
            f"asks {self._url.partition('?')[0]} who calls, within {self._timeout:g} s",
            f"remembers who was let in {kept}, by {per}",
            f"copies {copied} of its answer to the upstream",
        ]

    def authenticate(
        self, request: web.BaseRequest
    ) -> Principal | Awaitable[Principal | None] | None:
        credential = self._finder.find(request)
        if credential is None:
            return None
        question = Question(request, credential, self._headers)
        if not self._cache:
            return self._judged(request, credential, self._ask(question))
        key = question.key(per_path=self._per_path)
        known = self._verdicts.find(key)
        if known is not None:
            return self._admitted(request, credential, known)
        verdict = self._verdicts.of(key, lambda: self._ask(question))
        return self._judged(request, credential, verdict)

    async def invite(self, request: web.BaseRequest) -> Answer | None:
        verdict = await self._ask(Question(request, STRANGER, self._headers))
        if isinstance(verdict, Known):
            return None
        return relayed(request, verdict, "credentials_missing", self._identity)

    async def _ask(self, question: Question) -> Verdict:
        assert self._service is not None
        return await self._service.ask(question.headers())

    async def _judged(
        self, request: web.BaseRequest, credential: Credential, asked: Awaitable[Verdict]
    ) -> Principal:
        verdict = await asked
        if isinstance(verdict, Known):
            return self._admitted(request, credential, verdict)
        answer = relayed(request, verdict, "credentials_invalid", self._identity)
        raise Unauthenticated(log=f"the service said {verdict.status}", answer=answer)

    def _admitted(
        self, request: web.BaseRequest, credential: Credential, known: Known
    ) -> Principal:
        exchange = request[EXCHANGE]
        for name in self._replaced:
            if exchange.outgoing.header(name) is not None:
                exchange.outgoing.headers.popall(name)
        for name, value in known.copied:
            exchange.outgoing.add_header(name, value)
        if known.cookies:
            exchange.on_answer(partial(_renew, known.cookies))
        return known.ambient if credential.ambient else known.principal


def _renew(cookies: Sequence[str], _exchange: Exchange, answer: Answer) -> None:
    for line in cookies:
        answer.add_header("Set-Cookie", line)
