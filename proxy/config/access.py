"""Who may call a route: default deny, and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from proxy.config.chain import Chain
from proxy.config.codes import Code
from proxy.config.models import Access
from proxy.config.source import Span
from proxy.config.work import Work

_OF_CALLER = frozenset({"claims", "principal"})
_ASK_OR_SKIP = "skip it here, or ask who calls"
_ASK_OR_REMOVE = "take it out of 'plugins' here, or ask who calls: 'public: false'"


def access_of(given: Any, outer: Access) -> Access:
    """Return what `public:` says, else what holds outside."""
    if given is None:
        return outer
    return {True: Access.PUBLIC, False: Access.REQUIRED, "optional": Access.OPTIONAL}[given]


def check_access(work: Work, what: str, access: Access, chain: Chain, span: Span) -> None:
    """Report a level that nobody guards and that does not say so."""
    asked = [link for link in chain.links if link.authenticator]
    if asked and access is not Access.PUBLIC and all(link.follows for link in asked):
        message = f"{what} asks for nothing but '{asked[0].identity}', and nobody can get that"
        work.report.error(
            Code.ACCESS, message, span, "name the authenticator that callers begin with"
        )
    if chain.authenticators or not chain.sure or access is Access.PUBLIC:
        return
    if access is Access.OPTIONAL:
        message = f"{what} says 'public: optional' and has no authenticator to ask"
        work.report.error(Code.ACCESS, message, span, "add one, or say 'public: true'")
        return
    message = f"{what} lets anyone in: add an authenticator, or say 'public: true'"
    work.report.error(Code.OPEN, message, span)


def check_contradiction(work: Work, what: str, access: Access, chain: Chain, span: Span) -> None:
    """Report a public route that names an authenticator itself: it would never be asked."""
    named = [link.identity for link in chain.own if link.authenticator]
    if access is Access.PUBLIC and named:
        message = f"{what} is public, so its authenticator '{named[0]}' would never be asked"
        work.report.error(
            Code.ACCESS, message, span, "say 'public: false' or 'public: optional' here"
        )


def check_never_asked(
    work: Work, what: str, level: Mapping[str, Any], chain: Chain, span: Span
) -> None:
    """Warn of a public service that names an authenticator, where none of its routes asks it.

    With a route that says `public: false` or `public: optional` the two make sense together.
    """
    named = [link.identity for link in chain.own if link.authenticator]
    routes = level.get("routes", ())
    asking = any(isinstance(each, dict) and each.get("public", True) is not True for each in routes)
    if level.get("public") is True and named and not asking:
        message = f"{what} is public, so its authenticator '{named[0]}' is never asked"
        hint = "remove one of the two, or say 'public: false' on a route"
        work.report.warn(Code.NEVER_ASKED, message, span, hint)


def check_values(
    work: Work,
    what: str,
    access: Access,
    chain: Chain,
    rewrite: Iterable[str],
    path_names: Iterable[str],
    span: Span,
) -> None:
    """Report values of the caller or of the path that a route can't have."""
    links = [link for link in chain.links if not link.authenticator]
    if access is Access.PUBLIC:
        for link in links:
            if link.needs_caller:
                message = f"{what} is public, but plugin '{link.identity}' needs to know who calls"
                hint = _ASK_OR_REMOVE if link in chain.own else _ASK_OR_SKIP
                work.report.error(Code.CLAIMS_NEEDED, message, span, hint)
    needed = [
        (name, f"plugin '{link.identity}'")
        for link in links
        for name in link.names
        if link.needs_caller is None or name.partition(".")[0] not in _OF_CALLER
    ]
    needed += [(name, "its 'rewrite'") for name in rewrite]
    for name, needs in needed:
        root, _, rest = name.partition(".")
        if access is Access.PUBLIC and root in _OF_CALLER:
            message = f"{what} is public, but {needs} needs ${{{name}}}"
            work.report.error(Code.CLAIMS_NEEDED, message, span, _ASK_OR_SKIP)
        elif rest.startswith("path.") and rest.removeprefix("path.") not in path_names:
            message = f"{what}: {needs} needs ${{{name}}}, which its path does not name"
            hint = f"write {{{rest.removeprefix('path.')}}} in match.path"
            work.report.error(Code.PATH, message, span, hint)
