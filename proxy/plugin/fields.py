"""Headers that refuse what must not go on the wire, at the line that sets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from multidict import CIMultiDict

from proxy.headers import HOP_BY_HOP, Field, clean_value, decode, encode

_FRAMES = "the gateway frames what it sends: call replace() or assign to body"
_CONNECTS = "it speaks of one connection, and the gateway has its own on each side"
_OF_CONNECTION = dict.fromkeys((decode(name) for name in HOP_BY_HOP), _CONNECTS)

_NEVER_ANSWERED = {**_OF_CONNECTION, "content-length": _FRAMES, "transfer-encoding": _FRAMES}
_NEVER_SENT = {
    **_NEVER_ANSWERED,
    "host": "the gateway writes it: the route's `host` key says which",
    "expect": "the gateway asks the client for the body itself, when outgoing.body is read",
    "x-brain-hops": "the gateway counts the hops itself",
    "x-brain-mirrored": "the gateway says itself which requests are copies",
}
"""Fields that the gateway writes: beside its own, another one is a second opinion on where a message
ends or to whom it goes (RFC 9112, 11.2)."""


def outgoing_field(name: str, value: str) -> Field:
    """Return a field as it is sent to an upstream.

    Raises TypeError or ValueError as `clean_value` does, and ValueError for the gateway's own fields.
    """
    return _outgoing_name(name), _raw(name, value)


def answer_field(name: str, value: str) -> Field:
    """Return a field as it is sent to a client. Raises as `outgoing_field` does."""
    if type(value) is str and value.isprintable():  # as `_raw`: a call less, for every mark
        return _answer_name(name), value.encode()
    return _answer_name(name), _raw(name, value)


def _raw(name: str, value: str) -> bytes:
    # The name is a known one by now; what is printable is clean, and has no surrogates.
    if type(value) is str and value.isprintable():
        return value.encode()
    return encode(clean_value(name, value))


@lru_cache(maxsize=1024)
def _outgoing_name(name: str) -> bytes:
    return _allowed(name, _NEVER_SENT)


@lru_cache(maxsize=1024)
def _answer_name(name: str) -> bytes:
    return _allowed(name, _NEVER_ANSWERED)


def _allowed(name: str, never: dict[str, str]) -> bytes:
    clean_value(name, "")
    if reason := never.get(name.lower()):
        raise ValueError(f"header '{name}' can't be set: {reason}")
    return encode(name)


class PreparedHeaders:
    """Headers for an upstream, checked and encoded once, to be put on many requests: `outgoing.put`.

    `values` are those of each header, None for one that is not sent and that the plugin owns all the
    same. Raises as `Outgoing.add_header` does.
    """

    __slots__ = ("fields", "meant", "names")

    def __init__(self, values: Mapping[str, str | None]) -> None:
        sent = {name: value for name, value in values.items() if value is not None}
        self.fields = tuple(outgoing_field(name, value) for name, value in sent.items())
        self.names = frozenset(encode(name.lower()) for name in values)
        self.meant = frozenset(name.replace(b"_", b"-") for name in self.names)

    def __repr__(self) -> str:
        return f"<PreparedHeaders {', '.join(decode(name) for name, _ in self.fields)}>"


class CleanHeaders(CIMultiDict[str]):
    """A case-insensitive multidict whose values are clean text; names keep their case.

    Raises TypeError or ValueError, as `proxy.headers.clean_value` does, where a plugin sets a value
    that is no str or holds CR, LF or NUL. What was read from the wire is not checked again.
    """

    @classmethod
    def from_wire(cls, fields: Iterable[Field]) -> CleanHeaders:
        """Make headers of raw fields, unchecked: the parser has refused what is malformed."""
        headers = cls()
        CIMultiDict.extend(headers, [(decode(name), decode(value)) for name, value in fields])
        return headers

    def to_wire(self) -> list[Field]:
        """Return raw fields in order, in the case in which they were written."""
        return [(encode(name), encode(value)) for name, value in self.items()]

    def _clean(self, name: str, value: str) -> str:
        return clean_value(name, value)

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, self._clean(key, value))

    def add(self, key: str, value: str) -> None:
        super().add(key, self._clean(key, value))

    def setdefault(self, key: str, default: str = "") -> str:
        return super().setdefault(key, self._clean(key, default))

    def extend(self, *args: Any, **kwargs: str) -> None:
        super().extend(self._checked(*args, **kwargs))

    def update(self, *args: Any, **kwargs: str) -> None:
        super().update(self._checked(*args, **kwargs))

    def merge(self, *args: Any, **kwargs: str) -> None:
        super().merge(self._checked(*args, **kwargs))

    def _checked(self, *args: Any, **kwargs: str) -> CIMultiDict[str]:
        given = CIMultiDict[str](*args, **kwargs)
        for name, value in given.items():
            self._clean(name, value)
        return given


class OutgoingHeaders(CleanHeaders):
    """Headers of a request to an upstream: what the gateway writes itself can't be set in them."""

    def _clean(self, name: str, value: str) -> str:
        _outgoing_name(name)
        return clean_value(name, value)
