"""What the schema can't say of `forward-auth`."""

from __future__ import annotations

from collections.abc import Iterable

from proxy import Outgoing, Problems

_CLIENTS = frozenset({"accept", "cookie", "origin", "range", "referer", "user-agent"})
_TOLD = frozenset({"authorization", "cookie", "forwarded", "x-real-ip", "x-request-id"})


def check_copied(names: Iterable[str], problems: Problems) -> None:
    """Report headers that no upstream can get from the service, since they are the client's own.

    What is copied is removed from what clients send.
    """
    for index, name in enumerate(names):
        lower = name.lower()
        if lower in _CLIENTS or lower.startswith(("accept-", "content-", "if-")):
            problems.add(f"copy.{index}", f"'{name}' is the client's own word")
        else:
            _check_sendable(name, f"copy.{index}", problems)


def check_sent(names: Iterable[str], problems: Problems) -> None:
    """Report headers that the service gets anyway, or must not get."""
    for index, name in enumerate(names):
        lower = name.lower()
        if lower in _TOLD or lower.startswith(("x-forwarded-", "x-original-")):
            problems.add(f"headers.{index}", f"the gateway says itself what '{name}' is")
        elif lower.startswith("content-"):
            problems.add(f"headers.{index}", "the service gets no body", hint="leave it out")
        else:
            _check_sendable(name, f"headers.{index}", problems)


def _check_sendable(name: str, option: str, problems: Problems) -> None:
    try:
        Outgoing("GET", "/", []).add_header(name, "x")
    except ValueError as error:
        problems.add(option, str(error))


def check_bounds(cache: float, timeout: float, most: int, problems: Problems) -> None:
    """Report what would hold too long or too much."""
    if cache > 300:
        problems.add(
            "cache", "a verdict holds 5m at most", hint="who has logged out stays in so long"
        )
    if timeout > 30:
        problems.add("timeout", "the service has 30s at most")
    if most > 1024 * 1024:
        problems.add("max_body", "an answer has 1MiB at most")
