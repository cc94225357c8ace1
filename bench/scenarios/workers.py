"""What do several workers cost a request, and do two serve nearly twice as many?"""

from __future__ import annotations

from dataclasses import replace

from bench import bounds
from bench.bounds import Verdict
from bench.contest import Entrant, hold
from bench.lab import Lab
from bench.load import Load
from bench.process import ALL_CORES
from bench.proxies.gateway import Gateway
from bench.quartiles import Quartiles
from bench.section import Section
from bench.upstream import JSON

_ONE, _TWO = "1 worker", "2 workers"
_JUDGED_FROM = 4  # cores: two for the workers, one each for the load and the upstream


def workers(lab: Lab) -> Section:
    """The gateway without workers against itself with two, on the same two cores.

    On one core they would be measured by what taking turns there costs, which two gateways that know
    nothing of each other pay as well: 1.11 of one's time a request, where two workers pay 1.13.
    """
    enough = len(ALL_CORES) >= _JUDGED_FROM
    cores = set(sorted(ALL_CORES)[-2:])
    entrants = [_entrant(lab, _ONE, 1, cores), _entrant(lab, _TWO, 2, cores)]
    outcome = hold(
        lab,
        entrants,
        lab.settings.rounds,
        lambda sample: sample.cpu_us_per_request,
        len(JSON),
    )
    faster = replace(outcome, cost=lambda sample: sample.requests / sample.wall)
    gained = faster.ratios(_TWO, _ONE)
    slower = [1 / ratio for ratio in gained]
    section = Section("Two workers against one process, small GET", notes=outcome.faults())
    section.notes.append(f"Requests a second, 2 workers ÷ 1: {Quartiles.of(gained).show()}.")
    if not enough:
        note = (
            f"That is judged from {_JUDGED_FROM} cores on: here upstream and load had the same two."
        )
        section.notes.append(note)
    section.tables.append(outcome.table(_TWO, "µs/request"))
    section.verdicts.append(Verdict.of(bounds.WORKERS, outcome.ratios(_TWO, _ONE)))
    section.verdicts.append(Verdict.of(bounds.WORKERS_GAIN, slower if enough else []))
    return section


def _entrant(lab: Lab, label: str, count: int, cores: set[int]) -> Entrant:
    gateway = Gateway(lab.folder, lab.upstream, workers=count)
    # The kernel shares connections out by a hash: of many, each worker has about its half.
    made = Entrant.of(gateway, Load(port=0, paths=("/json",), connections=64))
    return replace(made, label=label, cores=cores)
