"""One answer made of those that several workers gave to the same question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def summed(answers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one mapping: numbers are added, mappings and lists of named ones merged by name.

    True is what one of them says is true. Anything else stays where all say the same, and else the
    different values stand in one text.
    """
    total: dict[str, Any] = {}
    for answer in answers:
        for key, value in answer.items():
            total[key] = _both(total[key], value) if key in total else value
    return total


def checked(answers: Mapping[int, Mapping[str, str]]) -> dict[str, str]:
    """Return the checks of /ready of all workers, by name: what is not well in some tells in which."""
    names = dict.fromkeys(name for checks in answers.values() for name in checks)
    return {
        name: _told({worker: checks.get(name, "ok") for worker, checks in answers.items()})
        for name in names
    }


def _told(said: Mapping[int, str]) -> str:
    bad = {worker: what for worker, what in said.items() if what != "ok"}
    if not bad:
        return "ok"
    what = next(iter(bad.values()))
    if len(bad) == len(said):
        return what
    return f"worker {', '.join(map(str, bad))}: {what}"


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return summed((one, other))
    if isinstance(one, list) and isinstance(other, list):
        return _joined(one, other)
    if isinstance(one, bool) and isinstance(other, bool):
        return one or other
    if _is_number(one) and _is_number(other):
        return one + other
    if one == other or other is None:
        return one
    if one is None:
        return other
    return " | ".join(dict.fromkeys([*str(one).split(" | "), str(other)]))


def _joined(one: list[Any], other: list[Any]) -> list[Any]:
    """Merge the mappings of the same `name`; anything else is put behind."""
    if not all(isinstance(each, Mapping) and "name" in each for each in (*one, *other)):
        return [*one, *other]
    named: dict[Any, dict[str, Any]] = {}
    for each in (*one, *other):
        known = named.get(each["name"], {"name": each["name"]})
        rest = {key: value for key, value in each.items() if key != "name"}
        named[each["name"]] = {**known, **summed((known, rest))}
    return list(named.values())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
