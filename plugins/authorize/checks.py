"""What is wrong with rules that a schema can't say."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from plugins.authorize.rules import Rule
from plugins.authorize.tenants import SOURCES
from proxy import Problems

_USUAL = "GET HEAD POST PUT PATCH DELETE OPTIONS"
_OF_WEBDAV = "PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH"
_METHODS = frozenset(f"{_USUAL} {_OF_WEBDAV}".split())


def check_rules(rules: Sequence[Rule], problems: Problems) -> None:
    """Report rules that contradict themselves, and those that never decide anything."""
    for index, rule in enumerate(rules):
        _check_methods(rule, f"allow.{index}.methods", problems)
        _check_tenant(rule, f"allow.{index}.tenant.equals", problems)
        if rule.anonymous and rule.asks:
            problems.add(
                f"allow.{index}.anonymous",
                "'anonymous' lets everyone pass, and this rule asks for more",
                hint="write two rules, or leave one of the two out",
            )
        ahead = next((n for n, other in enumerate(rules[:index]) if other.covers(rule)), None)
        if ahead is not None:
            problems.add(
                f"allow.{index}",
                f"this rule never decides: rule {ahead + 1} lets pass all whom it would",
                hint="narrow the other one, or remove this",
            )


def _check_methods(rule: Rule, option: str, problems: Problems) -> None:
    for index, method in enumerate(rule.methods):
        if method not in _METHODS:
            near = get_close_matches(method, sorted(_METHODS), 1)
            hint = f"did you mean '{near[0]}'?" if near else None
            problems.warn(f"{option}.{index}", f"no client sends {method} usually", hint=hint)


def _check_tenant(rule: Rule, option: str, problems: Problems) -> None:
    if rule.tenant is None or rule.tenant.equals is None:
        return
    for name in rule.tenant.equals.names:
        if not name.startswith(SOURCES):
            problems.add(
                option,
                f"a tenant can't be compared with ${{{name}}}",
                hint="use ${request.path.NAME} or ${request.query.NAME}",
            )
