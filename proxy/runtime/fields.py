"""Which of the client's fields go to an upstream, and how an upstream's come back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from proxy import rewriting
from proxy.config.models import Cookies, RouteSpec
from proxy.errors import GatewayError
from proxy.headers import (
    HOP_BY_HOP,
    LOWER,
    Field,
    decode,
    encode,
    is_forwarding,
    is_identity,
    tokens,
)
from proxy.runtime.withheld import CookieNames, Withheld, without_token

if TYPE_CHECKING:
    from proxy.server.request import Request
    from proxy.upstream.head import Head

PASS, DROP, CONNECTION, AUTHORIZATION, COOKIE, PROTOCOLS, HOPS, TRAILERS, LENGTH, CODING = range(10)

_VERDICTS = {
    b"authorization": AUTHORIZATION,
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"cookie": COOKIE,
    b"expect": DROP,
    b"host": DROP,
    b"sec-websocket-protocol": PROTOCOLS,
    b"te": TRAILERS,
    b"transfer-encoding": CODING,
    b"x-brain-hops": HOPS,
}

_WHY = {
    DROP: "gateway",
    AUTHORIZATION: "credentials",
    CONNECTION: "hop-by-hop",
    COOKIE: "cookies",
    HOPS: "forwarding",
    TRAILERS: "hop-by-hop",
    LENGTH: "framing",
    CODING: "framing",
    PROTOCOLS: "credentials",
}

MOST_VERDICTS = 1024
LONGEST_NAME = 64


class RequestRules:
    """Judges the client's fields for one snapshot; verdicts on names are remembered.

    Dropped: hop-by-hop fields and those that `Connection` names, forwarding and identity fields,
    what a plugin protects, the credentials of callers, and names with an underscore, which alias a
    dash under WSGI (semantics.md, rows 8-10). What has a meaning of its own is seen in the same pass.
    """

    def __init__(
        self, protected: Iterable[str], hops: int, withheld: Withheld | None = None
    ) -> None:
        dashed = (name.lower().replace("_", "-") for name in protected)
        self._protected = frozenset(name.encode() for name in dashed)
        self._hops = hops
        self.withheld = withheld or Withheld()
        self._verdicts: dict[bytes, int] = {}
        self._lenient: dict[bytes, int] = {}

    def judge(self, request: Request, spec: RouteSpec | None) -> tuple[list[Field], int]:
        """Return the fields to forward and the hops counted so far; note what else they ask for.

        Raises GatewayError `loop_detected` when the request has passed here too often,
        `bad_framing` for a length or a coding by which the parser found no body.
        """
        underscores = spec is not None and spec.allow_underscore_headers
        verdicts = self._lenient if underscores else self._verdicts
        kept: list[Field] = []
        named: list[bytes] = []
        hops = 0
        for field in request.fields:
            name = field[0]
            verdict = verdicts.get(name)
            if verdict is None:
                verdict = self._remember(name, verdicts, underscores=underscores)
            if verdict == PASS:
                kept.append(field)
            elif verdict == DROP:
                continue
            elif verdict == CONNECTION:
                named.append(field[1])
            elif verdict <= PROTOCOLS:
                kept += self._partly(request, spec, field, verdict)
            else:
                hops = max(hops, self._noted(request, field[1], verdict))
        if named and not all(value in _PLAIN_CONNECTION for value in named):
            kept = _without_named(kept, named)
        return kept, hops

    def _partly(
        self, request: Request, spec: RouteSpec | None, field: Field, verdict: int
    ) -> Sequence[Field]:
        """Return what goes on of a field that may hold a caller's credential."""
        if verdict == AUTHORIZATION:
            held = self.withheld.holds(field[1]) and not (spec is not None and spec.forward_token)
            return () if held else (field,)
        if verdict == COOKIE:
            return _cookie_field(field, spec, self.withheld.cookies)
        return _protocols(request, field)

    def _noted(self, request: Request, value: bytes, verdict: int) -> int:
        """Note what a field asks for that is not sent on; return the hops that it tells of."""
        if verdict == HOPS:
            return self._count(value)
        if verdict == TRAILERS:
            request.wants_trailers = _wants_trailers(value)
        else:
            _check_framing(request, verdict, value)
        return 0

    def _count(self, value: bytes) -> int:
        hops = int(value) if value.isdigit() and len(value) < 4 else 0
        if hops >= self._hops:
            raise GatewayError("loop_detected")
        return hops

    def _remember(self, name: bytes, verdicts: dict[bytes, int], *, underscores: bool) -> int:
        verdict = self._verdict(name.lower(), underscores=underscores)
        # Clients choose names: neither their number nor their length may fill the memory.
        if len(name) <= LONGEST_NAME:
            if len(verdicts) >= MOST_VERDICTS:
                verdicts.clear()
            verdicts[name] = verdict
        return verdict

    def _verdict(self, name: bytes, *, underscores: bool) -> int:
        special = _VERDICTS.get(name)
        if special is not None:
            return special
        return PASS if self.why_dropped(name, underscores=underscores) is None else DROP

    def why_dropped(self, name: bytes, *, underscores: bool) -> str | None:
        """Return in a word why no field of this lower-case name is passed on; None where one may be.

        A cookie is passed on where its route says so, whatever is said here.
        """
        if name in _VERDICTS:
            return _WHY[_VERDICTS[name]]
        twin = name.replace(b"_", b"-")
        if twin in HOP_BY_HOP:
            return "hop-by-hop"
        if is_forwarding(twin):
            return "forwarding"
        if is_identity(twin):
            return "identity"
        if twin in self._protected:
            return "protected"
        if b"_" in name and (twin in _VERDICTS or not underscores):
            return "underscore"
        return None


