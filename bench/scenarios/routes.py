"""Does a request cost more when the file is long? Two gateways, 10,000 services against 10."""

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

_FEW = 10


def services(lab: Lab) -> Section:
    """Whole requests, through ten services of each file: what a user would notice."""
    many = lab.settings.services
    few_entrant, many_entrant = _entrant(lab, _FEW), _entrant(lab, many)
    outcome = hold(
        lab,
        [few_entrant, many_entrant],
        lab.settings.rounds,
        lambda sample: sample.cpu_us_per_request,
        len(JSON),
    )
    section = Section("10,000 services against 10", notes=outcome.faults())
    section.notes.append("Small GET through ten services, evenly over the file; one API key.")
    section.tables.append(outcome.table(many_entrant.label, "µs/request"))
    ratios = outcome.ratios(many_entrant.label, few_entrant.label)
    section.verdicts.append(Verdict.of(bounds.ROUTES, ratios))
    return section


def _entrant(lab: Lab, count: int) -> Entrant:
    gateway = Gateway(lab.folder, lab.upstream, services=routes.one_liners(count, lab.upstream))
    load = Load(gateway.port, routes.spread(count), headers=dict(routes.KEY_HEADER))
    return replace(Entrant(gateway.name, gateway, load), label=f"{count:,} services")
