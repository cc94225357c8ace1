"""The keys of an issuer, fetched, kept and renewed: `KeySet`."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from math import inf
from random import uniform
from typing import TYPE_CHECKING

from aiohttp import ClientError

from proxy.errors import Unavailable
from proxy.plugin.jwk import VerifyingKey, keys_of
from proxy.tasks import Tasks
from proxy.text import printable

if TYPE_CHECKING:
    from proxy.plugin.http import HttpClient

log = logging.getLogger("brain.keys")

FRESH = 600.0
"""Seconds after which keys are fetched again, less a random tenth; sooner where the answer says so."""

FRESH_LEAST = 60.0
"""Seconds for which they are kept in any case."""

FLOOR = 30.0
"""Seconds between two fetches for keys that nobody knows: callers choose what they call a key."""

STALE = 3600.0
"""Seconds behind the last success for which the keys are still believed."""

LONGEST = 256 * 1024
"""Bytes of an answer."""

_RETRY_FIRST, _RETRY_MOST = 2.0, 60.0
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.IGNORECASE)
_DISCOVERY = "/.well-known/openid-configuration"


class KeySet:
    """The public keys at one address (RFC 7517), or those of an OpenID issuer (Discovery 1.0, 4).

    They are fetched by one flight at a time, whoever waits for it, renewed behind, and believed for an
    hour where that fails. `version` grows with each change: compare it to forget what an old key has
    verified. Redirects are not followed; what the type of the answer says does not matter.
    """

    def __init__(
        self,
        http: HttpClient,
        url: str | None = None,
        *,
        issuer: str = "",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url` is that of the JWKS; without one it is what `issuer` says of itself."""
        self.version = 0
        self._http = http
        self._url = url
        self._issuer = issuer
        self._now = now
        self._keys: tuple[VerifyingKey, ...] = ()
        self._succeeded: float | None = None
        self._asked = -inf
        self._fresh = FRESH
        self._pause = 0.0
        self._reason = f"the keys of {issuer or url} were not fetched yet"
        self._fetching_first = False
        self._tasks = Tasks()
        self._flight: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<KeySet {self._url or self._issuer} keys={len(self._keys)}>"

    def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the key of that name which may verify by that algorithm, None where there is none.

        Without a name it is the only key for the algorithm. While the keys are fetched for the very
        first time none is there, and `learn` waits for them. Raises Unavailable, `keys_unavailable`,
        where no keys are known or all are too old.
        """
        if self._succeeded is None and not self._fetching_first:
            raise Unavailable(self._reason, code="keys_unavailable")
        fit = [key for key in self._keys if algorithm in key.algorithms]
        if kid is not None:
            return next((key for key in fit if key.kid == kid), None)
        return fit[0] if len(fit) == 1 else None

    def trouble(self) -> str | None:
        """Return why keys can't be had, for /ready; None while there are some to be believed."""
        return None if self._succeeded is not None else self._reason

    async def learn(self) -> bool:
        """Fetch for the sake of an unknown key; return whether anything is new.

        At most once in 30 s, whether that succeeds or not; who comes meanwhile joins the flight.
        """
        before = self.version
        if self._flight is not None or self._now() - self._asked >= FLOOR:
            await self.fetch()
        return self.version != before

    async def fetch(self) -> None:
        """Fetch the keys now; whoever comes meanwhile waits for the same flight."""
        if self._flight is None:
            self._fetching_first = self._asked == -inf
            self._flight = self._tasks.spawn(
                self._fly(), name=f"keys of {self._url or self._issuer}"
            )
        # A waiter's leaving is nobody else's business.
        await asyncio.shield(self._flight)

    async def keep(self) -> None:
        """Renew the keys for ever: a background task (`context.spawn`). Several share one flight."""
        share = uniform(0.9, 1.0)  # noqa: S311
        while True:
            rest = self._asked + (self._pause or self._fresh) * share - self._now()
            if rest > 0:
                # Somebody else may ask meanwhile, and get no keys.
                await asyncio.sleep(min(rest, _RETRY_MOST))
            else:
                await self.fetch()

    def close(self) -> None:
        """Give up what is under way."""
        self._tasks.stop()

    # -- the flight

    async def _fly(self) -> None:
        self._asked = self._now()
        try:
            text, fresh = await self._answer(await self._where())
            # A hundred keys take as many requests' time.
            keys = await asyncio.to_thread(keys_of, text)
            if not keys:
                raise ValueError("it has no key that may verify")  # noqa: TRY301
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            self._failed(str(error) or type(error).__name__)
        else:
            self._fresh = fresh
            self._arrived(keys)
        finally:
            self._flight = None
            self._fetching_first = False

    async def _where(self) -> str:
        """Return the address of the keys, by the issuer's own word where nobody else said it."""
        if self._url is not None:
            return self._url
        # It is asked each time: the place that it left may answer on, with keys of before.
        text, _ = await self._answer(self._issuer.removesuffix("/") + _DISCOVERY)
        return _jwks_uri(text, self._issuer)

    async def _answer(self, url: str) -> tuple[bytes, float]:
        """Return what an address says, and for how many seconds it is fresh."""
        async with self._http.get(url, headers={"Accept": "application/json"}) as answer:
            if answer.status != 200:
                raise ValueError(f"{url} answers {answer.status}")
            parts, size = list[bytes](), 0
            async for part in answer.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > LONGEST:
                    raise ValueError(f"{url} answers more than {LONGEST} bytes")
            return b"".join(parts), _fresh_for(answer.headers.get("Cache-Control", ""))

    def _arrived(self, keys: tuple[VerifyingKey, ...]) -> None:
        if self._succeeded is None and self.version:
            log.info("the keys of %s are here again", self._issuer or self._url)
        self._succeeded, self._pause = self._now(), 0.0
        if _told(keys) != _told(self._keys):
            self._keys = keys
            self.version += 1

    def _failed(self, reason: str) -> None:
        self._pause = min(self._pause * 2 or _RETRY_FIRST, _RETRY_MOST)
        self._reason = f"the keys of {self._issuer or self._url} can't be fetched: {reason}"
        log.warning("%s", self._reason)
        if self._succeeded is not None and self._now() - self._succeeded > STALE:
            self._succeeded, self._keys = None, ()
            self.version += 1


def _told(keys: tuple[VerifyingKey, ...]) -> list[tuple[str | None, frozenset[str], str]]:
    return [(key.kid, key.algorithms, key.key.thumbprint()) for key in keys]


def _fresh_for(cache_control: str) -> float:
    found = _MAX_AGE.search(cache_control)
    return FRESH if found is None else min(max(float(found[1]), FRESH_LEAST), FRESH)


def _quoted(said: object) -> str:
    return f"'{printable(said, 200)}'" if isinstance(said, str) else "by no text"


def _jwks_uri(text: bytes, issuer: str) -> str:
    """Return where the keys of an issuer are. Raises ValueError where its word is no good."""
    try:
        found = json.loads(text)
        said, url = found["issuer"], found["jwks_uri"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("what it says of itself is no OpenID configuration") from None
    if said != issuer:
        raise ValueError(
            f"it calls itself {_quoted(said)}, which must be the same letter by letter"
        )
    secure = isinstance(url, str) and url.startswith("https://")
    if not secure and not (issuer.startswith("http://") and str(url).startswith("http://")):
        raise ValueError("its jwks_uri is no https address")
    return str(url)
