"""What the tests of stores share: a real OpenBao server a module, and a watch for blocking calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from blockbuster import blockbuster_ctx

from proxy.config.models import VaultAuth, VaultSecrets
from proxy.secrets.vault.store import VaultStore
from tests.functional.baokit import Bao

MakeStore = Callable[..., VaultStore]


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    with Bao() as server:
        yield server


@pytest.fixture
async def vault() -> AsyncIterator[MakeStore]:
    """Make stores that are closed when the test ends: `vault(bao.address, token)`.

    Instead of a token, a `VaultAuth`; further arguments are of `VaultSecrets`.
    """
    made: list[VaultStore] = []

    def make(address: str, auth: str | VaultAuth, **settings: object) -> VaultStore:
        method = auth if isinstance(auth, VaultAuth) else VaultAuth("token", credential=auth)
        made.append(VaultStore(VaultSecrets(address, method, **settings)))  # type: ignore[arg-type]
        return made[-1]

    with blockbuster_ctx(["proxy"]):
        yield make
        for store in made:
            await store.close()
