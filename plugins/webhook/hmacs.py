"""Checks signatures that are made with a secret which both sides know."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from multidict import CIMultiDictProxy

from plugins.webhook.schemes import Scheme, Signed, invalid
from proxy import BoundSecret, Unavailable


class HmacVerifier:
    """Checks what one provider signs; several secrets live while it moves from one to the next."""

    def __init__(self, scheme: Scheme, secrets: Sequence[BoundSecret]) -> None:
        self._scheme = scheme
        self._secrets = secrets

    def read(self, headers: CIMultiDictProxy[str]) -> Signed:
        """Return what is to be checked. Raises Unauthenticated for what no provider writes."""
        scheme = self._scheme
        timestamps = headers.getall(scheme.timestamp_header, []) if scheme.timestamp_header else []
        return scheme.read(headers.getall(scheme.header), timestamps)

    async def verify(self, signed: Signed, body: bytes) -> bytes:
        """Return what was signed. Raises Unauthenticated where no live secret has signed it.

        All are compared, each in constant time: the time tells nothing of which one was near.
        """
        content = self._scheme.signed_bytes(signed, body)
        good = False
        for key in self._keys():
            made = hmac.digest(key, content, self._scheme.algorithm)
            for signature in signed.signatures:
                good |= hmac.compare_digest(made, signature)
        if not good:
            raise invalid("no signature of it is made with a live secret")
        return content

    def _keys(self) -> list[bytes]:
        keys = [secret.current.encode() for secret in self._secrets]
        if not all(keys):
            # Anybody can sign with it.
            raise Unavailable("a secret of the webhook is empty", code="secret_unavailable")
        return keys
