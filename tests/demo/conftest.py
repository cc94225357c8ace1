"""The stand-ins on real sockets, and a client that changes nothing of what they answer."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession, DummyCookieJar

from proxy.demo import StandIns


@pytest.fixture
async def stand_ins() -> AsyncIterator[StandIns]:
    services = StandIns()
    await services.start()
    yield services
    await services.close()


@pytest.fixture
def address(stand_ins: StandIns) -> Callable[[str], str]:
    """The base address of a service by its variable without `_URL`: `address("LAGO")`."""
    environment = stand_ins.environment()
    return lambda service: environment[f"{service}_URL"]


@pytest.fixture
def credential() -> dict[str, str]:
    """What the client sends with each request, for services that ask for it; a module may replace it."""
    return {}


@pytest.fixture
async def client(credential: dict[str, str]) -> AsyncIterator[ClientSession]:
    async with ClientSession(
        headers=credential,
        auto_decompress=False,
        cookie_jar=DummyCookieJar(),
        skip_auto_headers=["Accept-Encoding"],
    ) as session:
        yield session
