"""What a schema can't say of a list of keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugins.api_key.ends import end_of
from plugins.api_key.keys import Entry, digests_of
from proxy import Problems


def check_keys(entries: Sequence[Entry], now: float, problems: Problems, at: str = "") -> None:
    """Report what is there twice, ends that can't be read, and keys that have ended.

    `at` is what the places of the entries begin with, such as `keys.`.
    """
    names: set[str] = set()
    digests: set[Any] = set()
    for index, entry in enumerate(entries):
        if entry["name"] in names:
            problems.add(f"{at}{index}.name", f"two keys are named '{entry['name']}'")
        names.add(entry["name"])
        for digest in digests_of(entry):
            known = digest.lower() if isinstance(digest, str) else digest
            if known in digests:
                problems.add(f"{at}{index}.sha256", "this digest is there twice")
            digests.add(known)
        _check_end(entry, f"{at}{index}.expires", now, problems)


def _check_end(entry: Entry, option: str, now: float, problems: Problems) -> None:
    try:
        end = end_of(entry)
    except (ValueError, OverflowError):
        problems.add(
            option,
            "expected a date or a date and time with an offset",
            hint="write 2027-01-31 or 2027-01-31T12:00:00Z",
        )
        return
    if end is not None and end <= now:
        problems.warn(option, f"the key '{entry['name']}' has expired: nobody gets in with it")
