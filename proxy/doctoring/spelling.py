"""Whether `%2F` in a path and a bare `?` behind it reach the service as they were sent."""

from __future__ import annotations

import re

from proxy import paths
from proxy.config.models import RouteSpec
from proxy.doctoring.asking import Ask, Reply
from proxy.doctoring.findings import Check, Finding, fine, note, problem
from proxy.doctoring.patient import Patient

_ENCODED = re.compile(r"brain-doctor%(?:25)*2fprobe", re.IGNORECASE)
_PLAIN = re.compile(r"brain-doctor\\?/probe")
_BARE = re.compile(r"brain-doctor\\?/probe\?(?![\w%=&])|brain-doctor\\?/probe%3f", re.IGNORECASE)
_REFUSED = 400


async def check(patient: Patient) -> list[Finding]:
    """Compare the answers for paths that differ in their spelling alone.

    A service that repeats the path in its answer, or in a redirect, shows what reached it.
    """
    base = patient.subject.spec.path
    plain = await patient.ask(Ask(paths.join(base, "/brain-doctor/probe")))
    encoded = await patient.ask(Ask(paths.join(base, "/brain-doctor%2Fprobe")))
    bare = await patient.ask(Ask(paths.join(base, "/brain-doctor/probe?")))
    return [_of_slash(patient, plain, encoded), _of_query(plain, bare)]


def _of_slash(patient: Patient, plain: Reply, encoded: Reply) -> Finding:
    asked = next((one for one in patient.subject.routes if one.allow_encoded_slash), None)
    shown, evidence = _shown(encoded), (encoded.evidence, plain.evidence)
    if _ENCODED.search(shown) and not _ENCODED.search(_shown(plain)):
        return fine(Check.SPELLING, "%2F in a path reaches it as it was sent", "%2F", *evidence)
    if _PLAIN.search(shown):
        summary = "reads %2F in a path as a slash"
        if asked is None:
            told = f"{summary}; no route lets it through"
            return fine(Check.SPELLING, told, "%2F decoded", *evidence)
        return problem(
            Check.SPELLING,
            f"{summary}, and '{asked.name}' lets it through: it serves another path than was authorised",
            "%2F decoded",
            *evidence,
            mend=patient.subject.in_route(asked, "allow_encoded_slash", "false"),
        )
    return _unknown_slash(asked, plain, encoded)


def _unknown_slash(asked: RouteSpec | None, plain: Reply, encoded: Reply) -> Finding:
    evidence = (encoded.evidence, plain.evidence)
    if encoded.status != plain.status:
        told = f"tells %2F in a path from a slash: {encoded.status} and {plain.status}"
        if asked is not None and encoded.status == _REFUSED:
            return note(Check.SPELLING, f"{told}; it may refuse %2F", "%2F refused", *evidence)
        return fine(Check.SPELLING, told, "%2F differs", *evidence)
    told = "whether it reads %2F in a path as a slash can't be known from its answers"
    if asked is None:
        return fine(Check.SPELLING, f"{told}; no route lets it through", "%2F unknown", *evidence)
    return note(
        Check.SPELLING,
        told,
        "%2F unknown",
        *evidence,
        advice=f"'{asked.name}' lets it through: look into the service's own log for the path.",
    )


def _of_query(plain: Reply, bare: Reply) -> Finding:
    evidence = (bare.evidence, plain.evidence)
    if _BARE.search(_shown(bare)) and not _BARE.search(_shown(plain)):
        return fine(Check.SPELLING, "a bare '?' reaches it as it was sent", "?", *evidence)
    if bare.status != plain.status:
        told = f"answers {bare.status} with a bare '?' behind the path, {plain.status} without"
        return note(Check.SPELLING, told, "? differs", *evidence)
    told = "whether a bare '?' reaches it can't be known from its answers"
    return fine(Check.SPELLING, told, "? unknown", *evidence)


def _shown(reply: Reply) -> str:
    """Return what an answer may repeat the path in."""
    return "\n".join([*reply.all("location"), reply.body])
