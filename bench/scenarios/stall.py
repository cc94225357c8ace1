"""How long a reload of 10,000 services stops the loop: a 1 ms ticker inside, a client outside."""

from __future__ import annotations

import sys
import time

from bench import bounds, routes
from bench.bounds import Verdict
from bench.lab import Lab
from bench.process import ALL_CORES
from bench.proxies.gateway import Gateway
from bench.quartiles import Quartiles
from bench.reloads import Reload, Reloader
from bench.section import Section, Table
from bench.ticker import longest_gap

_SETTLE = 1.0  # seconds after the swap that still count: the old snapshot is freed in them


def stall(lab: Lab) -> Section:
    """Not pinned: the gateway parses in a child, which would otherwise compete for its core."""
    gaps = lab.folder / "gaps"
    gaps.touch()
    services = routes.one_liners(lab.settings.services, lab.upstream)
    gateway = Gateway(
        lab.folder,
        lab.upstream,
        services=services + routes.marked(0, lab.upstream),
        runner=[sys.executable, "-m", "bench.ticker", str(gaps)],
    )
    with gateway.start(ALL_CORES) as process:
        reloader = Reloader(gateway, process, services, lab.upstream)
        quiet = _quiet(reloader)
        lab.say(f"  {lab.settings.reloads_timed} reloads")
        timed = [reloader.reload(_SETTLE) for _ in range(lab.settings.reloads_timed)]
        stops = [longest_gap(gaps, each.began, each.ended) * 1000 for each in timed]
        still = longest_gap(gaps, quiet.began, quiet.ended) * 1000
    return _section(timed, stops, quiet, still)


def _quiet(reloader: Reloader) -> Reload:
    """Five seconds without a reload, for comparison: what the machine alone does."""
    reloader.wait(1.0)
    began = time.monotonic()
    return Reload(longest_wait=reloader.wait(5.0), began=began, ended=time.monotonic())


def _section(timed: list[Reload], stops: list[float], quiet: Reload, still: float) -> Section:
    waits = [each.longest_wait * 1000 for each in timed]
    table = Table(["", "worst", "median (quartiles)", "without a reload, 5 s"])
    for label, values, calm in (
        ("the loop's longest stop, ms", stops, still),
        ("a client's longest wait, ms", waits, quiet.longest_wait * 1000),
    ):
        table.rows.append(
            [label, f"{max(values):.1f}", Quartiles.of(values).show(1), f"{calm:.1f}"]
        )
    taken = [each.ended - each.began - _SETTLE for each in timed]
    return Section(
        f"{len(timed)} reloads of 10,000 services, one changed",
        notes=[
            f"From the signal until the new file serves: {Quartiles.of(taken).show()} s.",
            "The bound holds for the worst of them, not for a quartile.",
        ],
        tables=[table],
        verdicts=[Verdict.of(bounds.STALL, [max(stops)])],
    )
