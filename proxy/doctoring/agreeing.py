"""One word for several targets: what they share is told once, where they differ is a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.doctoring.examine import Examined
from proxy.doctoring.findings import Check, Finding, problem


@dataclass(frozen=True, slots=True)
class Shared:
    """A finding, and the targets at which it was made, as they are written in the file."""

    finding: Finding
    targets: tuple[str, ...]


def agreed(found: Sequence[Examined]) -> list[Shared]:
    """Return the findings of all targets of one upstream, each once, in the order of `Check`."""
    merged: dict[tuple[Check, str], Shared] = {}
    for one in found:
        for finding in one.findings:
            key = (finding.check, finding.same)
            known = merged.get(key, Shared(finding, ()))
            merged[key] = Shared(known.finding, (*known.targets, str(one.target)))
    every = tuple(str(one.target) for one in found)
    merged |= {
        (Check.TARGETS, finding.same): Shared(finding, every) for finding in _differences(found)
    }
    order = list(Check)
    return sorted(merged.values(), key=lambda one: order.index(one.finding.check))


def _differences(found: Sequence[Examined]) -> Iterator[Finding]:
    """Yield where targets that gave an answer behave differently, once for each check."""
    reached = [one for one in found if one.reached]
    for check in Check:
        told = {str(one.target): _of_check(one.findings, check) for one in reached}
        if len({tuple(each.same for each in findings) for findings in told.values()}) < 2:
            continue
        each = "; ".join(
            f"{target} {' and '.join(finding.summary for finding in findings) or 'was not asked'}"
            for target, findings in told.items()
        )
        yield problem(
            Check.TARGETS,
            f"targets differ in {check}",
            f"differ in {check}",
            advice=f"{each}. A client meets now one, now the other.",
        )


def _of_check(findings: Iterable[Finding], check: Check) -> list[Finding]:
    return [finding for finding in findings if finding.check is check]
