"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.bounds import Verdict
from bench.quartiles import Quartiles
from bench.section import Section, Table
from bench.settings import Settings

_INTRO = """# Results

Written by `python -m bench`. The ratios are what to compare; the µs beside them are this machine's.
CPU is user and system time of all the proxy's processes, divided by what they carried. Each proxy
has one worker on one core; upstream and load share the rest. A number with a range is the median
with the quartiles of its rounds. The load is closed-loop, so p50 and p99 show a queue's length.
"""


def render(
    machine: Sequence[tuple[str, str]], settings: Settings, sections: Sequence[Section]
) -> str:
    verdicts = [verdict for section in sections for verdict in section.verdicts]
    parts = [
        _INTRO,
        _rounds(settings),
        "## Must reach\n",
        _table(_judgement(verdicts)),
        *(_section(section) for section in sections),
        "## Machine\n",
        _table(Table(["what", "here"], list(machine))),
    ]
    return "\n".join(parts)


def _rounds(settings: Settings) -> str:
    quick = "" if settings.judges else "**A quick run: sizes are cut, the verdicts mean little.** "
    length = f"{settings.rounds} rounds A B B A of {settings.seconds:g} s"
    return (
        f"{quick}This run: {length} where there is a bound, {settings.free_rounds} elsewhere. "
        "A bound is missed when the lower quartile is over it.\n"
    )


def _judgement(verdicts: Iterable[Verdict]) -> Table:
    table = Table(["what", "bound", "aim", "here", ""])
    for verdict in verdicts:
        bound = verdict.bound
        here = Quartiles.of(verdict.values).show() if verdict.values else ""
        aim = f"{bound.aim:g}" if bound.aim is not None else ""
        table.rows.append([bound.what, f"≤ {bound.limit:g} {bound.unit}", aim, here, verdict.word])
    return table


def _section(section: Section) -> str:
    notes = [f"{note}\n" for note in section.notes]
    return "\n".join([f"## {section.title}\n", *notes, *map(_table, section.tables)])


def _table(table: Table) -> str:
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
