"""The scenario with a token, in its shortest form."""

from dataclasses import replace

from bench.guard import Guard
from bench.lab import Lab
from bench.proxies.envoy import Envoy
from bench.scenarios import guarding
from bench.settings import QUICK


def test_the_guarded_gateway_is_measured_beside_an_open_one() -> None:
    with Lab(replace(QUICK, rounds=1)) as lab:
        section = guarding.guards(lab)
    (table,) = section.tables
    assert table.rows[0][0] == "gateway, public"
    assert table.rows[-1][0] == "gateway"
    assert not any("failed" in note for note in section.notes)
    if Envoy.version():
        assert len(section.verdicts[0].values) == 1


def test_a_token_is_good_for_the_whole_of_a_run() -> None:
    guard = Guard.made()
    assert guard.token.count(".") == 2
    assert guard.public.startswith("-----BEGIN PUBLIC KEY-----")
    assert '"d"' not in guard.keys
