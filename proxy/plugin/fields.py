"""Headers that refuse what must not go on the wire, at the line that sets it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from multidict import CIMultiDict

from proxy.headers import Field, clean_value, decode, encode


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

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, clean_value(key, value))

    def add(self, key: str, value: str) -> None:
        super().add(key, clean_value(key, value))

    def setdefault(self, key: str, default: str = "") -> str:
        return super().setdefault(key, clean_value(key, default))

    def extend(self, *args: Any, **kwargs: str) -> None:
        super().extend(_checked(*args, **kwargs))

    def update(self, *args: Any, **kwargs: str) -> None:
        super().update(_checked(*args, **kwargs))

    def merge(self, *args: Any, **kwargs: str) -> None:
        super().merge(_checked(*args, **kwargs))


def _checked(*args: Any, **kwargs: str) -> CIMultiDict[str]:
    given = CIMultiDict[str](*args, **kwargs)
    for name, value in given.items():
        clean_value(name, value)
    return given
