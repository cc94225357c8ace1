"""The image, built once for all tests of this folder: every step that needs no engine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.dockerfile import stages
from tests.image.kit import ROOT
from tests.image.root import Root

BUILDING = 300
"""Seconds for the tests that may be the first to need the image: packages may have to be fetched."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "image" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(BUILDING))


@pytest.fixture(scope="session")
def image() -> Iterator[Root]:
    """The root as the Dockerfile makes it, then made read-only as compose.yaml asks."""
    # Not pytest's own folder: other users may not enter that, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="brain-image-"))
    folder.chmod(0o755)
    try:
        root = Root(folder)
        root.make_base()
        for stage in stages((ROOT / "Dockerfile").read_text()):
            root.build(stage, ROOT)
        _set_mode(root, "a-w")
        yield root
        _set_mode(root, "u+w")
    finally:
        shutil.rmtree(folder)


def _set_mode(root: Root, change: str) -> None:
    places = [root.folder / "usr", root.path("/opt/brain"), root.path("/etc/brain")]
    subprocess.run(["chmod", "-R", change, *places], check=True)
