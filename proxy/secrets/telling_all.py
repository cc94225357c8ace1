"""What several processes tell of the secrets that they keep, as one would.

Each asks the stores for itself: of each path and of each store the worst is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxy.secrets.telling import STATES, Told, rank


def told_of_all(answers: Iterable[Told], most: int) -> Told:
    """Return one answer of several, at least one; `versions` of a path has all that are in use."""
    found = list(answers)
    stores = _by(("name",), (each for one in found for each in one["stores"]))
    paths = _by(("store", "path"), (each for one in found for each in one["secrets"]))
    secrets = [_path_of_all(each) for each in paths]
    secrets.sort(key=lambda row: rank(row["state"], row["path"], bound=bool(row["bound"])))
    return {
        "stores": [_store_of_all(each) for each in stores],
        "secrets": secrets[:most],
        "matching": max(len(secrets), *[one["matching"] for one in found]),
    }


def _by(keys: tuple[str, ...], rows: Iterable[Told]) -> Iterator[list[Told]]:
    groups: dict[tuple[str, ...], list[Told]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    yield from groups.values()


def _store_of_all(told: list[Told]) -> Told:
    questions: dict[str, int] = {}
    for each in told:
        for outcome, count in each["questions"].items():
            questions[outcome] = questions.get(outcome, 0) + count
    return {
        "name": told[0]["name"],
        "why": next((each["why"] for each in told if each["why"] is not None), None),
        "token_left": _least(told, "token_left"),
        **{key: _sum(told, key) for key in ("logins", "renewals")},
        "questions": questions,
        **{key: _sum(told, key) for key in ("paths", "leases", "in_trouble")},
    }


def _path_of_all(told: list[Told]) -> Told:
    worst = min(told, key=lambda each: STATES.index(each["state"]))
    versions = sorted({each["version"] for each in told if each["version"] is not None})
    ages = [each["age"] for each in told if each["age"] is not None]
    return {
        **worst,
        "bound": sorted({field for each in told for field in each["bound"]}),
        "version": versions[0] if versions else None,
        **({"versions": versions} if len(versions) > 1 else {}),
        "age": max(ages, default=None),
        "again_in": _least(told, "again_in"),
        "lease_left": _least(told, "lease_left"),
        "error": next((each["error"] for each in told if each["error"] is not None), None),
    }


def _least(told: list[Told], key: str) -> float | None:
    return min((each[key] for each in told if each[key] is not None), default=None)


def _sum(told: list[Told], key: str) -> int | None:
    known = [each[key] for each in told if each[key] is not None]
    return sum(known) if known else None
