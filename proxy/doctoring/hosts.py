"""Whether the target serves the `Host` that the gateway sends: Django's ALLOWED_HOSTS and its like."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.doctoring.asking import Ask, Reply
from proxy.doctoring.findings import Check, Finding, fine, note, problem
from proxy.doctoring.patient import Patient, hosts_of

_DOUBTFUL = frozenset({400, 403, 404, 421})
"""What servers say to a `Host` that is not theirs; each may mean something else too."""

MOST_HOSTS = 3


async def check(patient: Patient) -> list[Finding]:
    """Ask with every `Host` that is sent, and with others where one is answered doubtfully."""
    sent = hosts_of(patient.subject, patient.target, patient.options.public_host)
    findings = [await _of_host(patient, host, first=host == sent[0]) for host in sent[:MOST_HOSTS]]
    if patient.options.public_host is None and _preserves(patient):
        summary = "'host: preserve' sends the client's Host, which is not known here"
        advice = "Say it by --public-host, and it is tried."
        findings.append(note(Check.HOST, summary, "preserved", advice=advice))
    return findings


def _preserves(patient: Patient) -> bool:
    return any(route.host == "preserve" for route in patient.subject.routes)


async def _of_host(patient: Patient, host: str, *, first: bool) -> Finding:
    base = patient.subject.base
    reply = patient.normal if first else await patient.ask(Ask(base, host=host))
    if reply.status not in _DOUBTFUL:
        # Targets have hosts of their own: that their names differ is no difference.
        return fine(Check.HOST, f"takes 'Host: {host}'", "taken", reply.evidence)
    for other in _others(patient, host):
        found = await patient.ask(Ask(base, host=other))
        if _better(found, reply):
            if first:
                patient.asker.host, patient.normal = other, found
            return _refused(patient, host, other, reply, found)
    told = await _without_forwarded_host(patient, host, reply)
    if told is not None:
        return told
    summary = f"answers {reply.status} for its own root, whatever Host was tried"
    return fine(Check.HOST, summary, "whatever", reply.evidence)


def _others(patient: Patient, host: str) -> Iterator[str]:
    without_port = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    for other in (patient.options.public_host, "localhost", without_port):
        if other is not None and other != host:
            yield other


def _better(found: Reply, refused: Reply) -> bool:
    return found.status != refused.status and (found.status < 400 or found.status in (401, 405))


def _refused(patient: Patient, host: str, other: str, refused: Reply, found: Reply) -> Finding:
    advice = "Or let the service take the Host that it gets; in Django: ALLOWED_HOSTS."
    if "_" in host:
        advice += " Django refuses a name with '_' whatever that says: it is no host name."
    return problem(
        Check.HOST,
        f"answers {refused.status} to 'Host: {host}', and {found.status} to 'Host: {other}'",
        f"refused {refused.status}",
        refused.evidence,
        found.evidence,
        mend=patient.subject.in_user("host", other),
        advice=advice,
    )


async def _without_forwarded_host(patient: Patient, host: str, refused: Reply) -> Finding | None:
    """Try without X-Forwarded-Host, which some take for the Host (USE_X_FORWARDED_HOST)."""
    public = patient.options.public_host
    if public is None:
        return None
    found = await patient.ask(Ask(patient.subject.base, host=host, scheme=None))
    if not _better(found, refused):
        return None
    return problem(
        Check.HOST,
        f"answers {refused.status} to 'X-Forwarded-Host: {public}', and {found.status} without",
        "forwarded host refused",
        refused.evidence,
        found.evidence,
        advice="Let the service take the public host; in Django: ALLOWED_HOSTS.",
    )