def _wants_trailers(value: bytes) -> bool:
    return any(coding.partition(b";")[0].strip() == b"trailers" for coding in tokens([value]))


def _check_framing(request: Request, verdict: int, value: bytes) -> None:
    """Raise GatewayError `bad_framing` where the parser passed over what announces a body.

    It does for an empty Transfer-Encoding, and for a Content-Length that is the largest number.
    """
    if verdict == CODING:
        unseen = not request.chunked
    else:
        unseen = not request.uploads and value.strip(b"0") != b""
    if unseen:
        raise GatewayError("bad_framing")


_PLAIN_CONNECTION = frozenset(
    {b"keep-alive", b"close", b"Keep-Alive", b"Close", b"Upgrade", b"upgrade"}
)


def _without_named(kept: list[Field], named: list[bytes]) -> list[Field]:
    dropped = set(tokens(named))
    return [field for field in kept if LOWER[field[0]] not in dropped]


def _cookie_field(field: Field, spec: RouteSpec | None, withheld: CookieNames) -> list[Field]:
    rule = Cookies.NONE if spec is None else spec.forward_cookies
    if rule is Cookies.NONE or spec is None:
        return []
    secret = bool(withheld) and not spec.forward_token
    if rule is Cookies.ALL and not spec.hidden_cookies and not secret:
        return [field]
    left = decode(field[1])
    if rule is not Cookies.ALL:
        left = rewriting.cookies(left, rule)
    if spec.hidden_cookies:
        left = rewriting.cookies_without(left, spec.hidden_cookies)
    if secret:
        left = rewriting.cookies_without(left, withheld)
    return [(field[0], encode(left))] if left else []


def _protocols(request: Request, field: Field) -> Sequence[Field]:
    """Return all subprotocols for the first field of them, less a token that stands among them."""
    offered = [one for one in request.fields if LOWER[one[0]] == b"sec-websocket-protocol"]
    if offered[0] is not field:
        return ()
    own = without_token(offered)
    request.token_offered = own is not None
    return offered if own is None else own


def answer_fields(head: Head, request: Request) -> list[Field]:
    """Return an answer's end-to-end fields in the client's terms."""
    noted = head.noted
    if noted.keys() <= _PLAIN:
        return head.fields
    kept: list[Field] = []
    named: list[bytes] = []
    for field in head.fields:
        name = LOWER[field[0]]
        if name in _REWRITTEN:
            kept.append(_in_public_terms(field, name, request))
        elif name == b"connection":
            named.append(field[1])
        elif name not in HOP_BY_HOP:
            kept.append(field)
    if named and not all(value in _PLAIN_CONNECTION for value in named):
        kept = _without_named(kept, named)
    return kept


_PLAIN = frozenset({b"content-length", b"content-type", b"date"})
_REWRITTEN = frozenset({b"location", b"set-cookie"})


def _in_public_terms(field: Field, name: bytes, request: Request) -> Field:
    spec = request.route.spec
    rewrites = spec.rewrite_location if name == b"location" else spec.rewrite_cookies
    if not rewrites:
        return field
    bases = request.route.bases(request.prefix, request.sent_host.lower())
    rewrite = rewriting.location if name == b"location" else rewriting.set_cookie
    return field[0], encode(rewrite(decode(field[1]), bases))
