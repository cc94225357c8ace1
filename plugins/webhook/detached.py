"""Checks a detached JWS over the raw body (RFC 7515, appendix F; RFC 7797), as Saleor signs."""

from __future__ import annotations

import asyncio
import re
from importlib import import_module
from typing import Any, Protocol

from multidict import CIMultiDictProxy

from plugins.webhook.schemes import LONGEST, Signed, invalid
from proxy import KeySet, PluginContext, jws_bytes, jws_object

ALGORITHM = "RS256"
"""Saleor's only one: what a header names instead is refused, whatever keys there are."""

_DETACHED = re.compile(r"([A-Za-z0-9_-]+)\.\.([A-Za-z0-9_-]+)")
_BRINGS_KEYS = frozenset({"jku", "jwk", "x5c", "x5u"})


WAIT_FOR_KEYS = 2.0
"""Seconds for which a load waits for the first keys; they come behind it else."""


async def fetched_keys(context: PluginContext, url: str) -> KeySet:
    """Return the keys at `url`, which all instances of this process share and keep fresh."""
    keys = context.share(f"keys {url}", lambda: KeySet(context.http, url))
    context.spawn(keys.keep, name=f"keys at {url}", restart=True)
    if keys.trouble() is not None:
        try:
            async with asyncio.timeout(WAIT_FOR_KEYS):
                await keys.fetch()
        except TimeoutError:
            context.logger.warning("the keys at %s take long: they are waited for behind", url)
    return keys


class Found(Protocol):
    """A public key; `key` is joserfc's."""

    @property
    def key(self) -> Any: ...


class Keys(Protocol):
    """The keys of a provider."""

    def find(self, kid: str | None, algorithm: str) -> Found | None:
        """Return the key of that name, None where there is none. Raises Unavailable."""

    async def learn(self) -> bool:
        """Look for new keys, not too often; return whether there are any."""


class DetachedVerifier:
    """Checks a header's signature by the keys that the provider publishes."""

    def __init__(self, header: str, keys: Keys) -> None:
        self._header = header
        self._keys = keys

    def read(self, headers: CIMultiDictProxy[str]) -> Signed:
        """Return what is to be checked. Raises Unauthenticated for what Saleor does not write.

        Its header must say that the body is signed as it is (`"b64": false`). The same keys sign its
        users' access tokens, whose payload is encoded: with such a token, taken apart, any user could
        deliver its payload as a body. `crit` may be absent, as in Saleor's up to now.
        """
        values = headers.getall(self._header)
        found = _DETACHED.fullmatch(values[0]) if len(values[0]) <= LONGEST else None
        if len(values) != 1 or found is None:
            raise invalid("the signature is there twice, or no detached JWS")
        try:
            said, signature = jws_object(found[1]), jws_bytes(found[2])
        except ValueError as error:
            raise invalid(str(error)) from None
        kid = said.get("kid")
        if said.get("alg") != ALGORITHM or not (kid is None or isinstance(kid, str)):
            raise invalid("its header names another algorithm")
        if said.get("b64") is not False or said.get("crit", ["b64"]) != ["b64"]:
            raise invalid("its header says that something else is signed")
        if _BRINGS_KEYS & said.keys():
            raise invalid("its header would bring a key")
        return Signed([signature], protected=found[1], kid=kid)

    async def verify(self, signed: Signed, body: bytes) -> bytes:
        """Return what was signed. Raises Unauthenticated, or Unavailable where no key is known.

        A key may be replaced by one of the same name: what the known one did not sign is checked
        again where there is a new one.
        """
        good = self._is_good(signed, body)
        if not good and await self._keys.learn():
            good = self._is_good(signed, body)
        if not good:
            raise invalid("no key of the provider has signed it")
        return body

    def _is_good(self, signed: Signed, body: bytes) -> bool:
        found = self._keys.find(signed.kid, ALGORITHM)
        if found is None:
            return False
        jws = import_module("joserfc.jws")  # imported when the keys arrived, on a thread
        rs256 = jws.JWSRegistry.algorithms[ALGORITHM]
        content = signed.protected.encode() + b"." + body
        return bool(rs256.verify(content, signed.signatures[0], found.key))
