"""All checks of all targets: side by side for different ones, one after the other for each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from ssl import SSLContext

from proxy.config.models import RouteSpec, ServiceSpec, TargetSpec, UpstreamSpec
from proxy.doctoring import bounds, cors, hosts, https, idle, slashes, spelling
from proxy.doctoring.asking import Asker, Enough, Manner
from proxy.doctoring.findings import Check, Finding, note
from proxy.doctoring.patient import Options, Patient, hosts_of
from proxy.doctoring.reaching import reach
from proxy.doctoring.subjects import Subject
from proxy.errors import GatewayError
from proxy.upstream.resolver import Resolver
from proxy.upstream.target import Target

AT_ONCE = 128
"""Targets that are looked at side by side."""

LONGEST = 60.0
"""Seconds for all questions to one target, the idle wait left out."""

_Look = Callable[[Patient], Awaitable[list[Finding]]]

_LOOKS: Sequence[tuple[Check, _Look]] = (
    (Check.HOST, hosts.check),
    (Check.HTTPS, https.check),
    (Check.CORS, cors.check),
    (Check.SPELLING, spelling.check),
    (Check.SLASH, slashes.check),
    (Check.BOUNDS, bounds.check),
)
"""In this order: a Host that is refused would hide all the rest."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One target of one upstream, and what was found there, in the order of `Check`."""

    target: TargetSpec
    findings: tuple[Finding, ...]
    requests: int

    @property
    def reached(self) -> bool:
        """Whether it gave an answer at all."""
        return len({found.check for found in self.findings}) > 1


class Examination:
    """Asks targets. Two upstreams with one target take turns: it sees one connection at a time."""

    def __init__(self, contexts: Mapping[UpstreamSpec, SSLContext], options: Options) -> None:
        """`contexts` are those of `proxy.upstream.tls.client_contexts`, which reads files."""
        self._contexts = contexts
        self._options = options
        self._resolver = Resolver()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._turns: dict[str, asyncio.Lock] = {}
        self._measured: dict[str, idle.Measured] = {}

    async def all(self, subjects: Iterable[Subject]) -> list[tuple[Subject, list[Examined]]]:
        """Return what was found, upstream by upstream, target by target."""
        chosen = list(subjects)
        found = await asyncio.gather(*map(self._subject, chosen))
        return list(zip(chosen, found, strict=True))

    async def _subject(self, subject: Subject) -> list[Examined]:
        return await asyncio.gather(*(self._target(subject, one) for one in subject.spec.targets))

    async def _target(self, subject: Subject, spec: TargetSpec) -> Examined:
        turn = self._turns.setdefault(str(spec), asyncio.Lock())
        async with turn, self._slots:
            asker = self._asker(subject, spec)
            try:
                findings = await self._findings(subject, spec, asker)
            finally:
                asker.close()
        order = list(Check)
        told = sorted(findings, key=lambda found: order.index(found.check))
        return Examined(spec, tuple(told), asker.asked)

    def _asker(self, subject: Subject, spec: TargetSpec) -> Asker:
        target = Target(spec, subject.spec.tls, self._resolver, self._contexts.get(subject.spec))
        host = hosts_of(subject, spec, self._options.public_host)[0]
        return Asker(target, _manner(subject, self._options), host)

    async def _findings(self, subject: Subject, spec: TargetSpec, asker: Asker) -> list[Finding]:
        first, normal = await reach(subject, asker)
        if normal is None:
            return [first]
        patient = Patient(subject, spec, self._options, asker, normal)
        findings = [first]
        try:
            async with asyncio.timeout(LONGEST):
                for check, look in _LOOKS:
                    findings += await _looked(patient, check, look)
        except TimeoutError:
            summary = f"no more was asked after {LONGEST:g} s: it answers slowly"
            findings.append(note(Check.REACH, summary, "slow"))
        findings += await _looked(patient, Check.KEEPALIVE, self._idle)
        return findings

    async def _idle(self, patient: Patient) -> list[Finding]:
        """Wait once for each target: another upstream of it would see the same."""
        key = str(patient.target)
        if key not in self._measured:
            self._measured[key] = await idle.measure(patient)
        return [idle.judge(patient, self._measured[key])]


async def _looked(patient: Patient, check: Check, look: _Look) -> list[Finding]:
    """Run one check; a target that stops answering in the middle of it is told of."""
    try:
        return await look(patient)
    except GatewayError as error:
        patient.asker.close()
        summary = f"could not be looked at: {error.code} in the middle of it"
        return [note(check, summary, error.code)]
    except Enough:
        return [note(check, "could not be looked at: enough was asked", "enough")]


def _manner(subject: Subject, options: Options) -> Manner:
    services = (one for one in subject.config.services if one.name in subject.services)
    users: Iterator[RouteSpec | ServiceSpec] = chain(subject.routes, services)
    user = next(users)
    prefix = next((one.prefixes[0] for one in subject.routes if one.strip), "")
    return Manner(user.timeouts, user.limits, options.public_host, prefix)
