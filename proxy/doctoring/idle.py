"""When a target closes connections that nobody uses, beside how long the gateway keeps them."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass
from time import perf_counter

from proxy.doctoring.asking import Ask, Reply
from proxy.doctoring.findings import Check, Evidence, Finding, fine, note, problem
from proxy.doctoring.patient import Patient
from proxy.units import duration_text

MARGIN = 0.5
"""Seconds by which the gateway must be first: a request that is on its way must still be heard."""

_ANNOUNCED = re.compile(r"\btimeout\s*=\s*([0-9]{1,6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Measured:
    """`after` is when it closed the idle connection, None where it did not; `announced` its word."""

    reply: Reply
    after: float | None = None
    announced: float | None = None


async def measure(patient: Patient) -> Measured:
    """Leave a connection idle after one answer, and note when the target closes it."""
    reply = await patient.ask(Ask(patient.subject.base, fresh=True))
    if reply.why_closing is not None:
        return Measured(reply)
    return Measured(reply, await _closed_after(patient), _announced(reply))


def judge(patient: Patient, measured: Measured) -> Finding:
    """Compare with how long this upstream's connections are kept."""
    if measured.reply.why_closing is not None:
        return _keeps_none(measured.reply)
    evidence = Evidence(measured.reply.evidence.sent, _told(measured, patient))
    known = [one for one in (measured.after, measured.announced) if one is not None]
    return _judged(patient, min(known), evidence) if known else _open(patient, evidence)


def _keeps_none(reply: Reply) -> Finding:
    return note(
        Check.KEEPALIVE,
        f"keeps no connection: {reply.why_closing}",
        "keeps none",
        reply.evidence,
        advice="Every request pays for a connection of its own. With gunicorn, a threaded or async "
        "worker class keeps them; an HTTP/1.0 server wants a newer one.",
    )


async def _closed_after(patient: Patient) -> float | None:
    """Return the seconds until the target closes the idle connection, None where it does not."""
    connection = patient.asker.connection
    if connection is None or connection.closed:
        return 0.0
    closed = asyncio.Event()
    connection.on_closed = lambda _connection: closed.set()
    started = perf_counter()
    try:
        async with asyncio.timeout(patient.options.idle_wait):
            await closed.wait()
    except TimeoutError:
        return None
    finally:
        connection.on_closed = None
        patient.asker.close()
    return perf_counter() - started


def _announced(reply: Reply) -> float | None:
    """Return what a `Keep-Alive: timeout=5` promises."""
    found = [match for value in reply.all("keep-alive") if (match := _ANNOUNCED.search(value))]
    return float(found[0][1]) if found else None


def _told(measured: Measured, patient: Patient) -> str:
    wait, after, announced = (
        duration_text(patient.options.idle_wait),
        measured.after,
        measured.announced,
    )
    came = f"still open after {wait}" if after is None else f"closed after {after:.1f} s"
    promised = "" if announced is None else f", Keep-Alive: timeout={announced:g}"
    return f"{measured.reply.status}{promised}; then left idle: {came}"


def _judged(patient: Patient, after: float, evidence: Evidence) -> Finding:
    kept = patient.subject.spec.keepalive
    holds = f"the gateway keeps them for {duration_text(kept)}"
    # Whole seconds, or halves of the first: two targets never agree to the millisecond.
    same = f"closes {round(after * 2) / 2 if after < 1 else round(after)}"
    if not kept:
        summary = f"closes idle connections after {after:.1f} s; the gateway keeps none"
        return fine(Check.KEEPALIVE, summary, same, evidence)
    summary = f"closes idle connections after {after:.1f} s; {holds}"
    if after >= kept + MARGIN:
        return fine(Check.KEEPALIVE, summary, same, evidence)
    return problem(
        Check.KEEPALIVE,
        summary,
        same,
        evidence,
        mend=patient.subject.in_upstream("keepalive", value=below(after)),
        advice="A request that meets the closing fails, or has to be sent again.",
    )


def _open(patient: Patient, evidence: Evidence) -> Finding:
    kept, waited = patient.subject.spec.keepalive, patient.options.idle_wait
    if waited >= kept + MARGIN:
        summary = (
            f"keeps idle connections for more than {duration_text(waited)}; "
            f"the gateway for {duration_text(kept)}"
        )
        return fine(Check.KEEPALIVE, summary, "open", evidence)
    return note(
        Check.KEEPALIVE,
        f"still open after {duration_text(waited)}; the gateway keeps them for {duration_text(kept)}",
        "open",
        evidence,
        advice=f"Wait longer to be sure: --idle-wait {math.ceil(kept + MARGIN)}s.",
    )


def below(seconds: float) -> str:
    """Return the longest plain time that is well below `seconds`; 0s keeps no connection."""
    whole = math.floor(seconds - MARGIN + 0.05)  # a close after 1.96 s was meant to be one after 2
    if whole >= 1:
        return f"{whole}s"
    tenths = math.floor(seconds / 2 * 10)
    return f"{tenths * 100}ms" if tenths else "0s"
