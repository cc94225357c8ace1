"""Whether a target can be reached: name, connection, TLS, first answer, each in its own words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxy.doctoring.asking import Ask, Asker, Reply, milliseconds
from proxy.doctoring.findings import Check, Evidence, Finding, fine, note, problem
from proxy.doctoring.subjects import Subject
from proxy.errors import GatewayError

_SERVER_ERROR = 500

_STEPS: Mapping[str, tuple[str, str]] = {
    "upstream_unresolved": (
        "its name is not known here",
        "Check the spelling; a name of a container network is known only inside of it.",
    ),
    "upstream_resolve_timeout": (
        "its name was not found in time",
        "Ask the DNS server of this machine for it.",
    ),
    "upstream_connect_refused": (
        "nothing listens there",
        "Start it, or mend its port. One that listens on 127.0.0.1 is heard on its own machine alone.",
    ),
    "upstream_connect_failed": (
        "no way leads there",
        "Check the network between here and there, and the address.",
    ),
    "upstream_connect_timeout": (
        "it does not take the connection",
        "A firewall that drops packets looks like this, and so does a full accept queue.",
    ),
    "upstream_tls_timeout": (
        "it does not answer the TLS handshake",
        "If it speaks no TLS, write http:// in the file.",
    ),
    "upstream_tls_failed": ("the TLS handshake fails", "Look at the reason beside it."),
    "upstream_response_timeout": (
        "it takes the connection and does not answer",
        "It hangs, or all its workers are busy.",
    ),
    "upstream_reset_before_headers": (
        "it closes the connection without an answer",
        "It may speak TLS (then write https:// in the file), or crash at the request.",
    ),
    "upstream_invalid_response": (
        "what it sends is not HTTP/1.1",
        "It may speak TLS (then write https:// in the file), or another protocol.",
    ),
    "upstream_head_too_large": (
        "its answer has a larger head than 'limits' lets through",
        "Raise limits.response_field, response_head or response_fields, or send fewer headers.",
    ),
}
"""By error code: what is wrong in words, and what to do about it."""

_NO_TLS = re.compile(
    r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTP_REQUEST", re.IGNORECASE
)
_WANTS_TLS = re.compile(
    r"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server", re.IGNORECASE
)


async def reach(subject: Subject, asker: Asker) -> tuple[Finding, Reply | None]:
    """Ask for the upstream's own root; return what came of it, and the answer if there was one."""
    ask = Ask(subject.base)
    sent = asker.shown(ask)
    try:
        reply = await asker.ask(ask)
    except GatewayError as error:
        return _failed(subject, sent, error), None
    if _WANTS_TLS.search(reply.body):
        found = problem(
            Check.REACH,
            "it speaks TLS, and is asked without",
            "wants tls",
            reply.evidence,
            advice="Write https:// instead of http:// in its address.",
        )
        return found, None
    return _answered(asker, reply), reply


def _failed(subject: Subject, sent: str, error: GatewayError) -> Finding:
    words, advice = _STEPS.get(error.code, (error.detail.rstrip(".").lower(), ""))
    mend = None
    if error.code == "upstream_tls_failed":
        if _NO_TLS.search(error.log):
            words, advice = "it speaks no TLS", "Write http:// instead of https:// in its address."
        elif "match" in error.log or "not valid for" in error.log:
            mend = subject.in_upstream("tls", "server_name", value="NAME")
            advice = "Write the name that its certificate has, or ask for it by that name."
        elif "self-signed" in error.log or "issuer" in error.log or "self signed" in error.log:
            mend = subject.in_upstream("tls", "ca", value="FILE")
            advice = "Name the PEM file with the authority that signed its certificate."
    told = f"{error.code}: {error.log}" if error.log else error.code
    return problem(
        Check.REACH, words, error.code, Evidence(sent, told), mend=mend, advice=advice or None
    )


def _answered(asker: Asker, reply: Reply) -> Finding:
    steps = [
        (asker.attempt.resolved, "resolved"),
        (asker.attempt.connected, "connected"),
        (asker.attempt.secured, "TLS"),
    ]
    took = ", ".join(f"{step} after {milliseconds(at)}" for at, step in steps if at is not None)
    told = f"{took}; first answer {reply.status} in {milliseconds(reply.seconds)}"
    if reply.status >= _SERVER_ERROR:
        summary = f"reached, and answers {reply.status} for its own root"
        return note(Check.REACH, summary, f"answers {reply.status}", reply.evidence)
    return fine(Check.REACH, told, "answers", reply.evidence)
