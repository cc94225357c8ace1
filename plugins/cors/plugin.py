"""The plugin that answers preflights and marks answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import hdrs, web
from aiohttp_cors import ResourceOptions

from plugins.cors.library import REQUEST_HEADERS, REQUEST_METHOD, Library
from plugins.cors.options import ALWAYS_EXPOSED, SCHEMA
from plugins.cors.origins import Origins
from proxy import EXCHANGE, Answer, Exchange, GatewayError, Handler, Plugin, Problems, Stage

_PREFIX = b"access-control-"
_SWITCHING = 101


class Cors(Plugin):
    """Tells browsers which pages of other origins may call and read.

    It stands outside of authentication: a preflight carries no credentials, and a page must be able
    to read a 401. A request without `Origin` costs one look at its headers and at the answer's.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.CORS

    def __init__(
        self,
        *,
        origins: Sequence[str],
        credentials: bool,
        methods: Sequence[str],
        headers: Sequence[str],
        expose: Sequence[str],
        max_age: float,
    ) -> None:
        self._origins = Origins(origins)
        self._credentials = credentials
        self._varies = bool(self._origins) and not self._origins.all
        self._library = Library(
            self._origins,
            frozenset(method.upper() for method in methods),
            ResourceOptions(  # type: ignore[no-untyped-call]
                allow_credentials=credentials,
                expose_headers=(*ALWAYS_EXPOSED, *expose),
                allow_headers="*" if "*" in headers else tuple(headers),
                max_age=int(max_age),
            ),
        )

    def check(self, problems: Problems) -> None:
        self._origins.check(problems)
        if self._origins.all and self._credentials:
            problems.add(
                "credentials",
                "with origins '*' any site could act with its visitors' cookies",
                hint="list the origins, or leave credentials out",
            )

    def explain(self, exchange: Exchange) -> list[str]:
        origin = exchange.outgoing.header(hdrs.ORIGIN)
        if origin is None:
            return [self._policy()]
        asked = exchange.outgoing.header(REQUEST_METHOD)
        if exchange.method == "OPTIONS" and asked is not None:
            return [self._policy(), self._of_preflight(origin, asked)]
        verb = "may" if self._origins.allow(origin) else "may not"
        return [self._policy(), f"this page, of {origin}, {verb} read the answer"]

    def _policy(self) -> str:
        if not self._origins:
            return "no other site may read answers"
        return f"pages of {', '.join(self._origins.listed)} may read answers"

    def _of_preflight(self, origin: str, method: str) -> str:
        if self._library.lets_in(origin, method):
            return f"answers this preflight itself: {origin} may send {method}"
        return f"refuses this preflight with 403 origin_refused: {origin} may not send {method}"

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return self._cleaned(await handler(request))
        if self._library.is_preflight(request):
            return await self._preflight(request)
        request[EXCHANGE].origin_trusted = self._origins.lists(origin)
        if _wants_websocket(request):
            self._refuse_foreign(origin, request[EXCHANGE])
        answer = self._cleaned(await handler(request))
        if answer.status != _SWITCHING:
            self._mark(answer, await self._library.headers_for(request))
        return answer

    async def _preflight(self, request: web.BaseRequest) -> Answer:
        try:
            headers = await self._library.answer_preflight(request)
        except web.HTTPForbidden as refusal:
            raise GatewayError(
                "origin_refused",
                "A page of this origin may not send such a request here.",
                log=refusal.text or "",
                headers=self._vary_of_preflight(),
            ) from None
        answer = Answer(status=204, headers=self._vary_of_preflight())
        self._mark(answer, headers)
        return answer

    def _vary_of_preflight(self) -> Mapping[str, str]:
        asked = f"{REQUEST_METHOD}, {REQUEST_HEADERS}"
        return {"Vary": f"Origin, {asked}" if self._varies else asked}

    def _mark(self, answer: Answer, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            if name == hdrs.ACCESS_CONTROL_ALLOW_ORIGIN and self._origins.all:
                # The library names the origin, which would have to vary; `*` fits all of them.
                answer.add_header(name, "*")
            elif name.lower().startswith(_PREFIX.decode()):
                answer.add_header(name, value)

    def _cleaned(self, answer: Answer) -> Answer:
        """Remove what the upstream says of access control, and say that the answer varies."""
        if any(name[:15].lower() == _PREFIX for name, _ in answer.wire_fields()):
            for name in [name for name in answer.headers if name[:15].lower() == _PREFIX.decode()]:
                answer.headers.popall(name, None)
        if self._varies and not _varies_by_origin(answer):
            answer.add_header(hdrs.VARY, "Origin")
        return answer

    def _refuse_foreign(self, origin: str, exchange: Exchange) -> None:
        """Raise for a page that may not open a WebSocket: no preflight has asked for it."""
        client = exchange.client
        own = f"{client.scheme}://{client.host}".lower()
        if self._origins and origin != own and not self._origins.allow(origin):
            raise GatewayError("origin_refused")


def _wants_websocket(request: web.BaseRequest) -> bool:
    return "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()


def _varies_by_origin(answer: Answer) -> bool:
    vary = answer.header(hdrs.VARY)
    return vary is not None and any(
        name.strip().lower() in ("origin", "*") for name in vary.split(",")
    )
