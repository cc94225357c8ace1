"""The upstream, the generators and the counters, against each other over real sockets."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import load as loads
from bench.ask import ask
from bench.lab import Lab
from bench.load import Load, Outcome
from bench.procfs import PeakMemory, cpu_seconds, resident_bytes, tree
from bench.settings import QUICK
from bench.upstream import JSON


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(QUICK) as opened:
        yield opened


def test_the_small_answer_has_95_bytes(lab: Lab) -> None:
    assert ask(lab.upstream, "/json") == (200, JSON)
    assert len(JSON) == 95


@pytest.mark.parametrize("path", ["/blob?size=1048577", "/chunked?size=1048577"])
def test_a_download_has_the_size_that_was_asked_for(lab: Lab, path: str) -> None:
    status, body = ask(lab.upstream, path)
    assert (status, len(body)) == (200, 1048577)


def test_uploads_are_echoed_or_counted(lab: Lab) -> None:
    body = os.urandom(10240)
    assert ask(lab.upstream, "/echo", method="POST", body=body) == (200, body)
    assert ask(lab.upstream, "/sink", method="POST", body=body) == (200, b'{"received": 10240}')


def test_a_mark_is_answered_and_nonsense_is_not_found(lab: Lab) -> None:
    assert ask(lab.upstream, "/mark/7") == (200, b"/mark/7")
    assert ask(lab.upstream, "/nonsense")[0] == 404


@pytest.mark.parametrize("with_wrk", [True, False])
@pytest.mark.parametrize("shape", ["get", "turns", "post"])
def test_each_generator_loads_and_reports(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, with_wrk: bool, shape: str
) -> None:
    if with_wrk and not shutil.which("wrk"):
        pytest.skip("wrk is not installed")
    if not with_wrk:
        monkeypatch.setattr("bench.load.shutil.which", lambda name: None)
    load = Load(lab.upstream, ("/json",), connections=4, headers={"X-Key": "k"})
    load = {
        "get": load,
        "turns": replace(load, paths=("/json", "/mark/1")),
        "post": replace(load, paths=("/echo",), method="POST", body_size=1000),
    }[shape]
    outcome = loads.run(load, 1, lab.folder)
    assert outcome.requests > 100
    assert outcome.errors == 0
    assert 0 < outcome.p50_us <= outcome.p99_us


def test_failed_requests_are_counted(lab: Lab) -> None:
    outcome = loads.run(Load(lab.upstream, ("/nonsense",), connections=2), 1, lab.folder)
    assert outcome.errors == pytest.approx(outcome.requests, abs=2)


def test_the_line_of_the_generators_has_whole_numbers() -> None:
    assert loads.report(Outcome(1, 2, 3.4, 4.6, 0)) == "bench-load 1 2 3 5 0"


def test_cpu_and_memory_of_this_process_are_read() -> None:
    before = cpu_seconds(os.getpid())
    sum(number * number for number in range(3_000_000))
    assert cpu_seconds(os.getpid()) > before
    assert os.getpid() in tree(os.getpid())
    assert resident_bytes(os.getpid()) > 10 * 2**20


def test_a_peak_of_memory_is_seen() -> None:
    with PeakMemory(os.getpid()) as memory:
        Path(os.devnull).write_bytes(b"x" * (64 * 2**20))
        kept = bytearray(os.urandom(2**20)) * 64
    assert len(kept) == 64 * 2**20
    assert memory.growth > 48 * 2**20
