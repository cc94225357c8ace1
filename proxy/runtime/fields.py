"""Which of the client's fields go to an upstream, and how an upstream's come back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from proxy import rewriting
from proxy.config.models import Cookies, RouteSpec
from proxy.errors import GatewayError
from proxy.headers import FORWARDED, HOP_BY_HOP, LOWER, Field, decode, encode, is_identity, tokens

if TYPE_CHECKING:
    from proxy.server.request import Request
    from proxy.upstream.head import Head

_FRAMING = frozenset({b"content-length", b"host", b"expect"})
_HOPS = b"x-brain-hops"

PASS, DROP, CONNECTION, COOKIE, HOPS = range(5)


class RequestRules:
    """Judges the client's fields for one snapshot; verdicts on names are remembered.

    Dropped: hop-by-hop fields and those that `Connection` names, forwarding and identity fields,
    what a plugin protects, and names with an underscore, which alias a dash under WSGI
    (semantics.md, rows 8-10).
    """

    def __init__(self, protected: Iterable[str], hops: int) -> None:
        self._protected = frozenset(name.lower().encode() for name in protected)
        self._hops = hops
        self._verdicts: dict[bytes, int] = {}
        self._lenient: dict[bytes, int] = {}

    def judge(self, raw: Sequence[Field], spec: RouteSpec | None) -> tuple[list[Field], int]:
        """Return the fields to forward and the hops counted so far.

        Raises GatewayError `loop_detected` when the request has passed here too often.
        """
        underscores = spec is not None and spec.allow_underscore_headers
        verdicts = self._lenient if underscores else self._verdicts
        kept: list[Field] = []
        named: list[bytes] = []
        hops = 0
        for field in raw:
            name = field[0]
            verdict = verdicts.get(name)
            if verdict is None:
                verdict = self._remember(name, verdicts, underscores=underscores)
            if verdict == PASS:
                kept.append(field)
            elif verdict == CONNECTION:
                named.append(field[1])
            elif verdict == COOKIE:
                kept.extend(_cookie_field(field, spec))
            elif verdict == HOPS:
                hops = self._count(field[1])
        if named and not all(value in _PLAIN_CONNECTION for value in named):
            kept = _without_named(kept, named)
        return kept, hops

    def _count(self, value: bytes) -> int:
        hops = int(value) if value.isdigit() and len(value) < 4 else 0
        if hops >= self._hops:
            raise GatewayError("loop_detected")
        return hops

    def _remember(self, name: bytes, verdicts: dict[bytes, int], *, underscores: bool) -> int:
        if len(verdicts) > 1024:
            verdicts.clear()
        verdict = verdicts[name] = self._verdict(name.lower(), underscores=underscores)
        return verdict

    def _verdict(self, name: bytes, *, underscores: bool) -> int:
        if name == b"connection":
            return CONNECTION
        if name == b"cookie":
            return COOKIE
        if name == _HOPS:
            return HOPS
        twin = name.replace(b"_", b"-")
        ours = twin in HOP_BY_HOP or twin in FORWARDED or twin in _FRAMING
        if ours or is_identity(twin) or twin in self._protected:
            return DROP
        return DROP if b"_" in name and not underscores else PASS


_PLAIN_CONNECTION = frozenset(
    {b"keep-alive", b"close", b"Keep-Alive", b"Close", b"Upgrade", b"upgrade"}
)


def _without_named(kept: list[Field], named: list[bytes]) -> list[Field]:
    dropped = set(tokens(named))
    return [field for field in kept if LOWER[field[0]] not in dropped]


def _cookie_field(field: Field, spec: RouteSpec | None) -> list[Field]:
    rule = Cookies.NONE if spec is None else spec.forward_cookies
    if rule is Cookies.ALL:
        return [field]
    if rule is Cookies.NONE:
        return []
    left = rewriting.cookies(decode(field[1]), rule)  # type: ignore[arg-type]
    return [(field[0], encode(left))] if left else []


def answer_fields(head: Head, request: Request) -> list[Field]:
    """Return an answer's end-to-end fields in the client's terms."""
    noted = head.noted
    if noted.keys() <= _PLAIN:
        return head.fields
    kept: list[Field] = []
    for field in head.fields:
        name = LOWER[field[0]]
        if name in _REWRITTEN:
            kept.append(_in_public_terms(field, name, request))
        elif name not in HOP_BY_HOP:
            kept.append(field)
    named = noted.get(b"connection")
    if named is not None and named not in _PLAIN_CONNECTION:
        kept = _without_named(kept, [v for n, v in head.fields if LOWER[n] == b"connection"])
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
