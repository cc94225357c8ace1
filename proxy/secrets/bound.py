"""One value of a store as a plugin holds it."""

from __future__ import annotations

from proxy.errors import Unavailable
from proxy.ports.secrets import SecretRef


class Bound:
    """A `BoundSecret`. Nothing that shows it shows its value."""

    __slots__ = ("_value", "_why", "reference", "version")

    def __init__(self, reference: SecretRef, value: str) -> None:
        self.reference = reference
        self.version = 1
        self._value: str | None = value
        self._why = ""

    def __repr__(self) -> str:
        state = f"version={self.version}" if self._value is not None else self._why
        return f"<BoundSecret {self.reference} {state}>"

    @property
    def current(self) -> str:
        """The value now. Raises Unavailable, `secret_unavailable`, where it was taken away."""
        if self._value is None:
            message = f"secret {self.reference}: {self._why}"
            raise Unavailable(message, code="secret_unavailable")
        return self._value

    @property
    def why(self) -> str | None:
        """Why there is no value, None where there is one."""
        return self._why if self._value is None else None

    def renew(self, value: str) -> bool:
        """Take the store's value. Say whether that is another one than before."""
        if value == self._value:
            return False
        self.version += 1
        self._value = value
        return True

    def evict(self, why: str) -> bool:
        """Forget the value. Say whether there was one, or another reason."""
        if self._value is None and self._why == why:
            return False
        if self._value is not None:
            self.version += 1  # what was made of it is to be forgotten too
        self._value, self._why = None, why
        return True

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
