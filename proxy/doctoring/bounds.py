"""Whether a target takes every head that the gateway lets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.doctoring.asking import Ask, Reply
from proxy.doctoring.findings import Check, Evidence, Finding, fine, note, problem
from proxy.doctoring.patient import Patient
from proxy.errors import GatewayError
from proxy.units import size_text

Fields = tuple[tuple[str, str], ...]

_OWN = 64
"""Bytes of a bound that are left to what stands beside the grown part."""

_STEPS = 3
"""How often a bound is halved, and an eighth taken off: usual bounds lie a little below a power of 2."""

_PIECE = 1024
_BUSY = frozenset({429, 503})
_WITHOUT_ANSWER = frozenset({"upstream_reset_before_headers", "upstream_write_timeout"})


@dataclass(frozen=True, slots=True)
class _Bound:
    """A bound of the gateway: its key in `gateway.limits`, its value, and a request that reaches it."""

    what: str
    key: str
    value: int
    grown: Callable[[str, int], Ask]
    text: Callable[[int], str] = size_text


async def check(patient: Patient) -> list[Finding]:
    """Send heads as large as the gateway's bounds, and smaller ones where they are refused."""
    limits = patient.subject.config.gateway.limits
    bounds = [
        _Bound("a request line", "request_line", limits.request_line, _line),
        _Bound("one field", "header_field", limits.header_field, _field),
        _Bound("all fields", "header_total", limits.header_total, _total),
        _Bound("fields", "header_count", limits.header_count, _count, str),
    ]
    findings = [found for one in bounds if (found := await _of_bound(patient, one)) is not None]
    if findings:
        return findings
    told = ", ".join(f"{one.what} of {one.text(one.value)}" for one in bounds[:3])
    return [fine(Check.BOUNDS, f"takes {told} and {limits.header_count} fields", "takes all")]


@dataclass(frozen=True, slots=True)
class _Tried:
    """`reply` is None where the target closed without an answer."""

    size: int
    evidence: Evidence
    reply: Reply | None


async def _try(patient: Patient, bound: _Bound, size: int) -> _Tried:
    ask = bound.grown(patient.subject.base, size)
    try:
        reply = await patient.ask(ask)
    except GatewayError as error:
        if error.code not in _WITHOUT_ANSWER:
            raise
        return _Tried(size, Evidence(patient.asker.shown(ask), error.code), None)
    return _Tried(size, reply.evidence, reply)


def _taken(patient: Patient, tried: _Tried) -> bool:
    """Whether it is answered as if nothing were grown."""
    return tried.reply is not None and tried.reply.status == patient.normal.status


async def _of_bound(patient: Patient, bound: _Bound) -> Finding | None:
    whole = await _try(patient, bound, bound.value)
    if _taken(patient, whole) or (whole.reply is not None and whole.reply.status in _BUSY):
        return None
    for step in range(1, _STEPS + 1):
        smaller = await _try(patient, bound, (bound.value >> step) * 7 // 8)
        if _taken(patient, smaller):
            return _takes_less(patient, bound, whole, smaller)
    told = f"{_answer(whole)} to {bound.what} of {bound.text(bound.value)}, and to smaller ones"
    return note(Check.BOUNDS, f"answers {told}", f"{bound.key} unclear", whole.evidence)


def _answer(tried: _Tried) -> str:
    return "with a closed connection" if tried.reply is None else str(tried.reply.status)


def _takes_less(patient: Patient, bound: _Bound, whole: _Tried, smaller: _Tried) -> Finding:
    sent, taken = bound.text(whole.size), bound.text(smaller.size)
    made = problem if whole.reply is None else note
    if bound.key == "header_count":
        summary = f"takes {taken} fields, and answers {_answer(whole)} to {sent}"
    else:
        summary = f"takes {bound.what} of {taken}, and answers {_answer(whole)} to {sent}"
    return made(
        Check.BOUNDS,
        f"{summary}; the gateway lets {sent} through",
        f"{bound.key} {taken} {_answer(whole)}",
        whole.evidence,
        smaller.evidence,
        mend=patient.subject.in_gateway("limits", bound.key, value=taken),
        advice="That bound holds for all services; or raise the service's own.",
    )


# -- requests of a size


def _line(base: str, size: int) -> Ask:
    """A request whose line has `size` bytes, a little less than that."""
    start = f"{base}?brain-doctor="
    return Ask(start + "a" * (size - len(start) - _OWN), fresh=True)


def _field(base: str, size: int) -> Ask:
    return Ask(base, fields=(("X-Brain-Doctor", "a" * (size - _OWN)),), fresh=True)


def _total(base: str, size: int) -> Ask:
    """A request whose fields have `size` bytes together, the gateway's own among them."""
    number = max(1, size // _PIECE - 1)
    return Ask(base, fields=_pieces(number, "a" * (_PIECE - _OWN)), fresh=True)


def _count(base: str, size: int) -> Ask:
    """A request of `size` fields, without those that the gateway adds."""
    return Ask(base, fields=_pieces(max(1, size - 3), "1"), fresh=True)


def _pieces(number: int, value: str) -> Fields:
    return tuple((f"X-Brain-Doctor-{index}", value) for index in range(number))
