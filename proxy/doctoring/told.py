"""Findings as JSON-able data, the one way out: the text for people is made of the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from proxy.config.masking import without_credentials
from proxy.doctoring.agreeing import Shared, agreed
from proxy.doctoring.examine import Examined
from proxy.doctoring.findings import Severity
from proxy.doctoring.mending import Mend
from proxy.doctoring.subjects import Subject
from proxy.text import printable


def as_json(found: Iterable[tuple[Subject, Sequence[Examined]]]) -> dict[str, Any]:
    """Return all of it; docs/doctor.md says what each key holds."""
    upstreams = [_upstream(subject, examined) for subject, examined in found]
    severities = [finding["severity"] for one in upstreams for finding in one["findings"]]
    return {
        "upstreams": upstreams,
        "problems": severities.count(Severity.PROBLEM.value),
        "notes": severities.count(Severity.NOTE.value),
    }


def _upstream(subject: Subject, examined: Sequence[Examined]) -> dict[str, Any]:
    return {
        "name": subject.spec.name,
        "services": list(subject.services),
        "place": f"{subject.place.file}:{subject.place.line}",
        "path": subject.base,
        "targets": [{"url": str(one.target), "requests": one.requests} for one in examined],
        "findings": list(map(_finding, agreed(examined))),
    }


def _finding(shared: Shared) -> dict[str, Any]:
    finding = shared.finding
    return {
        "check": finding.check.value,
        "severity": finding.severity.value,
        "summary": _safe(finding.summary),
        "targets": list(shared.targets),
        "evidence": [
            {"sent": _safe(one.sent), "came": _safe(one.came)} for one in finding.evidence
        ],
        "mend": None if finding.mend is None else _mend(finding.mend),
        "advice": None if finding.advice is None else _safe(finding.advice),
    }


def _mend(mend: Mend) -> dict[str, str]:
    return {
        "line": mend.line,
        "place": f"{mend.place.file}:{mend.place.line}",
        "where": mend.where,
    }


def _safe(text: str) -> str:
    """What a target says ends up in a terminal and in tickets."""
    return printable(without_credentials(text))
