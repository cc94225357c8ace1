"""``python -m bench [SCENARIO…] [--quick] [--write] [--list]``."""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from bench import machine, report
from bench.lab import Lab
from bench.process import ROOT, BenchError
from bench.scenarios import ALL, Scenario
from bench.section import Section
from bench.settings import FULL, QUICK

RESULTS = ROOT / "bench" / "RESULTS.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 when a bound was missed or a scenario failed; 2 for wrong usage; 130 when interrupted.

    Exit codes of a quick run speak of failures only: its rounds are too short to judge by.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.scenario) - {each.name for each in ALL}:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))} (--list names them)")
    if options.list:
        print("\n".join(f"{each.name:10} {each.about}" for each in ALL))
        return 0
    chosen = [each for each in ALL if not options.scenario or each.name in options.scenario]
    settings = QUICK if options.quick else FULL
    _allow_many_files()
    signal.signal(signal.SIGTERM, _leave)
    try:
        with Lab(settings) as lab:
            sections = [_run(each, lab) for each in chosen]
    except KeyboardInterrupt:
        return 130
    text = report.render(machine.describe(), settings, sections)
    print(text)
    if options.write or not (options.quick or options.scenario):
        RESULTS.write_text(text)
    failed = any(section.failed for section in sections)
    missed = any(verdict.missed for section in sections for verdict in section.verdicts)
    return int(failed or (missed and settings.judges))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "scenario",
        nargs="*",
        metavar="SCENARIO",
        help=f"default: all of {', '.join(each.name for each in ALL)}",
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s; judges nothing")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write bench/RESULTS.md although the run is quick or partial",
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and leave")
    return parser


def _run(scenario: Scenario, lab: Lab) -> Section:
    """One that fails says why on stderr, and the next one runs."""
    lab.say(f"{scenario.name}: {scenario.about}")
    try:
        return scenario.run(lab)
    except (BenchError, OSError, subprocess.TimeoutExpired) as error:
        lab.say(f"{scenario.name} failed: {error}")
        note = "Failed; the run said why on stderr."
        return Section(scenario.about, notes=[note], failed=True)


def _allow_many_files() -> None:
    """1,000 idle clients and as many upstream connections need more than the usual 1,024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave(number: int, frame: FrameType | None) -> None:
    """SIGTERM unwinds as Ctrl-C does, so that every ``with`` stops what it started."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
