"""The kit that plugin tests are made with."""

from collections.abc import AsyncIterator

import pytest
from plugin_kit import Kit


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    made = Kit()
    yield made
    await made.close()
