"""What a rule asks of one claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Value = str | int | float | bool


class ClaimTest:
    """A claim that must have one of some values, or be a list with one of them in it."""

    __slots__ = ("_path", "_wanted", "contains", "name", "values")

    def __init__(self, name: str, asked: Any) -> None:
        """`asked` is as the file has it: a value, several, or `{contains: …}`."""
        self.name = name
        self.contains = isinstance(asked, Mapping)
        given = asked["contains"] if self.contains else asked
        self.values: tuple[Value, ...] = tuple(given) if isinstance(given, list) else (given,)
        self._wanted = frozenset(map(_key, self.values))
        self._path = tuple(name.split(".")) if "." in name else ()

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Tell whether the caller's claims fulfil it."""
        value = claims.get(self.name)
        if value is None and self._path:
            value = _below(claims, self._path)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return self.contains and any(_key(each) in self._wanted for each in value)
        return _key(value) in self._wanted

    def implied_by(self, other: ClaimTest) -> bool:
        """Tell whether whoever fulfils the `other` fulfils this one too."""
        same = (self.name, self.contains) == (other.name, other.contains)
        return same and other._wanted <= self._wanted

    def __str__(self) -> str:
        values = "/".join(map(_written, self.values))
        return f"{self.name} has {values}" if self.contains else f"{self.name}={values}"


def _below(claims: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        claims = claims.get(part) if isinstance(claims, Mapping) else None
    return claims


def _key(value: Any) -> Any:
    """Return what is compared: Python takes True for 1, JSON does not; None is equal to nothing."""
    if isinstance(value, bool):
        return ("bool", value)
    return value if isinstance(value, str | int | float) else None


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
