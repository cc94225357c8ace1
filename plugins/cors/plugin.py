"""The plugin that answers preflights and marks answers."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from aiohttp import hdrs, web
from aiohttp_cors import ResourceOptions

from plugins.cors.library import REQUEST_HEADERS, REQUEST_METHOD, Library
from plugins.cors.options import ALWAYS_EXPOSED, SCHEMA
from plugins.cors.origins import Origins
from proxy import EXCHANGE, Answer, Exchange, GatewayError, Handler, Plugin, Problems, Stage

Fields = tuple[tuple[str, str], ...]

MOST_KNOWN = 256
"""Origins whose headers are remembered."""

_ANY = "https://any.invalid"
"""The origin of no page (RFC 6761, 6.4): what it gets where all are let in, all get."""

_PREFIX = b"access-control-"
_SWITCHING = 101


class Cors(Plugin):
    """Tells browsers which pages of other origins may call and read.

    It stands outside of authentication: a preflight carries no credentials, and a page must be able
    to read a 401. Answers are marked when they are about to be sent, whoever made them; so it is a
    coroutine for preflights alone.
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
        # Who may send no credentials is not trusted with those that browsers send; "*" names nobody.
        self._trusts = credentials and not self._origins.all
        self._varies = bool(self._origins) and not self._origins.all
        self._known: dict[str, Fields] = {}
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
        self._check_null(problems)

    def _check_null(self, problems: Problems) -> None:
        """Report `null`, the origin of every sandboxed page, also of one that a stranger has made."""
        listed = self._origins.listed
        if "null" not in listed:
            return
        option = f"origins.{listed.index('null')}"
        if self._credentials:
            problems.add(
                option,
                "any page can be of origin null, and would act with its visitors' cookies",
                hint="remove it, or leave credentials out",
            )
        else:
            problems.warn(option, "any page can be of origin null: this lets in every site")

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

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            exchange.on_answer(self._without_page)
            return handler(request)
        if self._library.is_preflight(request):
            return self._preflight(request)
        headers = self._headers_for(origin)
        exchange.origin_trusted = bool(headers) and self._trusts and origin != "null"
        if _wants_websocket(request):
            self._refuse_foreign(origin, exchange)
        exchange.on_answer(partial(self._for_page, headers))
        return handler(request)

    def _without_page(self, _exchange: Exchange, answer: Answer) -> None:
        """Finish an answer that no page has asked for: a cache may give it to one later."""
        self._clean(answer)
        if self._origins.all:
            self._mark(answer, self._headers_for(_ANY))
        elif self._origins:
            _vary(answer)

    def _for_page(self, headers: Fields, _exchange: Exchange, answer: Answer) -> None:
        self._clean(answer)
        if self._varies or (self._origins and not headers):
            _vary(answer)
        if answer.status != _SWITCHING:
            self._mark(answer, headers)

    def _headers_for(self, origin: str) -> Fields:
        """Return what an answer gets: nothing for a foreign origin. Few of the others are kept."""
        if self._origins.all and origin != "null":
            origin = _ANY
        known = self._known.get(origin)
        if known is not None:
            return known
        if not self._origins.allow(origin):
            return ()
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        headers = self._known[origin] = tuple(self._library.headers_for(origin).items())
        return headers

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
        self._mark(answer, tuple(headers.items()))
        return answer

    def _vary_of_preflight(self) -> Mapping[str, str]:
        asked = f"{REQUEST_METHOD}, {REQUEST_HEADERS}"
        return {"Vary": f"Origin, {asked}" if self._varies else asked}

    def _mark(self, answer: Answer, headers: Fields) -> None:
        for name, value in headers:
            if name == hdrs.ACCESS_CONTROL_ALLOW_ORIGIN and self._origins.all:
                # The library names the origin, which would have to vary; `*` fits all of them.
                answer.add_header(name, "*")
            elif _is_ours(name.encode()):
                answer.add_header(name, value)

    @staticmethod
    def _clean(answer: Answer) -> None:
        """Remove what the upstream says of access control: only this plugin's word holds."""
        for (
            field
        ) in answer.wire_fields():  # a loop: for every answer, and `any` costs twice as much
            if field[0][:1] in b"Aa" and _is_ours(field[0]):
                break
        else:
            return
        for name in {name for name in answer.headers if _is_ours(name.encode())}:
            answer.headers.popall(name, None)

    def _refuse_foreign(self, origin: str, exchange: Exchange) -> None:
        """Raise for a page that may not open a WebSocket: no preflight has asked for it."""
        client = exchange.client
        own = f"{client.scheme}://{client.host}".lower()
        if self._origins and origin != own and not self._origins.allow(origin):
            raise GatewayError("origin_refused")


def _is_ours(name: bytes) -> bool:
    return name[: len(_PREFIX)].lower() == _PREFIX


def _vary(answer: Answer) -> None:
    if not _varies_by_origin(answer):
        answer.add_header(hdrs.VARY, "Origin")


def _wants_websocket(request: web.BaseRequest) -> bool:
    return "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()


def _varies_by_origin(answer: Answer) -> bool:
    vary = answer.header(hdrs.VARY)
    return vary is not None and any(
        name.strip().lower() in ("origin", "*") for name in vary.split(",")
    )
