"""What was found: how bad it is, what shows it, and the line that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from proxy.doctoring.mending import Mend


class Severity(StrEnum):
    """A problem breaks requests and is to be mended, a note is to be known, the rest is fine."""

    PROBLEM = "problem"
    NOTE = "note"
    FINE = "fine"


class Check(StrEnum):
    """What is looked at, in the order in which it is told."""

    REACH = "reach"
    HOST = "host"
    HTTPS = "https"
    KEEPALIVE = "keepalive"
    BOUNDS = "bounds"
    SLASH = "slash"
    SPELLING = "spelling"
    CORS = "cors"
    TARGETS = "targets"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One request in a line, and what came of it."""

    sent: str
    came: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found at one target.

    `same` is equal where two targets behave alike: times that were measured are left out of it.
    `advice` is what to do where no line of the file mends it, or beside that line.
    """

    check: Check
    severity: Severity
    summary: str
    same: str
    evidence: tuple[Evidence, ...] = ()
    mend: Mend | None = None
    advice: str | None = None


def problem(
    check: Check,
    summary: str,
    same: str,
    *evidence: Evidence,
    mend: Mend | None = None,
    advice: str | None = None,
) -> Finding:
    """Return what breaks requests."""
    return Finding(check, Severity.PROBLEM, summary, same, evidence, mend, advice)


def note(
    check: Check,
    summary: str,
    same: str,
    *evidence: Evidence,
    mend: Mend | None = None,
    advice: str | None = None,
) -> Finding:
    """Return what is to be known, and breaks nothing by itself."""
    return Finding(check, Severity.NOTE, summary, same, evidence, mend, advice)


def fine(check: Check, summary: str, same: str, *evidence: Evidence) -> Finding:
    """Return what was looked at and is as it should be."""
    return Finding(check, Severity.FINE, summary, same, evidence)
