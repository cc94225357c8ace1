"""Is a stop of the loop seen, and laid to the time in which it was?"""

import asyncio
import time
from pathlib import Path

import pytest

from bench import ticker


def test_a_stop_is_written_with_its_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gaps = tmp_path / "gaps"

    async def stop_once() -> tuple[float, float]:
        await asyncio.sleep(0.05)
        began = time.monotonic()
        time.sleep(0.08)
        await asyncio.sleep(0.02)
        return began, time.monotonic()

    monkeypatch.setattr(asyncio.Runner, "run", asyncio.Runner.run)  # put back afterwards
    ticker.install(gaps)
    with asyncio.Runner() as runner:
        began, ended = runner.run(stop_once())
    assert 0.08 <= ticker.longest_gap(gaps, began, ended) < 0.5
    assert ticker.longest_gap(gaps, ended + 1, ended + 2) == 0
