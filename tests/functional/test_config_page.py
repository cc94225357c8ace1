"""/config shows no credential that stands in the files themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream

PLUGIN = """
from proxy import Plugin

class Mine(Plugin):
    schema = {
        "type": "object",
        "properties": {
            "opener": {"type": "string", "writeOnly": True},
            "openers": {"type": "array", "items": {"type": "string", "writeOnly": True}},
            "colour": {"type": "string"},
        },
    }

    def __init__(self, opener, openers, colour):
        pass
"""


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "opened_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("opened_plugin", None)


@pytest.mark.usefixtures("importable")
async def test_options_that_are_write_only_are_masked_whatever_their_name(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    options = "{opener: sesame-one, openers: [sesame-two], colour: red}"
    running = await gateway(
        f"""
        version: 1
        plugins: [{{use: "opened_plugin:Mine", as: mine, with: {options}}}]
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    body = (await running.admin("/config")).body
    assert b"sesame" not in body
    assert b"********" in body
    assert b"red" in body


async def test_a_literal_beside_a_reference_is_masked_and_a_scheme_is_not(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    fields = "{Authorization: 'Bearer ${TOKEN:-}', X-Api-Key: 'sesame${TOKEN:-}', Cookie: a=sesame}"
    running = await gateway(
        f"""
        version: 1
        plugins: [{{headers: {{request: {{set: {fields}}}}}}}]
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    body = (await running.admin("/config")).body
    assert b"sesame" not in body
    assert b"Bearer ${TOKEN" in body
