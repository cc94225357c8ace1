"""What a target says of access control itself, beside what the `cors` plugin says."""

from __future__ import annotations

import re
from collections.abc import Iterable

from proxy.doctoring.asking import Ask, Reply
from proxy.doctoring.findings import Check, Finding, fine, note, problem
from proxy.doctoring.patient import Patient

_STRANGER = "https://brain-doctor.invalid"
"""The origin of no page (RFC 6761, 6.4)."""

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")
_ALLOW_ORIGIN = "access-control-allow-origin"
_PREFIX = "access-control-"


async def check(patient: Patient) -> list[Finding]:
    """Ask as a page would: of an origin that the plugin lets in, and of one that nobody knows."""
    entries = patient.subject.entries("cors")
    listed = [origin for entry in entries for origin in _origins(entry.options.get("origins"))]
    origin = next((one for one in listed if _ORIGIN.fullmatch(one)), _STRANGER)
    reply = await patient.ask(Ask(patient.subject.base, fields=(("Origin", origin),)))
    said = [name for name, _ in reply.fields if name.startswith(_PREFIX)]
    if not said:
        return [fine(Check.CORS, "says nothing of access control itself", "nothing")]
    told = ", ".join(dict.fromkeys(said))
    if entries:
        return [_replaced(reply, told)]
    return _alone(patient, reply, told, origin)


def _origins(given: object) -> Iterable[str]:
    if isinstance(given, str):
        return [part.strip() for part in given.split(",") if part.strip()]
    return [str(one) for one in given] if isinstance(given, list | tuple) else []


def _replaced(reply: Reply, told: str) -> Finding:
    return note(
        Check.CORS,
        f"says {told} itself, beside the 'cors' plugin, which takes it away",
        "replaced",
        reply.evidence,
        advice="Only the plugin's word holds: switch it off in the service, or what is set there "
        "misleads whoever reads it.",
    )


def _alone(patient: Patient, reply: Reply, told: str, origin: str) -> list[Finding]:
    values = reply.all(_ALLOW_ORIGIN)
    mend = patient.subject.in_user("plugins", '[{cors: {origins: ["https://app.example.com"]}}]')
    if len(values) > 1 or any("," in value for value in values):
        summary = "sends Access-Control-Allow-Origin more than once: browsers refuse it"
        return [problem(Check.CORS, summary, "doubled", reply.evidence, mend=mend)]
    credentials = reply.all("access-control-allow-credentials") == ["true"]
    if credentials and values == [_STRANGER] and origin == _STRANGER:
        summary = "lets pages of any origin read answers with the visitor's cookies"
        return [problem(Check.CORS, summary, "anybody", reply.evidence, mend=mend)]
    return [fine(Check.CORS, f"says {told} itself; no plugin does", "alone", reply.evidence)]
