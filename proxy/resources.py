"""Files that ship with the code: in the wheel below `proxy/data`, in a checkout at the top."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """Return the path of a shipped file such as `routes.yaml`."""
    package = Path(__file__).parent
    packaged = package / "data" / name
    return packaged if packaged.exists() else package.parent / name
