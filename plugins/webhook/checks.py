"""What the schema can't say of `webhook`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from plugins.webhook.providers import CUSTOM, SALEOR
from plugins.webhook.schemes import Scheme, parts_of
from proxy import Problems

_LONGEST_REPLAY = 86_400
_LONGEST_TOLERANCE = 3_600
_LARGEST = 16 * 1024 * 1024


def check_needs(options: Mapping[str, Any], problems: Problems) -> None:
    """Report what a provider needs and lacks, or has no use for."""
    provider = options["provider"]
    needed = {
        "secrets": provider != SALEOR,
        "jwks_uri": provider == SALEOR,
        CUSTOM: provider == CUSTOM,
    }
    for option, needs in needed.items():
        given = options.get(option) is not None
        if needs and not given:
            message = f"'{provider}' needs the option '{option}'"
            problems.add("provider", message, hint=_HINTS[option])
        elif given and not needs:
            problems.add(option, f"'{provider}' has no use for it", hint="leave it out")


_HINTS = {
    "secrets": "such as secrets: [{secret: integrations/stripe, field: webhook_secret}]",
    "jwks_uri": "such as jwks_uri: https://shop.example.com/.well-known/jwks.json",
    CUSTOM: "such as hmac: {header: X-Signature, prefix: sha256=}",
}


def check_address(url: str, problems: Problems) -> None:
    """Report keys that anybody on the way could replace."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_near(parts.hostname or ""):
        problems.add(
            "jwks_uri", "keys that come over plain http may be anybody's", hint="write https"
        )


def _is_near(host: str) -> bool:
    """Tell whether a host is one of this machine or network by its name."""
    if re.fullmatch("[a-z0-9-]+", host):
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


def check_scheme(scheme: Scheme, problems: Problems) -> None:
    """Report a way to sign that can't be meant."""
    try:
        parts_of(scheme.payload)
    except ValueError as error:
        problems.add(f"{CUSTOM}.payload", str(error), hint="such as '{timestamp}.{body}'")
        return
    if scheme.timed and scheme.timestamp_header is None:
        problems.add(f"{CUSTOM}.payload", "nothing says which header holds the timestamp")
    if scheme.timestamp_header is not None and not scheme.timed:
        problems.add(
            f"{CUSTOM}.timestamp_header",
            "a time that is not signed proves nothing",
            hint="have '{timestamp}' in 'payload', or leave it out",
        )


def check_bounds(
    tolerance: float, replay: float | None, most: int, problems: Problems, *, timed: bool
) -> None:
    """Report what would hold too long or too much, or too short to be of use."""
    if tolerance > _LONGEST_TOLERANCE:
        problems.add("tolerance", "1h at most", hint="replays are good for so long")
    if replay is not None and replay > _LONGEST_REPLAY:
        problems.add("replay", "24h at most")
    if timed and replay is not None and replay < 2 * tolerance:
        hint = "leave it out: then it is long enough"
        problems.warn("replay", "a delivery is forgotten before its time has passed", hint=hint)
    if most > _LARGEST:
        problems.add("max_body", "16MiB at most")
