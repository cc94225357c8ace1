"""Which coding a client likes best (RFC 9110, 12.5.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_MEMBER = re.compile(
    r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*"
    r"(?:;[ \t]*[qQ][ \t]*=[ \t]*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?"
)
_ALIAS = {"x-gzip": "gzip"}
"""Names that mean another's coding (RFC 9110, 8.4.1.3)."""


def preferred(accepted: str, offered: Sequence[str]) -> str | None:
    """Return which of `offered` to use, None for none: the answer goes as it is.

    `accepted` is the value of Accept-Encoding. Among those that the client likes the same, the first
    of `offered` wins, and any of them over `identity`; what the client likes less than `identity` is
    not used. Where it takes nothing that there is, not even `identity`, it gets that all the same.
    """
    weights = _weights(accepted)
    other = weights.get("*", 0.0)
    best, most = None, 0.0
    for name in offered:
        weight = weights.get(name, other)
        if weight > most:
            best, most = name, weight
    return best if most >= weights.get("identity", 0.0) else None


def _weights(accepted: str) -> Mapping[str, float]:
    """Return the weight of each coding that is named; what is malformed names none.

    A coding that is named twice has the lower weight: a refusal is believed.
    """
    weights: dict[str, float] = {}
    for member in accepted.split(","):
        found = _MEMBER.fullmatch(member)
        if found is None:
            continue
        name = found[1].lower()
        name = _ALIAS.get(name, name)
        weight = 1.0 if found[2] is None else float(found[2])
        weights[name] = min(weight, weights.get(name, 1.0))
    return weights
