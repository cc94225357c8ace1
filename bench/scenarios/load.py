"""The four loads that every proxy takes: small GET, logged GET, 10 KiB POST, 1 MiB download."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench import bounds
from bench.bounds import Bound, Verdict
from bench.contest import Entrant, hold
from bench.lab import Lab
from bench.load import Load
from bench.measure import Sample
from bench.proxies.base import Proxy
from bench.proxies.caddy import Caddy
from bench.proxies.envoy import Envoy
from bench.proxies.gateway import Gateway
from bench.proxies.haproxy import HAProxy
from bench.proxies.nginx import Nginx
from bench.proxies.usual import Usual
from bench.scenarios.field import EVERYBODY, absent, present
from bench.section import Section
from bench.settings import MIB
from bench.upstream import JSON

_POST = 10 * 1024


def small(lab: Lab) -> Section:
    judged = {Envoy: bounds.SMALL_ENVOY, Usual: bounds.SMALL_USUAL}
    pattern = Load(port=0, paths=("/json",))
    return _contest(lab, "Small JSON GET, no plugins", pattern, len(JSON), judged=judged)


def logged(lab: Lab) -> Section:
    pattern = Load(port=0, paths=("/json",))
    return _contest(
        lab,
        "Small JSON GET with request-id, access-log to a file, metrics",
        pattern,
        len(JSON),
        judged={Envoy: bounds.LOGGED_ENVOY},
        field=[kind for kind in EVERYBODY if kind.logs],
        logged=True,
    )


def post(lab: Lab) -> Section:
    pattern = Load(port=0, paths=("/echo",), method="POST", body_size=_POST)
    return _contest(lab, "10 KiB POST, echoed", pattern, _POST)


def download(lab: Lab) -> Section:
    """Sixteen connections: enough to keep a proxy busy while some of them wait for the upstream."""
    pattern = Load(port=0, paths=(f"/blob?size={MIB}",), connections=16)
    order = [HAProxy, Caddy, Usual, Envoy, Nginx, Gateway]
    return _contest(
        lab,
        "1 MiB download",
        pattern,
        MIB,
        judged={Nginx: bounds.DOWNLOAD_NGINX},
        field=order,
        by_bytes=True,
    )


def _contest(
    lab: Lab,
    title: str,
    pattern: Load,
    size: int,
    *,
    judged: Mapping[type[Proxy], Bound] | None = None,
    field: Sequence[type[Proxy]] = EVERYBODY,
    logged: bool = False,
    by_bytes: bool = False,
) -> Section:
    proxies = [kind(lab.folder, lab.upstream, logged=logged) for kind in present(field)]
    entrants = [Entrant.of(proxy, pattern) for proxy in proxies]
    rounds = lab.settings.rounds if judged else lab.settings.free_rounds
    outcome = hold(lab, entrants, rounds, _cost(by_bytes), size)
    section = Section(title, notes=outcome.faults() + absent(field))
    section.tables.append(outcome.table(Gateway.name, "µs/MiB" if by_bytes else "µs/request"))
    for kind, bound in (judged or {}).items():
        section.verdicts.append(Verdict.of(bound, outcome.ratios(Gateway.name, kind.name)))
    return section


def _cost(by_bytes: bool) -> Callable[[Sample], float]:
    if by_bytes:
        return lambda sample: sample.cpu_us_per_mib
    return lambda sample: sample.cpu_us_per_request
