"""One issuer: its keys, and what its tokens must say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from plugins.jwt.judging import Rules, rules_of
from plugins.jwt.options import ALGORITHMS, MOST_TOKEN, SHARED
from plugins.jwt.parts import Parts, invalid
from plugins.jwt.sources import Fetched, Source
from proxy import Principal, Unavailable

if TYPE_CHECKING:
    from joserfc.jws import JWSRegistry


@dataclass(frozen=True, slots=True)
class Verified:
    """A good token: whom it means, when it ends, by which state of the keys it was verified."""

    principal: Principal
    ends: float
    version: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A token that no known key of its issuer has signed."""

    issuer: Issuer
    digest: bytes
    parts: Parts


@dataclass(frozen=True)
class Issuer:
    """Verifies tokens that say they are of this issuer. `name` is its claim `iss`."""

    name: str
    source: Source
    judged: Rules
    algorithms: frozenset[str]
    by: str

    @classmethod
    def of(cls, options: Mapping[str, Any], source: Source, leeway: float, by: str) -> Issuer:
        """Return the issuer that options mean."""
        return cls(
            options["issuer"],
            source,
            cls.rules(options, leeway),
            frozenset(algorithms_of(options)),
            by,
        )

    @staticmethod
    def rules(options: Mapping[str, Any], leeway: float) -> Rules:
        """Return what tokens of an issuer's options must say."""
        return rules_of(options, leeway)

    @staticmethod
    def told(options: Mapping[str, Any]) -> list[str]:
        """Say in lines what an issuer's options mean."""
        audience = options["audience"]
        names = [audience] if isinstance(audience, str) else audience
        first = (
            f"takes tokens of {options['issuer']} for {' or '.join(names)}, "
            f"signed ({', '.join(algorithms_of(options))}) by {_keys_told(options)}"
        )
        return [first, *rules_of(options, 0.0).told()]

    async def first(self) -> None:
        """Fetch the keys for the first time, where they are fetched and were not yet."""
        if isinstance(self.source, Fetched) and self.source.trouble() is not None:
            await self.source.fetch()

    def trouble(self) -> str | None:
        """Return why its tokens can't be verified, None where they can."""
        return self.source.trouble()

    def verify(self, parts: Parts, now: float) -> Verified | None:
        """Return what a token is good for, None where no known key has signed it.

        A new key may be behind that also where the token names an old one, or none: not every issuer
        gives keys names of their own. Raises Unauthenticated for a bad one, Unavailable where there are
        no keys. The signature comes first: what a stranger wrote is told nothing about.
        """
        if parts.algorithm not in self.algorithms:
            raise invalid("its algorithm is not among those of its issuer")
        version = self.source.version
        try:
            key = self.source.find(parts.kid, parts.algorithm)
        except Unavailable as away:
            raise Unavailable(str(away), code="keys_unavailable") from None
        if key is None or not _is_signed(parts, key):
            return None
        ends = self.judged.judge(parts.claims, now)
        try:
            return Verified(self.judged.principal(parts.claims, self.by), ends, version)
        except ValueError as error:
            raise invalid(str(error)) from None


def algorithms_of(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the algorithms that an issuer's options allow."""
    if "secret" in options:
        return SHARED
    return tuple(options.get("algorithms", ALGORITHMS))


def _keys_told(options: Mapping[str, Any]) -> str:
    if "secret" in options:
        return f"the secret {options['secret']}"
    if "key" in options:
        return "a key in the file"
    if "key_file" in options:
        return f"the key in {options['key_file']}"
    if "jwks_uri" in options:
        return f"keys at {options['jwks_uri']}"
    return "the keys that it names (discovery)"


def _is_signed(parts: Parts, key: Any) -> bool:
    from joserfc import jws
    from joserfc.errors import JoseError

    try:
        jws.deserialize_compact(parts.text, key, registry=_by(parts.algorithm))
    except (JoseError, ValueError):
        return False
    return True


@cache
def _by(algorithm: str) -> JWSRegistry:
    """Return what verifies by one algorithm and ignores what else a header says (RFC 7515, 4)."""
    from joserfc.jws import JWSRegistry

    found = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    # How long a token may be is said by max_token alone.
    found.max_header_length = found.max_signature_length = MOST_TOKEN
    return found
