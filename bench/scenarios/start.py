"""From exec to the first 200 of ``/ready``, and the memory held then, with the shipped file."""

from __future__ import annotations

import time

from bench import bounds
from bench.ask import status_of
from bench.bounds import Verdict
from bench.lab import Lab
from bench.process import ROOT, Process, free_port
from bench.procfs import resident_bytes
from bench.proxies.gateway import brain
from bench.quartiles import Quartiles
from bench.section import Section, Table


def start(lab: Lab) -> Section:
    starts = [_started(lab) for _ in range(lab.settings.repeats)]
    seconds = [taken for taken, _ in starts]
    mebibytes = [size / 2**20 for _, size in starts]
    row = [Quartiles.of(seconds).show(3), Quartiles.of(mebibytes).show(1)]
    return Section(
        "Start with the shipped routes.yaml",
        tables=[Table(["seconds to ready", "MiB resident"], [row])],
        verdicts=[
            Verdict.of(bounds.READY, seconds),
            Verdict.of(bounds.READY_MEMORY, mebibytes),
        ],
    )


def _started(lab: Lab) -> tuple[float, int]:
    """Seconds and bytes. Read every 5 ms, which is also how far the time may be off."""
    admin, listen = free_port(), free_port()
    addresses = ["--listen", f"127.0.0.1:{listen}", "--admin", f"127.0.0.1:{admin}"]
    # The shipped file puts its control socket there.
    environment = {"XDG_RUNTIME_DIR": str(lab.folder)}
    began = time.perf_counter()
    with Process(
        brain("run", str(ROOT / "routes.yaml"), *addresses),
        lab.folder / "start.log",
        env=environment,
    ) as process:
        process.wait_until(lambda: status_of(admin, "/ready") == 200, step=0.005)
        return time.perf_counter() - began, resident_bytes(process.pid)
