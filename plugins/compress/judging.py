"""Which answers may be compressed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from aiohttp import hdrs
from multidict import MultiMapping

from plugins.compress.breach import secretive
from plugins.compress.media import Types, media_type
from proxy import Answer, Exchange

_NEVER = frozenset(
    {
        HTTPStatus.SWITCHING_PROTOCOLS,
        HTTPStatus.NO_CONTENT,
        HTTPStatus.RESET_CONTENT,
        HTTPStatus.PARTIAL_CONTENT,
    }
)

_WEIGHED = frozenset(
    {b"cache-control", b"content-encoding", b"content-range", b"content-type", b"set-cookie"}
)


class Judge:
    """Judges by what stands in the fields, in raw form: an answer that is let be stays raw."""

    def __init__(self, min_size: int, types: Iterable[str], despite: Iterable[str]) -> None:
        self._min_size = min_size
        self._types = Types(types)
        self._despite = frozenset(despite)

    def takes(self, asked: MultiMapping[str], exchange: Exchange, answer: Answer) -> bool:
        """Tell whether `answer` could be compressed, for a client that accepts it.

        For HEAD and a 304, whether the answer to GET could: they tell what that would say.
        """
        if answer.status in _NEVER:
            return False
        unchanged = answer.status == HTTPStatus.NOT_MODIFIED
        media = answer.header(hdrs.CONTENT_TYPE)
        # Most 304s name no type.
        if not (unchanged if media is None else self._types.take(media_type(media))):
            return False
        fields = _weighed(answer)
        directives = _directives(fields.get(b"cache-control", ()))
        return (
            b"content-encoding" not in fields
            and b"content-range" not in fields
            and len(fields.get(b"content-type", ())) <= 1
            and "no-transform" not in directives
            and (unchanged or self._is_large(exchange, answer))
            and not secretive(asked, fields, directives, self._despite)
        )

    def _is_large(self, exchange: Exchange, answer: Answer) -> bool:
        body = answer.payload()
        if isinstance(body, bytes) and exchange.method != hdrs.METH_HEAD:
            return len(body) >= self._min_size
        length = answer.header(hdrs.CONTENT_LENGTH) or ""
        return not length.isdecimal() or int(length) >= self._min_size


def _weighed(answer: Answer) -> Mapping[bytes, Sequence[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in answer.wire_fields():
        lower = name.lower()
        if lower in _WEIGHED:
            found.setdefault(lower, []).append(value)
    return found


def _directives(values: Iterable[bytes]) -> frozenset[str]:
    """Return the names of Cache-Control's directives (RFC 9111, 5.2)."""
    members = b",".join(values).decode("latin-1").lower().split(",")
    return frozenset(member.partition("=")[0].strip() for member in members)
