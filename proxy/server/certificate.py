"""Until when the listener's certificate is good, read without a library for certificates."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

_SEQUENCE = 0x30
_VERSION = 0xA0
_UTC_TIME = 0x17

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def expires_at(path: str) -> float | None:
    """Return when the first certificate of a PEM file ends, in seconds since 1970.

    The first is the one that clients are shown (RFC 8446, 4.4.2). None where it can't be read: what
    can't be served was refused before, and this is for the operator alone.
    """
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
        begin = text.index(_BEGIN)
        pem = text[begin : text.index(_END, begin) + len(_END)]
        return _not_after(ssl.PEM_cert_to_DER_cert(pem))
    except (OSError, ValueError, IndexError):
        return None


def _not_after(certificate: bytes) -> float:
    """Walk to `validity.notAfter` (RFC 5280, 4.1). Raises ValueError, IndexError for another form."""
    fields = _inner(_inner(certificate, _SEQUENCE), _SEQUENCE)
    if fields[0] == _VERSION:
        fields = _behind(fields)
    for _ in ("serial number", "algorithm", "issuer"):
        fields = _behind(fields)
    not_after = _behind(_inner(fields, _SEQUENCE))
    return _seconds(not_after[0], _inner(not_after, not_after[0]).decode("ascii"))


def _seconds(tag: int, text: str) -> float:
    if tag == _UTC_TIME:
        # Two digits of a year: below 50 they are of this century (RFC 5280, 4.1.2.5.1).
        text = ("20" if text < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _measure(der: bytes) -> tuple[int, int]:
    """Return where the first value begins and ends (X.690, 8.1.3)."""
    size = der[1]
    if size < 0x80:
        return 2, 2 + size
    begin = 2 + (size & 0x7F)
    return begin, begin + int.from_bytes(der[2:begin], "big")


def _inner(der: bytes, tag: int) -> bytes:
    if der[0] != tag:
        raise ValueError("not the form of a certificate")
    begin, end = _measure(der)
    return der[begin:end]


def _behind(der: bytes) -> bytes:
    return der[_measure(der)[1] :]
