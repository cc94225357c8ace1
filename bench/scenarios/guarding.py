"""What does it cost to know who calls, to count them and to tell the upstream?"""

from __future__ import annotations

from dataclasses import replace

from bench import bounds
from bench.bounds import Verdict
from bench.contest import Entrant, hold
from bench.guard import Guard
from bench.lab import Lab
from bench.load import Load
from bench.proxies.base import Proxy
from bench.proxies.envoy import Envoy
from bench.proxies.gateway import Gateway
from bench.proxies.guarded import GuardedEnvoy, GuardedGateway
from bench.section import Section
from bench.upstream import JSON

_OPEN = "gateway, public"


def guards(lab: Lab) -> Section:
    """Beside Envoy with the same filters, and beside the gateway's own public route with a log.

    All requests carry the token; the second gateway does not look at it.
    """
    guard = Guard.made()
    pattern = Load(port=0, paths=("/json",), headers={"Authorization": f"Bearer {guard.token}"})
    plain = Gateway(lab.folder, lab.upstream, logged=True)
    others: list[Proxy] = [GuardedEnvoy(lab.folder, lab.upstream, guard)] if Envoy.version() else []
    entrants = [
        replace(Entrant.of(plain, pattern), label=_OPEN),
        *(Entrant.of(proxy, pattern) for proxy in others),
        Entrant.of(GuardedGateway(lab.folder, lab.upstream, guard), pattern),
    ]
    outcome = hold(
        lab, entrants, lab.settings.rounds, lambda sample: sample.cpu_us_per_request, len(JSON)
    )
    section = Section("Small JSON GET with a token", notes=outcome.faults())
    section.notes.append(
        "request-id, access-log to a file, metrics, jwt (RS256, a repeated token), rate-limit by "
        "caller in memory, identity-headers; Envoy: its log, jwt_authn with jwt_cache_config and "
        "claim_to_headers, local_ratelimit with its headers."
    )
    section.tables.append(outcome.table(Gateway.name, "µs/request"))
    ratios = outcome.ratios(Gateway.name, Envoy.name)
    section.verdicts.append(Verdict.of(bounds.GUARDED_ENVOY, ratios))
    return section
