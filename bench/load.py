"""A closed-loop load: some connections, each sending its next request when the answer is in.

``wrk`` makes it where it is installed, else the generator of this folder; both print the same line.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.process import LOAD_CORES, ROOT, BenchError, pinned

_MARK = "bench-load"


@dataclass(frozen=True)
class Load:
    """What is sent. With several ``paths`` the connections go through them in turn."""

    port: int
    paths: tuple[str, ...]
    connections: int = 32
    method: str = "GET"
    body_size: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came back. ``errors``: failed or timed-out sockets, and answers other than 2xx, 3xx."""

    requests: int
    bytes: int
    p50_us: float
    p99_us: float
    errors: int


def tool() -> str:
    return "wrk" if shutil.which("wrk") else "the bench's own llhttp generator"


def run(load: Load, seconds: float, folder: Path) -> Outcome:
    """Blocks for ``seconds``, up to 20 more when a proxy hangs."""
    argv = _wrk(load, seconds, folder) if shutil.which("wrk") else _own(load, seconds)
    with pinned(LOAD_CORES):
        done = subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 20, check=False
        )
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            requests, size, p50, p99, errors = (float(part) for part in line.split()[1:])
            return Outcome(int(requests), int(size), p50, p99, int(errors))
    raise BenchError(f"the load generator failed: {(done.stderr or done.stdout)[-400:]}")


def report(outcome: Outcome) -> str:
    """The line that both generators print."""
    values = (outcome.requests, outcome.bytes, outcome.p50_us, outcome.p99_us, outcome.errors)
    return " ".join([_MARK, *(f"{value:.0f}" for value in values)])


def _own(load: Load, seconds: float) -> list[str]:
    return [sys.executable, "-m", "bench.generator", json.dumps(asdict(load)), str(seconds)]


def _wrk(load: Load, seconds: float, folder: Path) -> list[str]:
    script = folder / "load.lua"
    script.write_text(_lua(load))
    url = f"http://127.0.0.1:{load.port}{load.paths[0]}"
    whole = str(max(1, round(seconds)))  # wrk knows whole seconds only
    connections = str(load.connections)
    return [
        "wrk",
        "-t1",
        "-c",
        connections,
        f"-d{whole}s",
        "--timeout",
        "10s",
        "-s",
        str(script),
        url,
    ]


def _lua(load: Load) -> str:
    """wrk's script. Without a ``request`` function wrk repeats one prepared request: cheapest."""
    lines = [f'wrk.method = "{load.method}"']
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in load.headers.items()]
    if load.body_size:
        lines.append(f'wrk.body = string.rep("x", {load.body_size})')
    if len(load.paths) > 1:
        lines.append(_lua_turns(load.paths))
    lines.append(_LUA_DONE)
    return "\n".join(lines)


def _lua_turns(paths: tuple[str, ...]) -> str:
    quoted = ", ".join(f'"{path}"' for path in paths)
    return f"""local paths, ready, turn = {{{quoted}}}, {{}}, 0
init = function()
  for i, path in ipairs(paths) do ready[i] = wrk.format(nil, path) end
end
request = function()
  turn = turn % #ready + 1
  return ready[turn]
end"""


_LUA_DONE = f"""done = function(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("{_MARK} %d %d %d %d %d\\n", summary.requests, summary.bytes,
    latency:percentile(50), latency:percentile(99), failed))
end
"""
