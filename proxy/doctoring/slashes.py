"""Paths that the service redirects to their like with a slash: a body does not go along."""

from __future__ import annotations

from urllib.parse import urlsplit

from proxy.doctoring.asking import Ask, Reply
from proxy.doctoring.findings import Check, Evidence, Finding, fine, note, problem
from proxy.doctoring.patient import Patient
from proxy.doctoring.subjects import Known

_KEEPS_BODY = frozenset({307, 308})
_SERVER_ERROR = 500


async def check(patient: Patient) -> list[Finding]:
    """Ask by GET for each known path without its last slash; by POST only where that is allowed.

    Django's APPEND_SLASH and its like redirect before they look at the method, and only to paths
    that exist: what a GET is told, a POST would be told too.
    """
    asked: dict[str, Known] = {}
    for one in patient.known:
        asked.setdefault(one.path.rstrip("/"), one)
    asked.pop("", None)
    if not asked:
        summary = "no path below its root is known: name one that exists by --path"
        return [fine(Check.SLASH, summary, "nothing known")]
    findings = [await _of_path(patient, path, known) for path, known in asked.items()]
    redirected = [found for found in findings if found is not None]
    if redirected:
        return redirected
    summary = f"redirects none of {', '.join(asked)} to its like with a slash"
    return [fine(Check.SLASH, summary, "none")]


async def _of_path(patient: Patient, path: str, known: Known) -> Finding | None:
    reply = await patient.ask(Ask(path))
    if not _appends_slash(patient, path, reply):
        return None
    evidence = [reply.evidence]
    if patient.options.unsafe:
        posted = await patient.ask(Ask(path, method="POST", body=b"{}"))
        evidence.append(posted.evidence)
        if posted.location is None and posted.status < _SERVER_ERROR:
            summary = f"redirects {path} to {path}/, but not a POST"
            return fine(Check.SLASH, summary, f"not POST {path}", *evidence)
    return _told(patient, path, known, reply, evidence)


def _appends_slash(patient: Patient, path: str, reply: Reply) -> bool:
    if reply.location is None:
        return False
    # A service that reads X-Forwarded-Prefix redirects to the public path.
    rest = path.removeprefix(patient.subject.spec.path)
    led = urlsplit(reply.location).path
    return led == f"{path}/" or (rest != "" and led.endswith(f"{rest}/"))


def _told(
    patient: Patient, path: str, known: Known, reply: Reply, evidence: list[Evidence]
) -> Finding:
    summary = f"redirects {path} to {path}/ with {reply.status}"
    if known.exact and known.path.endswith("/") and known.route is not None:
        told = f"{summary}; '{known.route.name}' sends the slash"
        return fine(Check.SLASH, told, f"sent {path}", *evidence)
    if reply.status in _KEEPS_BODY:
        told = f"{summary}: clients send a body twice, if they follow at all"
        return note(Check.SLASH, told, f"{reply.status} {path}", *evidence)
    summary = f"{summary}: a POST without the slash loses its body"
    if known.exact and known.writes and known.route is not None:
        rewrite = f"{path.removeprefix(patient.subject.spec.path)}/"
        return problem(
            Check.SLASH,
            f"{summary}, and '{known.route.name}' sends it so",
            f"{reply.status} {path}",
            *evidence,
            mend=patient.subject.in_route(known.route, "rewrite", rewrite),
        )
    return note(
        Check.SLASH,
        summary,
        f"{reply.status} {path}",
        *evidence,
        advice="Clients must write the slash; a route for one path can add it by 'rewrite'. "
        "In Django, APPEND_SLASH = False answers 404 instead, and with DEBUG a POST gets 500.",
    )
