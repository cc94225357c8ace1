"""The base image's Python: a copy of the one that runs the tests.

As in the official images it comes without tests and without bytecode. It stands in the root, where
the image's user reaches it wherever the machine keeps its own, and where it may be compiled.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

_LEFT_OUT = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "config-*"),
    "EXTERNALLY-MANAGED",  # Debian's mark: pip would refuse
)


def copy_python(prefix: Path) -> Mapping[str, str]:
    """Put Python below `prefix`, and return the environment without which it does not start."""
    (prefix / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), prefix / "bin/python3")
    library = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=_LEFT_OUT)
    (library / "site-packages").mkdir()
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return {}
    for shared in Path(sysconfig.get_config_var("LIBDIR")).glob("libpython3*.so*"):
        shutil.copy2(shared, library.parent)
    return {"LD_LIBRARY_PATH": str(library.parent)}
