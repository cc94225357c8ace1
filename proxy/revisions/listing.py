"""A list of kept revisions as the control socket and `brain revisions --json` give it."""

from __future__ import annotations

from typing import Any

from proxy.revisions.store import Listed


def as_json(state_dir: str, found: Listed) -> dict[str, Any]:
    """Return a list as `brain revisions --json` prints it, but for which one serves."""
    return {
        "state_dir": state_dir,
        "serves": None,
        "revisions": [
            {
                "revision": each.revision,
                "accepted_at": each.accepted,
                "cause": each.cause,
                "services": each.services,
                "files": [str(name) for name in each.files],
                "folder": each.folder,
            }
            for each in found.revisions
        ],
        "damaged": found.damaged,
    }
