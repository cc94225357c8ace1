"""From exec to the first 200 of ``/ready``, and the memory held then, with the shipped file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import bounds, shipped
from bench.ask import status_of
from bench.bounds import Verdict
from bench.lab import Lab
from bench.process import Process, free_port, free_ports
from bench.procfs import resident_bytes
from bench.proxies.gateway import brain
from bench.quartiles import Quartiles
from bench.section import Section, Table
from proxy.demo.connectors import connectors

LAID_OVER = (
    "The bounds are for the file without the section `secrets` and the plugins that need it: no other "
    "server is asked then."
)

Started = tuple[float, int]
"""Seconds and bytes."""


def start(lab: Lab) -> Section:
    alone = _alone(lab)
    seconds, mebibytes = _columns(alone)
    rows: list[Sequence[str]] = [
        ["no Vault in the file", *_shown(alone)],
        ["Vault is away", *_shown(_away(lab))],
    ]
    notes = [LAID_OVER]
    there = _there(lab)
    if there:
        rows.append(["Vault is there", *_shown(there)])
    else:
        notes.append("OpenBao, from the extra `demo`, is not installed: no start with Vault there.")
    return Section(
        "Start with the shipped routes.yaml",
        notes=notes,
        tables=[Table(["", "seconds to ready", "MiB resident"], rows)],
        verdicts=[
            Verdict.of(bounds.READY, seconds),
            Verdict.of(bounds.READY_MEMORY, mebibytes),
        ],
    )


def _alone(lab: Lab) -> list[Started]:
    return _starts(lab, [shipped.FILE, shipped.without_servers(lab.folder)], {})


def _away(lab: Lab) -> list[Started]:
    """Nobody listens there, and the secret id is there to try it with."""
    file = lab.folder / "vault-secret-id"
    file.touch(mode=0o600)
    file.write_text("an-id")
    address = f"http://127.0.0.1:{free_port()}"
    return _starts(lab, [shipped.FILE], {"VAULT_ADDR": address, "VAULT_SECRET_ID_FILE": str(file)})


def _there(lab: Lab) -> list[Started]:
    with (
        tempfile.TemporaryDirectory(dir=lab.folder) as own,
        connectors(Path(own)) as kept,
    ):
        there = kept.store == "vault"
        return _starts(lab, [shipped.FILE], kept.environment) if there else []


def _columns(starts: Sequence[Started]) -> tuple[list[float], list[float]]:
    return [taken for taken, _ in starts], [size / 2**20 for _, size in starts]


def _shown(starts: Sequence[Started]) -> list[str]:
    seconds, mebibytes = _columns(starts)
    return [Quartiles.of(seconds).show(3), Quartiles.of(mebibytes).show(1)]


def _starts(lab: Lab, files: Sequence[Path], environment: Mapping[str, str]) -> list[Started]:
    return [_started(lab, files, environment) for _ in range(lab.settings.repeats)]


def _started(lab: Lab, files: Sequence[Path], environment: Mapping[str, str]) -> Started:
    """Read every 5 ms, which is also how far the time may be off."""
    admin, listen = free_ports(2)
    addresses = ["--listen", f"127.0.0.1:{listen}", "--admin", f"127.0.0.1:{admin}"]
    began = time.perf_counter()
    with Process(
        brain("run", *map(str, files), *addresses),
        lab.folder / "start.log",
        # The shipped file puts its control socket there.
        env={"XDG_RUNTIME_DIR": str(lab.folder), **environment},
    ) as process:
        process.wait_until(lambda: status_of(admin, "/ready") == 200, step=0.005)
        return time.perf_counter() - began, resident_bytes(process.pid)
