"""What does a stored answer cost? The gateway with `cache` against the same one without."""

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

_FORWARDED = "forwarded"
_CACHED = "from the cache"


def cache(lab: Lab) -> Section:
    """Both get the same answer for the same request; one asks the upstream for it once an hour."""
    entrants = [_entrant(lab, _FORWARDED, ""), _entrant(lab, _CACHED, "plugins: [cache]\n")]
    outcome = hold(
        lab,
        entrants,
        lab.settings.rounds,
        lambda sample: sample.cpu_us_per_request,
        len(JSON),
    )
    section = Section("Small GET from the cache against a forwarded one", notes=outcome.faults())
    section.tables.append(outcome.table(_CACHED, "µs/request"))
    section.verdicts.append(Verdict.of(bounds.CACHE, outcome.ratios(_CACHED, _FORWARDED)))
    return section


def _entrant(lab: Lab, label: str, chain: str) -> Entrant:
    services = chain + routes.one_service(lab.upstream)
    gateway = Gateway(lab.folder, lab.upstream, services=services)
    made = Entrant.of(gateway, Load(port=0, paths=("/fresh",)))
    return replace(made, label=label)
