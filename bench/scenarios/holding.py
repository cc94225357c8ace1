"""What do balance, health, breaker and budget cost? Three watched targets against a plain one."""

from __future__ import annotations

from dataclasses import replace

from bench import bounds, routes
from bench.bounds import Verdict
from bench.contest import Entrant, hold
from bench.lab import Lab
from bench.load import Load
from bench.proxies.gateway import Gateway
from bench.section import Section
from bench.upstream import JSON

_PLAIN = "one plain target"
_HELD = "three targets, all on"


def holds(lab: Lab) -> Section:
    """The targets are ports of one upstream process: what answers is the same for both."""
    entrants = [
        _entrant(lab, _PLAIN, routes.one_service(lab.upstream)),
        _entrant(lab, _HELD, routes.guarded_service(lab.upstreams)),
    ]
    outcome = hold(
        lab,
        entrants,
        lab.settings.rounds,
        lambda sample: sample.cpu_us_per_request,
        len(JSON),
    )
    section = Section("Small GET with balance, health, breaker and budget", notes=outcome.faults())
    section.notes.append(
        "least-requests over three targets, a check of each every second, outliers and breaker on, "
        "statuses that are tried again; the CPU of the checks counts too."
    )
    section.tables.append(outcome.table(_HELD, "µs/request"))
    section.verdicts.append(Verdict.of(bounds.HOLDS, outcome.ratios(_HELD, _PLAIN)))
    return section


def _entrant(lab: Lab, label: str, services: str) -> Entrant:
    gateway = Gateway(lab.folder, lab.upstream, services=services)
    made = Entrant.of(gateway, Load(port=0, paths=("/json",)))
    return replace(made, label=label)
