"""How a provider signs: which header, what it signs, and how both are written."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from proxy import Unauthenticated

SIZES = {"sha256": 32, "sha512": 64}
"""The bytes of a signature."""

LONGEST = 4096
MOST = 10
"""A header is no longer, and has no more signatures: each costs a comparison."""

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_FORM = re.compile(r"([^{}]*?)(?:\{timestamp\}([^{}]*))?\{body\}([^{}]*)")


def invalid(why: str) -> Unauthenticated:
    """Return the error for a signature that is none of this provider's. `why` is for the log."""
    return Unauthenticated("signature_invalid", log=why)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request brings to be checked. `timestamp` is text, as it was signed, None for none.

    `protected` and `kid` are those of a JWS: its header as it was signed, the name of its key.
    """

    signatures: Sequence[bytes]
    timestamp: str | None = None
    protected: str = ""
    kid: str | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """An HMAC over what `payload` says (RFC 2104), in `header`.

    `encoding` is hex or base64, `prefix` stands before the signature. The timestamp, in seconds since
    1970, is in `timestamp_header`; with `elements` it is the element `t` of the header itself, and
    each element `v1` is a signature, as Stripe writes it.
    """

    header: str
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    payload: str = "{body}"
    timestamp_header: str | None = None
    elements: bool = False

    @property
    def timed(self) -> bool:
        """Whether a time is signed."""
        return "{timestamp}" in self.payload

    def read(self, values: Sequence[str], timestamps: Sequence[str]) -> Signed:
        """Return what stands in the headers. Raises Unauthenticated for another form."""
        if len(values) != 1 or len(values[0]) > LONGEST:
            raise invalid("the signature's header is there twice, or too long")
        if self.elements:
            return self._elements(values[0])
        if self.timed and len(timestamps) != 1:
            raise invalid("the timestamp's header is missing, or there twice")
        timestamp = _timestamp(timestamps[0]) if self.timed else None
        given = values[0].strip()
        if not given.startswith(self.prefix):
            raise invalid("the signature lacks its prefix")
        return Signed([self._decoded(given[len(self.prefix) :])], timestamp)

    def _elements(self, value: str) -> Signed:
        pairs = [part.strip().partition("=") for part in value.split(",")]
        times = [text for name, _, text in pairs if name == "t"]
        given = [text for name, _, text in pairs if name == "v1"]
        if len(times) != 1 or not 0 < len(given) <= MOST:
            raise invalid("the header lacks its one time, or its signatures")
        return Signed([self._decoded(text) for text in given], _timestamp(times[0]))

    def _decoded(self, text: str) -> bytes:
        decoded = _from_hex(text) if self.encoding == "hex" else _from_base64(text)
        if decoded is None or len(decoded) != SIZES[self.algorithm]:
            raise invalid("the signature is cut short, or written otherwise")
        return decoded

    def signed_bytes(self, signed: Signed, body: bytes) -> bytes:
        """Return the bytes that the signature is of."""
        if self.payload == "{body}":
            return body
        before, between, after = parts_of(self.payload)
        time = "" if signed.timestamp is None else signed.timestamp
        return f"{before}{time}{between}".encode() + body + after.encode()


def parts_of(payload: str) -> tuple[str, str, str]:
    """Return what stands around the timestamp and the body. Raises ValueError for another form."""
    found = _FORM.fullmatch(payload)
    if found is None:
        raise ValueError("expected '{body}' once, and at most one '{timestamp}' before it")
    return found[1], found[2] or "", found[3]


def _timestamp(text: str) -> str:
    if not _TIMESTAMP.fullmatch(text):
        raise invalid("the timestamp is no number of seconds")
    return text


def _from_hex(text: str) -> bytes | None:
    if not _HEX.fullmatch(text) or len(text) % 2:
        return None
    return bytes.fromhex(text)


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeError, binascii.Error):
        return None
