"""When a certificate ends, read from its file, to the second of what it was made with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from proxy.server.certificate import expires_at

WHENS = [
    datetime(2030, 2, 28, 23, 59, 59, tzinfo=UTC),
    datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2050, 1, 1, tzinfo=UTC),  # from here on with four digits of the year
    datetime(2161, 6, 1, 12, tzinfo=UTC),
]


@pytest.mark.parametrize("when", WHENS, ids=str)
@pytest.mark.parametrize("kind", list(trustme.KeyType), ids=str)
def test_it_is_read_to_the_second(when: datetime, kind: trustme.KeyType, tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("gateway.test", not_after=when, key_type=kind)
    path = tmp_path / "cert.pem"
    path.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    assert expires_at(str(path)) == when.timestamp()


def test_of_a_chain_it_is_that_of_the_first(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("gateway.test", not_after=WHENS[0])
    path = tmp_path / "chain.pem"
    leaf_pem = leaf.cert_chain_pems[0].bytes()
    path.write_bytes(b"# ours\r\n" + leaf_pem + authority.cert_pem.bytes())
    assert expires_at(str(path)) == WHENS[0].timestamp()
    root = tmp_path / "root.pem"
    root.write_bytes(authority.cert_pem.bytes())
    known = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    assert expires_at(str(root)) == known.not_valid_after_utc.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAgEB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMAIwAA==\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_has_no_end(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_text(text)
    assert expires_at(str(path)) is None


def test_a_file_that_is_not_there_has_no_end(tmp_path: Path) -> None:
    assert expires_at(str(tmp_path / "none.pem")) is None
