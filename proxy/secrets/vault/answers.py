"""What came of one request to the server, as other parts know it: nothing of hvac, no body shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST = 1024 * 1024
"""Bytes of an answer: what the server itself keeps of one secret is smaller."""

TOO_LARGE = f"more than {MOST // 1024} KiB"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. `body` is its JSON object, empty where it sent none.

    `garbled` says what it sent instead of one; `retry_after` is in seconds.
    """

    status: int
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    garbled: str | None = None
    retry_after: float | None = None

    def says(self, words: str) -> bool:
        """Say whether the server's own text has these words: it is compared, and never repeated."""
        told = self.body.get("errors")
        return isinstance(told, list) and any(
            isinstance(each, str) and words in each for each in told
        )

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return the JSON object at `key`, an empty one where there is none."""
        value = self.body.get(key)
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why there is no answer, in words that follow the server's address; `sent`: it was asked.

    `late`: it was connected to, and has not answered in time; that may be one engine's trouble.
    """

    why: str
    sent: bool = True
    late: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the path behind `/v1/`, and how a client of hvac is asked to make it.

    A URL that leads elsewhere than to `path` is never sent. `mount` is whose engine does it, None
    for what the server does itself: tokens and logins.
    """

    path: str
    ask: Callable[[Any], Any] = field(repr=False)
    namespace: str = ""
    mount: str | None = None
