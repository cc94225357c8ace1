"""The command line, and the interleaving of a contest."""

import pytest

from bench import contest
from bench.__main__ import main
from bench.scenarios import ALL


def test_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        each.name for each in ALL
    ]


def test_an_unknown_scenario_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["smal"])
    assert "smal" in capsys.readouterr().err


def test_a_round_goes_through_the_proxies_and_back() -> None:
    assert contest.there_and_back(3) == [0, 1, 2, 2, 1, 0]
