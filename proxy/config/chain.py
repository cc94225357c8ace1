"""Which plugins stand around a route: levels laid over each other, put in the order that runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from proxy.config.codes import Code
from proxy.config.diagnostics import nearest
from proxy.config.entries import Entries, Link
from proxy.config.tree import Path
from proxy.config.work import Work
from proxy.plugin.stages import ONLY_ON_ROUTES


@dataclass(frozen=True)
class Chain:
    """The links of all levels down to one, outer levels first.

    `known` also holds those that were skipped or replaced: a bare name further in means their
    options. `own` are the links of the last level. `sure` is False when an entry is not understood.
    """

    links: tuple[Link, ...] = ()
    known: tuple[Link, ...] = ()
    own: tuple[Link, ...] = ()
    sure: bool = True

    @cached_property
    def inherited(self) -> Chain:
        """The same chain for a level that adds nothing: one object for all of them."""
        return replace(self, own=()) if self.own else self

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Entries in the order that runs: by stage, and inside one by level and as listed."""
        links = (link for link in self.links if not link.authenticator)
        return tuple(link.index for link in sorted(links, key=lambda link: link.stage))

    @cached_property
    def authenticators(self) -> tuple[int, ...]:
        """Entries that may say who calls, as listed."""
        return tuple(link.index for link in self.links if link.authenticator)

    @cached_property
    def without_route(self) -> tuple[int, ...]:
        """Entries that also run when no route took the request: nobody is asked who calls then."""
        left_out = {
            link.index for link in self.links if link.stage in ONLY_ON_ROUTES or link.of_caller
        }
        return tuple(index for index in self.order if index not in left_out)

    def find(self, identity: str) -> Link | None:
        """Return the innermost link of that identity among all levels, also a skipped one."""
        return next((link for link in reversed(self.known) if link.identity == identity), None)


class Chains:
    """Reads the `plugins:` and `skip:` of a level on top of the outer ones."""

    def __init__(self, work: Work, entries: Entries) -> None:
        self._work = work
        self._entries = entries

    def extend(self, outer: Chain, given: Any, path: Path) -> Chain:
        """Return the chain of the level at `path`; `outer` itself when the level says nothing."""
        if not isinstance(given, dict) or not ("plugins" in given or "skip" in given):
            return outer.inherited
        chain = self._without(outer, given.get("skip", ()), (*path, "skip"))
        entries = given.get("plugins", [])
        if not isinstance(entries, list):
            return replace(chain, sure=False)
        return self._with(chain, outer, entries, (*path, "plugins"))

    def _without(self, outer: Chain, skip: Any, path: Path) -> Chain:
        if path in self._work.broken:
            return outer
        skipped = {
            identity
            for index, identity in enumerate(skip)
            if self._may_skip(outer, identity, (*path, index))
        }
        return replace(
            outer, links=tuple(link for link in outer.links if link.identity not in skipped)
        )

    def _may_skip(self, outer: Chain, identity: str, path: Path) -> bool:
        found = next((link for link in outer.links if link.identity == identity), None)
        span = self._work.value(*path)
        if found is None:
            hint = nearest(identity, (link.identity for link in outer.links))
            if outer.sure:
                self._work.report.error(
                    Code.SKIP, f"no outer plugin '{identity}' to skip", span, hint
                )
            return False
        if found.authenticator:
            message = f"'{identity}' says who calls and can't be skipped"
            self._work.report.error(Code.SKIP, message, span, "say 'public: true'")
            return False
        return True

    def _with(self, chain: Chain, outer: Chain, given: Any, path: Path) -> Chain:
        own: dict[str, Link] = {}
        sure = chain.sure
        for index, item in enumerate(given):
            link = self._link(item, outer, (*path, index))
            if link is None:
                sure = False
            elif link.identity in own:
                message = f"'{link.identity}' is here twice"
                self._work.report.error(
                    Code.DUPLICATE,
                    message,
                    self._work.value(*path, index),
                    "give one another identity with 'as'",
                )
            else:
                own[link.identity] = link
        return Chain(
            _laid_over(chain.links, tuple(own.values())),
            (*chain.known, *own.values()),
            tuple(own.values()),
            sure and all(link.sure for link in own.values()),
        )

    def _link(self, item: Any, outer: Chain, path: Path) -> Link | None:
        if path in self._work.broken:
            return None
        known = outer.find(item) if isinstance(item, str) else None
        return known or self._entries.declare(item, path)


def _laid_over(outer: tuple[Link, ...], own: tuple[Link, ...]) -> tuple[Link, ...]:
    """Put a level's links behind the outer ones.

    Authenticators of a level replace all outer ones. A link that the outer levels already have,
    named bare, stays where it stands; one that only has the same identity takes its place away.
    """
    kept = {link.index for link in outer} & {link.index for link in own if not link.authenticator}
    replaced = {link.identity for link in own if link.index not in kept}
    closes = any(link.authenticator for link in own)
    staying = [
        link
        for link in outer
        if link.identity not in replaced and not (closes and link.authenticator)
    ]
    return (*staying, *(link for link in own if link.index not in kept))
