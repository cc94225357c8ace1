"""Fixtures for pytest, found by its entry point: `backend` and `brain`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    # Imported by every run of pytest where the gateway is installed: nothing heavy before its use.
    from proxy.testing.backend import Backend
    from proxy.testing.gateway import Brain

MakeBrain = Callable[..., "Brain"]


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A real upstream on loopback: `backend.url`, `backend.seen`, `backend.answer(…)`."""
    from proxy.testing.backend import Backend

    with Backend() as running:
        yield running


@pytest.fixture
def brain(tmp_path: Path) -> Iterator[MakeBrain]:
    """Run real gateways: `brain(yaml, NAME="value of ${NAME}")`, stopped after the test.

    Each has a folder of its own below `tmp_path`, unless `folder` is given.
    """
    from proxy.testing.gateway import Brain

    with ExitStack() as stack:
        made = 0

        def make(text: str, *, folder: Path | None = None, **environment: str) -> Brain:
            nonlocal made
            own = folder or tmp_path / f"brain{made}"
            own.mkdir(parents=True, exist_ok=True)
            made += 1
            return stack.enter_context(Brain(text, own, environment=environment))

        yield make
