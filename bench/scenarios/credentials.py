"""What does a tenant's credential cost that the gateway knows already?"""

from __future__ import annotations

from dataclasses import replace

from bench import bounds, routes
from bench.bounds import Verdict
from bench.contest import Entrant, hold
from bench.lab import Lab
from bench.load import Load
from bench.proxies.gateway import Gateway
from bench.routes import KEY_HEADER
from bench.section import Section
from bench.upstream import JSON

_WITHOUT = "api-key"
_WITH = "api-key, credentials"
_CREDENTIAL = (
    'credentials: {secret: "tenants/${principal.tenant}/connectors/crm", '
    'headers: {Authorization: "Token ${secret.api_key}"}}'
)


def credentials(lab: Lab) -> Section:
    """Both gateways know the caller by an API key; one puts the tenant's credential on as well."""
    secret = lab.folder / "kept/tenants/acme/connectors/crm/api_key"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.touch(mode=0o600)
    secret.write_text("s3cret-of-acme-0123456789abcdef")
    entrants = [_entrant(lab, _WITHOUT, ""), _entrant(lab, _WITH, f"{{{_CREDENTIAL}}}")]
    outcome = hold(
        lab,
        entrants,
        lab.settings.rounds,
        lambda sample: sample.cpu_us_per_request,
        len(JSON),
    )
    section = Section("A tenant's credential from the gateway's memory", notes=outcome.faults())
    section.tables.append(outcome.table(_WITH, "µs/request"))
    section.verdicts.append(Verdict.of(bounds.CREDENTIAL, outcome.differences(_WITH, _WITHOUT)))
    return section


def _entrant(lab: Lab, label: str, credential: str) -> Entrant:
    services = routes.of_tenant(lab.upstream, lab.folder / "kept", credential)
    gateway = Gateway(lab.folder, lab.upstream, services=services)
    made = Entrant.of(gateway, Load(port=0, paths=("/json",), headers=KEY_HEADER))
    return replace(made, label=label)
