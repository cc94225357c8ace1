"""The scenarios that tell what holding traffic costs: each once, in its shortest form."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench import hanging
from bench.ask import status_of
from bench.lab import Lab
from bench.measure import Sample
from bench.process import BenchError
from bench.scenarios import credentials, holding
from bench.scenarios import hanging as scenario
from bench.settings import QUICK

SHORTEST = replace(QUICK, rounds=1, hanging=40)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(SHORTEST) as opened:
        yield opened


def _sample(p99: float, errors: int = 0) -> Sample:
    return Sample(1.0, 1.0, 1000, 1000, p99 / 4, p99, errors)


def test_every_port_of_the_upstream_answers(lab: Lab) -> None:
    assert [status_of(port, "/json") for port in lab.upstreams] == [200, 200, 200]


def test_watched_targets_are_measured_against_a_plain_one(lab: Lab) -> None:
    section = holding.holds(lab)
    (verdict,) = section.verdicts
    assert len(verdict.values) == 1
    assert 0.5 < verdict.values[0] < 2  # of two short runs on a busy machine
    assert not any("failed" in note for note in section.notes)


def test_a_credential_is_measured_against_none(lab: Lab) -> None:
    section = credentials.credentials(lab)
    (verdict,) = section.verdicts
    assert len(verdict.values) == 1
    assert not any("failed" in note for note in section.notes)


def test_the_p99_beside_hanging_requests_is_measured_without_wrk_too(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.load.shutil.which", lambda name: None)
    section = scenario.hangs(lab)
    (verdict,) = section.verdicts
    assert len(verdict.values) == 2
    assert not any("failed" in note for note in section.notes)
    assert section.title.startswith("40 requests")
    assert hanging.counted(lab.upstream) == 0


def test_hanging_requests_arrive_and_end_with_their_clients(lab: Lab) -> None:
    with hanging.hanging(lab.upstream, "/hang", 5, lab.upstream):
        assert hanging.counted(lab.upstream) == 5
    assert hanging.counted(lab.upstream) == 0


def test_requests_that_do_not_hang_are_no_measurement(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hanging, "_LIMIT", 0.1)
    with (
        pytest.raises(BenchError, match="did not arrive"),
        hanging.hanging(lab.upstream, "/json", 2, lab.upstream),
    ):
        pytest.fail("none of them hangs")


def test_a_hanging_request_that_ends_meanwhile_spoils_the_measurement(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([2, 1, 0])  # all have arrived, one has ended, all have gone
    monkeypatch.setattr(hanging, "counted", lambda upstream: next(counts))
    with (
        pytest.raises(BenchError, match="some of the hanging requests ended"),
        hanging.hanging(lab.upstream, "/hang", 2, lab.upstream),
    ):
        pass


@pytest.mark.parametrize(
    ("without", "beside", "word"),
    [
        ([100, 110, 100, 90], [109, 110, 108, 110], "reached"),
        ([100, 110, 100, 90], [112, 113, 112, 109], "**missed**"),
        ([100, 100, 100, 100], [100, 101, 101, 99], "reached"),
        ([100, 300, 100, 90], [200, 200, 210, 190], "reached"),
    ],
)
def test_the_noise_without_them_is_the_bound(
    without: list[float], beside: list[float], word: str
) -> None:
    section = scenario.section(
        "", [_sample(p99) for p99 in without], [_sample(p99) for p99 in beside]
    )
    assert [verdict.word for verdict in section.verdicts] == [word]


def test_failed_requests_are_told() -> None:
    section = scenario.section("", [_sample(100)], [_sample(100, errors=3)])
    assert "3 failed requests." in section.notes
