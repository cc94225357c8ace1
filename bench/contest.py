"""Several proxies under the same load, interleaved, and their CPU in proportion.

A round goes through the proxies and back: A B C C B A. Any two of them stand in it as A B B A, so
a machine that becomes slower or faster meanwhile treats both alike; the ratio is taken per round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from bench.ask import ask
from bench.lab import Lab
from bench.load import Load
from bench.measure import Sample, measure
from bench.process import PROXY_CORES, BenchError, Process
from bench.proxies.base import Proxy
from bench.quartiles import Quartiles
from bench.section import Table


@dataclass(frozen=True)
class Entrant:
    """``label`` is its name in the table; ``load`` is made for its port, paths and headers."""

    label: str
    proxy: Proxy
    load: Load
    cores: set[int] = field(default_factory=lambda: PROXY_CORES)

    @classmethod
    def of(cls, proxy: Proxy, pattern: Load) -> Entrant:
        """``pattern`` with the upstream's paths, turned into the paths of this proxy."""
        paths = tuple(proxy.path(path) for path in pattern.paths)
        headers = {**pattern.headers, **proxy.headers}
        load = replace(pattern, port=proxy.port, paths=paths, headers=headers)
        return cls(proxy.name, proxy, load)


@dataclass(frozen=True)
class Outcome:
    """``samples[i][r]`` is entrant i in round r. The subject, the one to judge, stands last."""

    entrants: Sequence[Entrant]
    samples: Sequence[Sequence[Sample]]
    cost: Callable[[Sample], float]

    def ratios(self, label: str, other: str) -> list[float]:
        """Cost of ``label`` ÷ cost of ``other``, per round; empty when one did not take part."""
        return [a / b for a, b in self._pairs(label, other)]

    def differences(self, label: str, other: str) -> list[float]:
        """Cost of ``label`` less that of ``other``, per round; empty when one did not take part."""
        return [a - b for a, b in self._pairs(label, other)]

    def _pairs(self, label: str, other: str) -> Iterator[tuple[float, float]]:
        labels = [entrant.label for entrant in self.entrants]
        if label not in labels or other not in labels:
            return
        ours, theirs = self.samples[labels.index(label)], self.samples[labels.index(other)]
        for a, b in zip(ours, theirs, strict=True):
            yield self.cost(a), self.cost(b)

    def table(self, subject: str, unit: str) -> Table:
        """Rows in the order of measurement. ``unit`` names the cost, as ``µs/request``."""
        table = Table(
            ["proxy", f"{subject} ÷ it", f"CPU {unit}", "requests/s", "p50 ms", "p99 ms", "busy"]
        )
        for entrant, samples in zip(self.entrants, self.samples, strict=True):
            ratios = [] if entrant.label == subject else self.ratios(subject, entrant.label)
            table.rows.append([entrant.label, _ratio(ratios), *self._row(samples)])
        return table

    def _row(self, samples: Sequence[Sample]) -> list[str]:
        def middle(of: Callable[[Sample], float]) -> float:
            return Quartiles.of([of(sample) for sample in samples]).median

        return [
            Quartiles.of([self.cost(sample) for sample in samples]).show(1),
            f"{middle(lambda sample: sample.requests / sample.wall):,.0f}",
            f"{middle(lambda sample: sample.p50_us) / 1000:.2f}",
            f"{middle(lambda sample: sample.p99_us) / 1000:.2f}",
            f"{middle(lambda sample: sample.cpu / sample.wall):.0%}",
        ]

    def faults(self) -> list[str]:
        """A proxy that refuses is cheap: its errors are told beside its numbers."""
        totals = {
            entrant.label: sum(sample.errors for sample in samples)
            for entrant, samples in zip(self.entrants, self.samples, strict=True)
        }
        return [f"{label}: {count} failed requests." for label, count in totals.items() if count]


def _ratio(ratios: Sequence[float]) -> str:
    return Quartiles.of(ratios).show() if ratios else ""


def hold(
    lab: Lab, entrants: Sequence[Entrant], rounds: int, cost: Callable[[Sample], float], size: int
) -> Outcome:
    """Starts all, checks that each answers with ``size`` bytes, warms each, measures the rounds."""
    with ExitStack() as stack:
        running = [stack.enter_context(_started(entrant, size)) for entrant in entrants]
        for entrant, process in zip(entrants, running, strict=True):
            measure(process.pid, entrant.load, lab.settings.warm_seconds, lab.folder)
        samples: list[list[Sample]] = [[] for _ in entrants]
        for number in range(rounds):
            lab.say(f"  round {number + 1} of {rounds}")
            for index, sample in enumerate(_round(lab, entrants, running)):
                samples[index].append(sample)
    return Outcome(entrants, samples, cost)


def _started(entrant: Entrant, size: int) -> Process:
    process = entrant.proxy.start(entrant.cores)
    try:
        _check(entrant, size)
    except BaseException:
        process.stop()
        raise
    return process


def _check(entrant: Entrant, size: int) -> None:
    load = entrant.load
    body = b"x" * load.body_size or None
    for path in load.paths:
        status, answer = ask(load.port, path, method=load.method, body=body, headers=load.headers)
        if status != 200 or len(answer) != size:
            raise BenchError(f"{entrant.label} answers {path} with {status}, {len(answer)} bytes")


def there_and_back(count: int) -> list[int]:
    """The order of a round: any two stand in it as A B B A."""
    there = range(count)
    return [*there, *reversed(there)]


def _round(lab: Lab, entrants: Sequence[Entrant], running: Sequence[Process]) -> list[Sample]:
    halves: list[list[Sample]] = [[] for _ in entrants]
    for index in there_and_back(len(entrants)):
        pid, load = running[index].pid, entrants[index].load
        halves[index].append(measure(pid, load, lab.settings.seconds, lab.folder))
    return [Sample.joined(parts) for parts in halves]
