"""The plugin that asks for a token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web

from plugins.jwt.checking import check_issuers
from plugins.jwt.issuers import Issuer, Unknown, Verified
from plugins.jwt.memory import Known, Memory, digest_of, weight_of
from plugins.jwt.options import MOST_LEEWAY, MOST_TOKEN, SCHEMA
from plugins.jwt.parts import CHALLENGE, Parts, invalid, parts_of, refused
from plugins.jwt.places import in_cookie, in_header, in_subprotocol
from plugins.jwt.profiles import written_out
from plugins.jwt.sources import source_of
from proxy import (
    Authenticator,
    Exchange,
    PluginContext,
    Principal,
    Problems,
    Unauthenticated,
    printable,
)

LONGEST_NAME = 200
"""Characters of a stranger's issuer that the log shows."""

WAIT_FOR_KEYS = 0.1
"""Seconds that a start waits for keys. Tokens that come before them wait by themselves."""


class Jwt(Authenticator):
    """Makes a principal of a token of a listed issuer.

    A token that was verified is known again by its digest, at once. Where an issuer's keys can't be had,
    its tokens get 503: the caller may be in the right.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    protects_schemes = frozenset({"bearer"})

    @classmethod
    def expand(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        expanded = dict(written_out(options))
        if isinstance(options.get("issuers"), list):
            expanded["issuers"] = [
                written_out(one) if isinstance(one, Mapping) else one for one in options["issuers"]
            ]
        return expanded

    def __init__(
        self,
        *,
        leeway: float,
        max_token: int,
        remember: int,
        subprotocol: bool,
        cookie: str | None = None,
        issuers: Sequence[Mapping[str, Any]] = (),
        now: Callable[[], float] = time.time,
        **own: Any,
    ) -> None:
        self.protects_cookies = frozenset({cookie} if cookie else ())
        self._own = own
        self._listed = [*([own] if "issuer" in own else []), *issuers]
        self._leeway = leeway
        self._longest = max_token
        self._cookie = cookie
        self._subprotocol = subprotocol
        self._now = now
        self._memory = Memory(remember)
        self._issuers: dict[str, Issuer] = {}

    def check(self, problems: Problems) -> None:
        check_issuers(self._own, self._listed, problems)
        if self._leeway > MOST_LEEWAY:
            problems.add("leeway", "clocks may differ by 5m at most", hint="set the clocks")
        if self._longest > MOST_TOKEN:
            problems.add("max_token", "a request's head holds a token of 16KiB at most")

    async def setup(self, context: PluginContext) -> None:
        by = context.entry.identity
        for options in self._listed:
            source = await source_of(options, context)
            issuer = Issuer.of(options, source, self._leeway, by)
            self._issuers[issuer.name] = issuer
        asked = [issuer.first() for issuer in self._issuers.values()]
        try:
            async with asyncio.timeout(WAIT_FOR_KEYS):
                await asyncio.gather(*asked)
        except TimeoutError:
            context.logger.info("an issuer's keys take a while: they are waited for behind")

    async def ready(self) -> str | None:
        reasons = [issuer.trouble() for issuer in self._issuers.values()]
        return "; ".join(reason for reason in reasons if reason) or None

    def challenge(self) -> str | None:
        return CHALLENGE

    def principal_of(self, claims: Mapping[str, Any]) -> Principal:
        """Return whom claims mean by the names of their issuer, or of the first one."""
        listed = [one for one in self._listed if one["issuer"] == claims.get("iss")] or self._listed
        return Issuer.rules(listed[0], self._leeway).principal(claims, "jwt")

    def explain(self, exchange: Exchange) -> list[str]:
        sent = "sent on" if exchange.route.forward_token else "kept from the upstream"
        return [
            f"looks for a token in {' or '.join(self._places())}",
            *(line for one in self._listed for line in Issuer.told(one)),
            f"a token is {sent}",
            *self._judged(exchange.principal),
        ]

    def _judged(self, caller: Principal | None) -> Iterator[str]:
        """Yield what a token with these claims would hear, where they are a token's own.

        By hand one writes no times; nobody's signature is known here.
        """
        claims = {} if caller is None else caller.claims
        if not {"iss", "exp"} <= claims.keys():
            return
        listed = next((one for one in self._listed if one["issuer"] == claims["iss"]), None)
        try:
            if listed is None:
                raise self._unknown(claims["iss"])
            Issuer.rules(listed, self._leeway).judge(claims, self._now())
        except Unauthenticated as bad:
            yield f"a token with these claims would be refused with 401 {bad.code}: {bad.log}"

    def _places(self) -> list[str]:
        # Behind a colon or an equals sign an explanation hides what may be a credential.
        places = ["the header Authorization (Bearer)"]
        if self._subprotocol:
            places.append("the WebSocket subprotocol brain.bearer")
        if self._cookie is not None:
            places.append(f"the cookie {self._cookie}")
        return places

    # -- on the way of a request

    def authenticate(
        self, request: web.BaseRequest
    ) -> Principal | Awaitable[Principal | None] | None:
        token = in_header(request)
        if token is None and self._subprotocol:
            token = in_subprotocol(request)
        if token is not None:
            known = self._known(token)
            return known.principal if isinstance(known, Known) else self._learn(known)
        token = None if self._cookie is None else in_cookie(request, self._cookie)
        if token is None:
            return None
        known = self._known(token)
        return known.ambient() if isinstance(known, Known) else self._learn(known, ambient=True)

    def _known(self, token: str) -> Known | Unknown:
        digest = digest_of(token)
        known = self._memory.find(digest, self._now())
        if known is not None:
            return known
        if len(token) > self._longest:
            raise invalid("it is longer than max_token")
        return self._verify(digest, parts_of(token))

    def _verify(self, digest: bytes, parts: Parts) -> Known | Unknown:
        issuer = self._issuers.get(str(parts.claims.get("iss")))
        if issuer is None:
            raise self._unknown(parts.claims.get("iss"))
        verified = issuer.verify(parts, self._now())
        if isinstance(verified, Verified):
            known = Known(
                verified.principal,
                verified.ends,
                issuer.source,
                verified.version,
                weight_of(parts.text),
            )
            self._memory.keep(digest, known)
            return known
        return Unknown(issuer, digest, parts)

    def _unknown(self, name: object) -> Unauthenticated:
        """Say in the log whose token it is: a slash at the end is easily left out, here or there."""
        text, names = str(name), [str(one["issuer"]) for one in self._listed]
        near = next((one for one in names if one.removesuffix("/") == text.removesuffix("/")), None)
        if near is None:
            log = f"its iss is '{printable(text, LONGEST_NAME)}', and that issuer is not listed"
        else:
            more = "has no slash" if near.endswith("/") else "has a slash"
            log = f"its iss {more} at the end, unlike the listed issuer '{near}'"
        return refused("token_issuer_unknown", log)

    async def _learn(self, unknown: Unknown, *, ambient: bool = False) -> Principal:
        """Look for a key that has signed the token: its issuer may have a new one."""
        await unknown.issuer.source.learn()
        found = self._verify(unknown.digest, unknown.parts)
        if isinstance(found, Known):
            return found.ambient() if ambient else found.principal
        raise invalid("no key of its issuer has signed it")
