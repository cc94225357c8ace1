"""What is imported for tracing, and what is not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

LOOK = """
import asyncio, sys
from pathlib import Path
from proxy.hosting import Host
from proxy.config.load import load_or_raise
from proxy.plugin.catalog import Catalog

async def run(file):
    catalog = Catalog()
    config = load_or_raise([file], environment={}, catalog=catalog).config
    host = Host(config, [file], {}, catalog, lambda found: found, watch=False, probe=False)
    await host.start()
    await host.stop()

asyncio.run(run(sys.argv[1]))
heavy = ("opentelemetry", "opentelemetry.sdk", "google.protobuf")
print(sorted(name for name in heavy if name in sys.modules))
"""

ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())
"""


async def in_process(tmp_path: Path, options: str, before: str = "") -> tuple[int, str, str]:
    file = tmp_path / "routes.yaml"
    file.write_text(
        "version: 1\ngateway:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:0\n"
        f"  control: {tmp_path}/c.sock\n  shutdown: {{grace: 0s, drain: 1s}}\n"
        f"plugins: [{{tracing: {{{options}}}}}]\n"
        'services: {echo: {upstream: "http://127.0.0.1:9", public: true}}\n'
    )

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", before + LOOK, str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = await asyncio.to_thread(run)
    return done.returncode, done.stdout.strip(), done.stderr


async def test_nothing_is_imported_where_nothing_is_exported(tmp_path: Path) -> None:
    code, out, errors = await in_process(tmp_path, "sample: 50%")
    assert (code, out) == (0, "[]"), errors
    code, out, errors = await in_process(tmp_path, 'export: otlp, endpoint: "http://127.0.0.1:9"')
    assert code == 0, errors
    assert out == "['google.protobuf', 'opentelemetry']"


async def test_without_the_extra_the_load_is_refused_by_its_name(tmp_path: Path) -> None:
    code, _, errors = await in_process(tmp_path, "export: otlp", before=ABSENT)
    assert code == 1
    assert "brain-gateway[tracing]" in errors
    code, _, errors = await in_process(tmp_path, "sample: 50%", before=ABSENT)
    assert code == 0, errors
