"""What is measured of a store, for metrics."""

from __future__ import annotations

from proxy.plugin.context import SecretStoreStatus
from proxy.secrets.cache import SecretCache
from proxy.secrets.counting import BOUNDS


def measured(cache: SecretCache) -> SecretStoreStatus:
    """Return the numbers of a store and its cache, from any thread."""
    state, counts, entries = cache.state(), cache.counts, list(cache.entries)
    return SecretStoreStatus(
        name=cache.name,
        up=state.why is None,
        paths=len(entries),
        leases=sum(entry.lease is not None for entry in entries),
        asked={outcome: counts.outcomes[outcome] for outcome in ("read", "renewed", "failed")},
        bounds=BOUNDS,
        counts=tuple(counts.classes),
        total=counts.seconds,
        token_left=state.token_left,
        logins=state.logins,
        renewals=state.renewals,
    )
