"""What an operator asks about the secrets of a process that serves, and has it ask the stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.ports.secrets import SecretError
from proxy.secrets.cache import SecretCache
from proxy.secrets.keeping import SecretsKept
from proxy.secrets.telling import Told, state_of_error, told
from proxy.secrets.telling_all import told_of_all

Asked = Mapping[str, str]

LISTED = 100
"""Paths that are listed where nobody says how many."""

MOST = 10_000
"""Paths that are listed at most: an answer of some megabytes."""


def status(kept: SecretsKept, asked: Asked) -> tuple[int, Told]:
    """Tell of all stores, and of `most` paths that begin with `prefix`, the worst first."""
    try:
        return 200, told(kept.stores.values(), asked.get("prefix", ""), _most(asked))
    except ValueError as error:
        return 400, {"error": str(error)}


def status_of_all(answers: Sequence[Told], asked: Asked) -> Told:
    """Return one answer of those of several processes."""
    return answers[0] if len(answers) == 1 else told_of_all(answers, _most(asked))


def _most(asked: Asked) -> int:
    text = asked.get("most", str(LISTED))
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ValueError(f"most is a number from 1 to {MOST}")
    return int(text)


def stores(kept: SecretsKept) -> list[Told]:
    """Tell of each store why it is not to be had, None where it is."""
    return [{"name": name, "why": cache.state().why} for name, cache in kept.stores.items()]


async def refresh(kept: SecretsKept, asked: Asked) -> tuple[int, Told]:
    """Ask the store for a path now, where it is kept. 404: it is not; 400: in several stores."""
    path, store = asked.get("path", ""), asked.get("store")
    if store is not None and store not in kept.stores:
        return 400, {"error": f"there is no store '{store}'; known: {', '.join(kept.stores)}"}
    caches = [kept.stores[store]] if store is not None else list(kept.stores.values())
    found = [cache for cache in caches if cache.kept(path) is not None]
    if not found:
        return 404, _answer(path, None)
    if len(found) > 1:
        names = " and ".join(cache.name for cache in found)
        return 400, {"error": f"{names} both keep it: name one with --store"}
    return 200, await _refreshed(found[0], path)


async def _refreshed(cache: SecretCache, path: str) -> Told:
    """Say what came of it. The last answer stays in use where the store is away."""
    entry = cache.kept(path)
    before = None if entry is None else entry.secret
    try:
        entry = await cache.refresh(path)
    except SecretError as error:
        return _answer(path, cache.name, state=state_of_error(error), error=str(error))
    assert entry.secret is not None, "a store that has none raises"
    return _answer(
        path,
        cache.name,
        state="stale" if entry.error is not None else "ok",
        error=entry.why,
        version=entry.secret.version,
        changed=entry.secret is not before,
    )


def _answer(
    path: str,
    store: str | None,
    *,
    state: str | None = None,
    error: str | None = None,
    version: int | None = None,
    changed: bool = False,
) -> Told:
    return {
        "path": path,
        "store": store,
        "state": state,
        "version": version,
        "changed": changed,
        "error": error,
    }


def refreshed_of_all(answers: Sequence[Told], _asked: Asked) -> Told:
    """Return one answer of those of several processes: an error, where one of them has any."""
    kept = [each for each in answers if each["store"] is not None] or list(answers[:1])
    worst = next((each for each in kept if each["error"] is not None), kept[0])
    return {**worst, "changed": any(each["changed"] for each in kept), "kept_by": len(kept)}
