"""A plugin that was edited: its old code runs on, which is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream

SOURCE = "from proxy import Plugin\nclass Mine(Plugin):\n    pass\n"


async def test_a_plugin_that_changed_on_disk_is_told_at_each_reload(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = tmp_path / "edited_plugin.py"
    module.write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = f'version: 1\nservices:\n  echo: {{upstream: "{upstream.url}", public: true}}\n'
    running = await gateway(text + "plugins: [{use: 'edited_plugin:Mine', as: mine}]\n")

    async def notes() -> tuple[str, ...]:
        outcome = await running.host.reloader.reload("test")
        assert outcome.error is None
        return outcome.notes

    assert await notes() == ()
    module.write_text(SOURCE + "# another line\n")
    told = "plugin 'mine' changed on disk: restart to run it"
    for _ in range(2):
        assert await notes() == (told,)
    assert caplog.text.count(told) == 2
    sys.modules.pop("edited_plugin")
