"""What all tests share: the production loop, and a watch for calls that would block it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator

import pytest
import uvloop
from blockbuster import BlockBuster, blockbuster_ctx

LONGEST_ID = 40
"""Characters of a parameter that may stand in a test's name."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run async tests on the loop that serves in production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    """Make a blocking call inside the loop an error, in tests below `functional`."""
    if "functional" not in request.node.path.parts:
        yield None
        return
    with blockbuster_ctx(["proxy", "plugins"]) as found:
        yield found


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long values by their argument: a test's name is read, and is the same in every process."""
    return argname if isinstance(val, str | bytes) and len(val) > LONGEST_ID else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Spell what no text may hold: what a test has logged goes from one process to another."""
    report = yield
    report.sections = [(name, _sendable(text)) for name, text in report.sections]
    return report


def _sendable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
