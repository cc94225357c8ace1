"""How the gateway as a whole fares: whether it ends, and how its reloads went."""

from __future__ import annotations

from collections import Counter


class Ledger:
    """Kept once for a gateway, however many processes serve for it."""

    def __init__(self) -> None:
        self.draining = False
        self.reloads: Counter[str] = Counter()
        self.last_error: str | None = None
        self.loaded_at = 0.0
        self.apart: str | None = None
        """What serves instead of files that were refused at the start."""
        self.checks: dict[str, str] = {}
        """What else is not well with the process itself, by the name that /ready has for it."""

    def count_reload(self, error: str | None) -> None:
        """Remember how a reload ended, for /ready, status and metrics."""
        self.reloads["refused" if error else "ok"] += 1
        self.last_error = error

    def count_kept(self) -> None:
        """Count the loading of a kept revision, which says nothing of the files."""
        self.reloads["ok"] += 1

    def process_checks(self) -> dict[str, str]:
        """Return the checks of /ready that need no snapshot."""
        config = "the last reload was refused" if self.last_error else "ok"
        if self.last_error and self.apart:
            first = self.last_error.partition("\n")[0]
            config = f"{self.apart}, the files are refused: {first}"
        return {"config": config, **self.checks}
