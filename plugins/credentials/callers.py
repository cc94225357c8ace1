"""Whose secret a request takes: the values of its caller, and the paths that they lead to."""

from __future__ import annotations

from collections.abc import Sequence

from proxy import GatewayError, Principal, SecretPath, value_in_path

Key = tuple[str, ...] | str
"""The values of a caller that its paths are made of; one alone stands for itself."""


class Callers:
    """The paths of one entry, in the order in which they are tried."""

    def __init__(self, paths: Sequence[SecretPath]) -> None:
        self.paths = tuple(paths)
        self.names = tuple(dict.fromkeys(name for one in self.paths for name in one.names))
        self._readers = [value_in_path(name) for name in self.names]
        self._only = self._readers[0] if len(self._readers) == 1 else None
        self._tenant = self.names == ("principal.tenant",)

    def __str__(self) -> str:
        return " or ".join(path.text for path in self.paths)

    def key(self, principal: Principal | None) -> Key:
        """Return a caller's values. Raises GatewayError for one that is missing, or no text."""
        # By far the most paths name the tenant alone.
        if self._tenant and principal is not None and type(tenant := principal.tenant) is str:
            return tenant
        try:
            if principal is None:
                return self._nobody()
            if self._only is not None:
                return self._only(principal)
            return tuple([read(principal) for read in self._readers])
        except LookupError as missing:
            raise GatewayError("claim_missing", log=str(missing)) from None
        except ValueError as error:
            raise GatewayError("claim_invalid", log=str(error)) from None

    def _nobody(self) -> Key:
        raise LookupError(f"nobody is known, for ${{{self.names[0]}}}")

    def spelt(self, key: Key) -> list[str]:
        """Return a caller's paths. Raises GatewayError for a value that is no name: nothing is asked."""
        each = (key,) if isinstance(key, str) else key
        values = dict(zip(self.names, each, strict=True))
        try:
            return [path.at(values) for path in self.paths]
        except ValueError as error:
            raise GatewayError("claim_invalid", log=str(error)) from None
