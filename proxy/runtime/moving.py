"""A request that was made for one upstream, told to another: its target, and its cookies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxy.headers import LOWER, Field, decode, encode
from proxy.paths import join, split_target

if TYPE_CHECKING:
    from proxy.server.request import Request


def moved(target: str, base: str, other: str, *, bare: bool = False) -> str:
    """Return a target below an upstream's path `base` as it stands below `other`, byte for byte.

    A plugin may have aimed at a place outside of `base`: that is meant, and stays. `bare` says that
    nothing was behind the prefix: with no base, that can't be told from a slash.
    """
    path, query = split_target(target)
    if bare and not base and path == "/":
        return join(other, "") + query
    if not path.startswith(base) or path[len(base) : len(base) + 1] not in ("", "/"):
        return target
    return join(other, path[len(base) :]) + query


def moved_target(request: Request) -> str:
    """Return the outgoing target as the upstream is asked that was chosen for a request."""
    route = request.route
    target = request.exchange.outgoing.target
    return moved(target, route.base, route.upstream.spec.path, bare=is_bare(request))


def is_bare(request: Request) -> bool:
    """Tell whether a request names a service's prefix and nothing behind it, not even a slash."""
    spec, exchange = request.route.spec, request.exchange
    return bool(spec.strip and spec.rewrite is None and exchange.path == exchange.prefix)


def client_cookies(request: Request) -> dict[str, list[str]]:
    """Return the values of the client's cookies by name, as they were sent."""
    found: dict[str, list[str]] = {}
    for pair in _client_pairs(request):
        name, equals, value = pair.partition("=")
        if equals:
            found.setdefault(name.strip(), []).append(value.strip())
    return found


def _client_pairs(request: Request) -> Iterable[str]:
    for value in request.headers.getall("Cookie", ()):
        yield from (pair.strip() for pair in value.split(";"))


def drop_cookies(request: Request) -> None:
    """Take the client's cookies off the outgoing request; what a plugin put there stays."""
    outgoing = request.exchange.outgoing
    if outgoing.header("Cookie") is not None:
        outgoing.edit_fields(lambda fields: without_client_cookies(fields, request))


def without_client_cookies(fields: Iterable[Field], request: Request) -> list[Field]:
    """Return raw fields without the client's cookies."""
    sent = frozenset(_client_pairs(request))
    kept: list[Field] = []
    for field in fields:
        if LOWER[field[0]] != b"cookie":
            kept.append(field)
            continue
        pairs = [pair.strip() for pair in decode(field[1]).split(";")]
        if left := "; ".join(pair for pair in pairs if pair and pair not in sent):
            kept.append((field[0], encode(left)))
    return kept
