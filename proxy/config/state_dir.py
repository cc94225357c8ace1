"""Where `gateway.state_dir` is, in files that may be too broken to be loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping as Environment
from collections.abc import Sequence
from pathlib import Path

from proxy.config.environment import BadReference, expand
from proxy.config.files import MAX_BYTES
from proxy.config.parse import parse_as_far
from proxy.config.source import Source
from proxy.config.tree import Scalar, find

_KEY = ("gateway", "state_dir")
_LINE = re.compile(
    r"^[ \t]+state_dir:[ \t]+(?P<quote>[\"']?)(?P<value>\S.*?)(?P=quote)(?:[ \t]+#.*)?$",
    re.MULTILINE,
)


def state_dir_of(files: Sequence[str], environment: Environment[str, str]) -> str | None:
    """Return the folder that the last of `files` with the key names, None where none tells.

    What stands before a mistake in YAML is read as ever; behind it, only a line of its own counts.
    """
    for name in reversed(files):
        source = Source(name, _text(name))
        given = _parsed(source, environment)
        if given is None:
            given = _line(source, environment)
        if given:
            return str(source.folder / given)
    return None


def _text(name: str) -> str:
    try:
        if not Path(name).is_file():
            return ""
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return ""


def _parsed(source: Source, environment: Environment[str, str]) -> str | None:
    """Return what the key says, "" for what is no folder, None where the key is not reached."""
    root = parse_as_far(source, environment)
    found = None if root is None else find(root, _KEY)
    if not isinstance(found, Scalar):
        return None
    if found.template is not None:
        return found.expanded
    # With a reference in it, it names a variable that is not set.
    return found.value if isinstance(found.value, str) and "${" not in found.value else ""


def _line(source: Source, environment: Environment[str, str]) -> str | None:
    found = _LINE.search(source.text)
    if found is None:
        return None
    try:
        return expand(found["value"], environment).value
    except BadReference:
        return None
