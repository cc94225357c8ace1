"""The stores of a file, as plugins ask them."""

from __future__ import annotations

from proxy.errors import ConfigError
from proxy.ports.secrets import BoundSecret, SecretRef


class NoStores:
    """What a file without a section `secrets` has."""

    async def bind(self, reference: SecretRef) -> BoundSecret:
        """Raise ConfigError: there is nowhere to look."""
        raise ConfigError(f"the secret {reference} is kept nowhere: the file names no store")
