"""Does an upstream that hangs slow down another one? Its p99 without and beside hanging requests."""

from __future__ import annotations

from collections.abc import Sequence

from bench import bounds, routes
from bench.bounds import Bound, Verdict
from bench.contest import there_and_back
from bench.hanging import hanging
from bench.lab import Lab
from bench.load import Load
from bench.measure import Sample, measure
from bench.process import Process
from bench.proxies.gateway import Gateway
from bench.quartiles import Quartiles
from bench.section import Section, Table


def hangs(lab: Lab) -> Section:
    """One gateway, measured without, beside, beside and without the hanging requests, in rounds."""
    count, (upstream, behind, *_) = lab.settings.hanging, lab.upstreams
    services = routes.hanging_beside(upstream, behind, count)
    gateway = Gateway(lab.folder, upstream, services=services)
    load = Load(gateway.port, (gateway.path("/json"),))
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    with gateway.start() as process:
        measure(process.pid, load, lab.settings.warm_seconds, lab.folder)
        for number in range(lab.settings.rounds):
            lab.say(f"  round {number + 1} of {lab.settings.rounds}")
            for with_them in there_and_back(2):
                sample = _measured(lab, gateway, process, load, count if with_them else 0)
                samples[with_them].append(sample)
    return section(f"{count:,} requests that hang in another upstream", *samples)


def _measured(lab: Lab, gateway: Gateway, process: Process, load: Load, count: int) -> Sample:
    path = "/api/brain/hanging/hang"
    with hanging(gateway.port, path, count, lab.upstream):
        return measure(process.pid, load, lab.settings.seconds, lab.folder)


def section(title: str, without: Sequence[Sample], beside: Sequence[Sample]) -> Section:
    """The noise is the run's own: how far the p99 without them lay from its own median, at most."""
    usual = Quartiles.of([sample.p99_us for sample in without]).median
    worst = max(sample.p99_us for sample in without) / usual
    bound = Bound(bounds.HANGING, round(worst, 2))
    table = Table(["", "p99 ms", "lowest and highest", "p50 ms", "requests/s"])
    table.rows.append(_row("without them", without))
    table.rows.append(_row("beside them", beside))
    errors = sum(sample.errors for sample in (*without, *beside))
    notes = ["Small GET; the bound is the highest p99 without them, over the median of these."]
    return Section(
        title,
        notes=[*notes, f"{errors} failed requests."] if errors else notes,
        tables=[table],
        verdicts=[Verdict.of(bound, [sample.p99_us / usual for sample in beside])],
    )


def _row(label: str, samples: Sequence[Sample]) -> list[str]:
    p99 = [sample.p99_us / 1000 for sample in samples]
    p50 = Quartiles.of([sample.p50_us / 1000 for sample in samples])
    rate = Quartiles.of([sample.requests / sample.wall for sample in samples])
    extremes = f"{min(p99):.2f} to {max(p99):.2f}"
    return [label, Quartiles.of(p99).show(), extremes, p50.show(), f"{rate.median:,.0f}"]
