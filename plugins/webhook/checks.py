"""What the schema can't say of `webhook`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
            problems.add("provider", f"'{provider}' needs the option '{option}'")
        elif given and not needs:
            problems.add(option, f"'{provider}' has no use for it", hint="leave it out")


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
