"""Files to ask about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.explaining.kit import Asked


@pytest.fixture
def of(tmp_path: Path) -> Callable[..., Asked]:
    """Return who can be asked about a file: `await of(yaml, NAME="value").told("GET /x")`."""

    def make(text: str, **environment: str) -> Asked:
        return Asked(tmp_path / "routes.yaml", text, environment)

    return make
