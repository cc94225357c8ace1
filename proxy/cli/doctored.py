"""What `brain doctor` found, as text: an upstream a section, the worst of each finding in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.config.diagnostics import count

Told = Mapping[str, Any]

_INDENT = " " * 23
"""Where the text behind severity and check begins."""


def as_text(told: Told) -> str:
    """Return the sections with a blank line between them, and the count."""
    sections = ["\n".join(_section(upstream)) for upstream in told["upstreams"]]
    counted = f"{count(told['problems'], 'problem')}, {count(told['notes'], 'note')}"
    return "\n\n".join([*sections, counted])


def _section(upstream: Told) -> Iterator[str]:
    addresses = ", ".join(target["url"] for target in upstream["targets"])
    path = "" if upstream["path"] == "/" else upstream["path"]
    yield f"{upstream['name']}  {addresses}{path}  {upstream['place']}"
    everywhere = len(upstream["targets"])
    for finding in upstream["findings"]:
        some = len(finding["targets"]) < everywhere
        at = f"{', '.join(finding['targets'])}: " if some else ""
        head = f"  {finding['severity']:<9}{finding['check']:<12}"
        yield f"{head}{at}{finding['summary']}"
        if finding["severity"] != "fine":
            yield from (f"{_INDENT}{line}" for line in _below(finding))


def _below(finding: Told) -> Iterator[str]:
    """Yield what shows a finding and what to do: of what is fine, the summary is enough."""
    for evidence in finding["evidence"]:
        yield f"sent  {evidence['sent']}"
        yield f"came  {evidence['came']}"
    mend = finding["mend"]
    if mend is not None:
        yield f"mend  {mend['place']}, {mend['where']}:"
        yield f"      {mend['line']}"
    if finding["advice"] is not None:
        yield f"hint  {finding['advice']}"
