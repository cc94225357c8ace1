"""Redirects to https that lead back to where they came from: the browser goes round in circles."""

from __future__ import annotations

import re

from proxy.doctoring.asking import Ask, Reply
from proxy.doctoring.findings import Check, Finding, fine, note, problem
from proxy.doctoring.patient import Patient

_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)([^?#]*)", re.IGNORECASE)


async def check(patient: Patient) -> list[Finding]:
    """Compare the answers to requests that came by https, as they say, and by http."""
    secure = patient.normal
    if _is_own_https(patient, secure):
        return [await _loop(patient, secure)]
    elsewhere = _elsewhere(patient, secure)
    if elsewhere is not None:
        return [elsewhere]
    plain = await patient.ask(Ask(patient.subject.base, scheme="http"))
    if _is_own_https(patient, plain):
        return [_insists(patient, secure, plain)]
    return [fine(Check.HTTPS, "sends nobody to https", "no redirect", secure.evidence)]


async def _loop(patient: Patient, secure: Reply) -> Finding:
    silent = await patient.ask(Ask(patient.subject.base, scheme=None))
    return problem(
        Check.HTTPS,
        "sends requests to https that came by https: clients go round in circles",
        "loop",
        secure.evidence,
        silent.evidence,
        advice="The service must believe X-Forwarded-Proto. In Django: SECURE_PROXY_SSL_HEADER = "
        '("HTTP_X_FORWARDED_PROTO", "https"), or SECURE_SSL_REDIRECT off, as the edge redirects; '
        "in Rails: config.assume_ssl; in Spring: server.forward-headers-strategy=framework.",
    )


def _insists(patient: Patient, secure: Reply, plain: Reply) -> Finding:
    """It believes the gateway; does the gateway ever have the right word for it?"""
    gateway = patient.subject.config.gateway
    if gateway.tls is not None or gateway.trusted_proxies:
        summary = "sends to https what came by http, and believes X-Forwarded-Proto"
        return fine(Check.HTTPS, summary, "believes", secure.evidence, plain.evidence)
    return problem(
        Check.HTTPS,
        "sends to https what came by http, and this file never says that anything came by https",
        "never said",
        plain.evidence,
        secure.evidence,
        mend=patient.subject.in_gateway("trusted_proxies", value='["ADDRESS OF THE EDGE"]'),
        advice="What ends TLS before the gateway must be a trusted proxy, and send X-Forwarded-Proto; "
        "or end TLS here by gateway.tls.",
    )


def _is_own_https(patient: Patient, reply: Reply) -> bool:
    """Tell whether a redirect leads to the same path of the same host, by https."""
    found = _ABSOLUTE.match(reply.location or "")
    if found is None or found[1].lower() != "https":
        return False
    # Another path is a redirect to a page or to a slash, by a service that knows how clients came.
    return _name(found[2]) in _own_names(patient) and (found[3] or "/") == patient.subject.base


def _own_names(patient: Patient) -> set[str]:
    hosts = (patient.asker.host, patient.target.authority, patient.options.public_host)
    return {_name(host) for host in hosts if host is not None}


def _name(authority: str) -> str:
    """Return the host of an authority: a redirect to https leaves the port out, or changes it."""
    host, _, port = authority.lower().rpartition(":")
    return host if port.isdigit() and host else authority.lower()


def _elsewhere(patient: Patient, reply: Reply) -> Finding | None:
    found = _ABSOLUTE.match(reply.location or "")
    if found is None or _name(found[2]) in _own_names(patient):
        return None
    return note(
        Check.HTTPS,
        f"sends clients away from the gateway, to {found[2]}",
        f"away {found[2]}",
        reply.evidence,
        advice=f"If that is the service's own public name, 'host: {found[2]}' may keep it here.",
    )
