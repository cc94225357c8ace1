"""How long ``brain check`` thinks about 10,000 services, one-liners and with options on each."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench import bounds, routes
from bench.bounds import Bound, Verdict
from bench.lab import Lab
from bench.process import ROOT, BenchError
from bench.proxies.gateway import brain
from bench.quartiles import Quartiles
from bench.section import Section, Table


def check(lab: Lab) -> Section:
    section = Section("`brain check` of 10,000 services", tables=[Table(["file", "seconds"])])
    count, upstream = lab.settings.services, lab.upstream
    _add(lab, section, "one-liners", bounds.CHECK, routes.one_liners(count, upstream))
    _add(lab, section, "with options", bounds.CHECK_OPTIONS, routes.with_options(count, upstream))
    return section


def _add(lab: Lab, section: Section, label: str, bound: Bound, services: str) -> None:
    lab.say(f"  {label}")
    file = lab.folder / "check.yaml"
    file.write_text(routes.head(8080, 9901, lab.folder) + services)
    seconds = [_timed(file) for _ in range(lab.settings.repeats)]
    section.tables[0].rows.append([label, Quartiles.of(seconds).show()])
    section.verdicts.append(Verdict.of(bound, seconds))


def _timed(file: Path) -> float:
    """Wall-clock seconds from the start of the command to its end."""
    started = time.perf_counter()
    done = subprocess.run(
        brain("check", str(file)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"brain check refuses the file: {(done.stderr + done.stdout)[:400]}")
    return time.perf_counter() - started
