"""One rule: whom it admits, and what another caller lacks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any

from plugins.authorize.claims import ClaimTest
from plugins.authorize.tenants import TenantTest
from proxy import Exchange, Principal


class Lack(IntEnum):
    """What keeps a caller from being admitted by a rule; the higher, the nearer it was to that."""

    OTHER = 0
    ROLE = 1
    SCOPE = 2


class Rule:
    """One entry of `allow`, its sets made once."""

    __slots__ = (
        "_folded",
        "_one_of",
        "_scopes",
        "anonymous",
        "any_scope",
        "claims",
        "methods",
        "roles",
        "scopes",
        "tenant",
    )

    def __init__(
        self,
        *,
        methods: Sequence[str] = (),
        scopes: Sequence[str] = (),
        any_scope: Sequence[str] = (),
        roles: Sequence[str] = (),
        claims: Mapping[str, Any] | None = None,
        tenant: str | Mapping[str, Any] | None = None,
        anonymous: bool = False,
    ) -> None:
        self.methods = with_head(methods)
        self.scopes = tuple(scopes)
        self.any_scope = tuple(any_scope)
        self.roles = tuple(roles)
        self.claims = tuple(ClaimTest(name, asked) for name, asked in (claims or {}).items())
        self.tenant = _tenant_test(tenant)
        self.anonymous = anonymous
        self._scopes = frozenset(scopes)
        self._one_of = frozenset(any_scope)
        self._folded = folded(frozenset(roles))

    @property
    def asks(self) -> bool:
        """Whether it asks anything of the caller."""
        return next(self._asked(), None) is not None

    def takes(self, method: str) -> bool:
        """Tell whether the rule is for this method."""
        return not self.methods or method in self.methods

    def lacks(self, principal: Principal | None, exchange: Exchange) -> Lack | None:
        """Return what keeps the caller from passing, None where nothing does.

        Scopes come last: where they are what is missing, getting them is enough.
        """
        if self.anonymous:
            return None
        if principal is None:
            return Lack.OTHER
        if self.tenant is not None and not self.tenant.holds(principal.tenant, exchange):
            return Lack.OTHER
        for test in self.claims:
            if not test.holds(principal.claims):
                return Lack.OTHER
        if self._folded and self._folded.isdisjoint(folded(principal.roles)):
            return Lack.ROLE
        if not self._scopes <= principal.scopes:
            return Lack.SCOPE
        if self._one_of and self._one_of.isdisjoint(principal.scopes):
            return Lack.SCOPE
        return None

    def covers(self, other: Rule) -> bool:
        """Tell whether it admits all whom the `other` would: behind it that one decides nothing."""
        if self.methods and not (other.methods and set(other.methods) <= set(self.methods)):
            return False
        if self.anonymous or other.anonymous:
            return self.anonymous
        return (
            self._scopes <= other._scopes
            and (not self._one_of or _any_is_surely(self._one_of, other._scopes, other._one_of))
            and (not self._folded or (bool(other._folded) and other._folded <= self._folded))
            and (self.tenant is None or self.tenant.implied_by(other.tenant))
            and all(any(mine.implied_by(its) for its in other.claims) for mine in self.claims)
        )

    def needed_scopes(self) -> str:
        """Return the least scopes that would do, as RFC 6750 (3) has them: spaces between."""
        return " ".join((*self.scopes, *self.any_scope[:1]))

    def __str__(self) -> str:
        asked = " + ".join(self._asked()) or ("anyone" if self.anonymous else "any caller")
        named = ",".join(
            each for each in self.methods if each != "HEAD" or "GET" not in self.methods
        )
        return f"{named}: {asked}" if named else asked

    def _asked(self) -> Iterator[str]:
        if self.roles:
            yield f"role {'/'.join(self.roles)}"
        yield from (f"scope {scope}" for scope in self.scopes)
        if self.any_scope:
            yield f"scope {'/'.join(self.any_scope)}"
        yield from map(str, self.claims)
        if self.tenant is not None:
            yield str(self.tenant)


def with_head(methods: Sequence[str]) -> tuple[str, ...]:
    """Return methods with HEAD behind GET, which includes it (RFC 9110, 9.3.2)."""
    more = ("HEAD",) if "GET" in methods and "HEAD" not in methods else ()
    return (*methods, *more)


def _tenant_test(asked: str | Mapping[str, Any] | None) -> TenantTest | None:
    if asked is None:
        return None
    return TenantTest(asked["equals"] if isinstance(asked, Mapping) else None)


def _any_is_surely(wanted: frozenset[str], all_of: frozenset[str], one_of: frozenset[str]) -> bool:
    return bool(wanted & all_of) or (bool(one_of) and one_of <= wanted)


@lru_cache(maxsize=1024)
def folded(roles: frozenset[str]) -> frozenset[str]:
    """Return roles in lower case, but for those with other letters than A to Z in them.

    Elsewhere letters that only look alike would become one: the sign of the unit Kelvin is "k" in
    lower case. A set knows its hash, so a principal's own is found at once.
    """
    return frozenset(role.lower() if role.isascii() else role for role in roles)
