"""Which requests of a route another upstream gets, or gets a copy of, as frozen values.

`models` is where they are imported from. Units: seconds (float), bytes (int), shares 0.0 to 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.config.models import ValueTest


class Compare(Enum):
    """What of a mirrored answer is held against the original's."""

    NOTHING = "nothing"
    STATUS = "status"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """One entry of `split`: requests for which all `headers` and `cookies` hold, and a share of all.

    `upstream` indexes `Config.upstreams`. `share` is None where none is written: such an entry has no
    place among the shares, while one of 0.0 waits in its own. `keeps_cookies` is False where the
    client's cookies, which the route's own upstream gets because it is near by its name, must not
    come here.
    """

    upstream: int
    share: float | None = None
    headers: tuple[ValueTest, ...] = ()
    cookies: tuple[ValueTest, ...] = ()
    keeps_cookies: bool = True

    @property
    def asked_for(self) -> bool:
        """Whether a request can ask for this entry itself."""
        return bool(self.headers or self.cookies)


@dataclass(frozen=True, slots=True)
class MirrorSpec:
    """The copies of a route's requests. `upstream` indexes `Config.upstreams`.

    `ignore` holds JSON pointers as their tokens, None for any one; `body` is the largest request body
    that is copied, `answer` the largest answer that is compared; `timeout` bounds a copy in all.
    """

    upstream: int
    share: float
    compare: Compare = Compare.STATUS
    ignore: tuple[tuple[str | None, ...], ...] = ()
    methods: frozenset[str] = frozenset({"GET", "HEAD", "OPTIONS"})
    body: int = 64 * 1024
    answer: int = 1024 * 1024
    concurrent: int = 20
    timeout: float = 10.0
    credentials: bool = False
    keeps_cookies: bool = True
