"""`match:` of a route, and which of two matches takes all that the other would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.config.models import Match, ValueTest
from proxy.config.patterns import parse_pattern, parse_test


def compile_match(given: Mapping[str, Any]) -> Match:
    """Return the predicates that the mapping writes; its structure has been checked."""
    return Match(
        path=parse_pattern(given.get("path", "/*")),
        methods=frozenset(_several(given.get("method", ()))),
        hosts=tuple(host.lower() for host in _several(given.get("host", ()))),
        headers=tuple(
            parse_test(name.lower(), value) for name, value in given.get("header", {}).items()
        ),
        query=tuple(parse_test(name, value) for name, value in given.get("query", {}).items()),
    )


def _several(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def as_text(prefix: str, match: Match) -> str:
    """Return a match under a prefix in one line: methods, path, then the other predicates."""
    parts = [",".join(sorted(match.methods)) or "*", f"{prefix}{match.path.text}"]
    parts += [f"host={','.join(match.hosts)}"] * bool(match.hosts)
    parts += [_test("header", test) for test in match.headers]
    parts += [_test("query", test) for test in match.query]
    return " ".join(parts)


def _test(kind: str, test: ValueTest) -> str:
    if not test.present:
        return f"{kind}:{test.name} absent"
    value = "*" if test.value is None else f"{test.value}{'*' * test.prefix}"
    return f"{kind}:{test.name}={value}"


def covers(wide: Match, narrow: Match) -> bool:
    """Say whether `wide` takes every request that `narrow` would, their paths being the same."""
    return (
        _methods_cover(wide.methods, narrow.methods)
        and _hosts_cover(wide.hosts, narrow.hosts)
        and _tests_cover(wide.headers, narrow.headers)
        and _tests_cover(wide.query, narrow.query)
    )


def _methods_cover(wide: frozenset[str], narrow: frozenset[str]) -> bool:
    if not wide:
        return True
    return bool(narrow) and narrow <= (wide | {"HEAD"} if "GET" in wide else wide)


def _hosts_cover(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    """`*.example.com` takes every name below it, not example.com itself."""
    below = tuple(host[1:] for host in wide if host.startswith("*."))
    return not wide or bool(narrow and all(host in wide or host.endswith(below) for host in narrow))


def _tests_cover(wide: tuple[ValueTest, ...], narrow: tuple[ValueTest, ...]) -> bool:
    return all(any(_implies(has, asked) for has in narrow) for asked in wide)


def _implies(has: ValueTest, asked: ValueTest) -> bool:
    """Say whether a request that passes `has` passes `asked` too."""
    if has.name != asked.name or has.present != asked.present:
        return False
    if asked.value is None or has == asked:
        return True
    return asked.prefix and has.value is not None and has.value.startswith(asked.value)
