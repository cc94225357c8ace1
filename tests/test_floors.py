"""Who may import whom: the floors of the tree, read from the source itself.

Imports go down only. Siblings on one floor do not import each other, with the exceptions that
`SIBLINGS` names and gives a reason for. Imports for type checking alone are free inside `proxy`:
they bind nothing when it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import proxy

ROOT = Path(__file__).parent.parent

FLOORS = (
    (
        "codes errors headers paths templates units timer tasks forwarded rewriting logs log_lines "
        "text version resources output redaction"
    ),
    "plugin ports",
    "config",
    "upstream server secrets",
    "runtime",
    "revisions",
    "admin control watch demo explaining doctoring scaffold",
    "workers",
    "hosting",
    "testing",
    "cli __main__",
)
FLOOR = {part: number for number, row in enumerate(FLOORS) for part in row.split()}

SIBLINGS = {
    # The raw relay pumps an upstream's body and the tunnel joins two connections: they take what
    # is in upstream/ by its own types, since a protocol between would cost a call for each chunk.
    ("server", "upstream"),
    # What a file names of a store, and what a plugin gets of it, are the port's own types.
    ("plugin", "ports"),
    ("__main__", "cli"),  # `python -m proxy` is the command
}

FOREIGN = {"aiohttp": 1, "yaml": 2, "hvac": 3, "requests": 3}
"""The lowest floor that knows a library."""

ONLY_IN = {"yaml": "config", "hvac": "secrets", "requests": "secrets"}


def modules(folder: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path, *, typing: bool) -> Iterator[tuple[str, str]]:
    """Yield the modules that a file imports, each with a name taken from it or ""."""
    tree = ast.parse((ROOT / path).read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden and not typing:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            yield from ((node.module or "", alias.name) for alias in node.names)


def part_of(module: str, name: str = "") -> str:
    """Return which part of `proxy` an import names: `proxy.config.load` is of `config`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else name


@pytest.mark.parametrize("path", modules("proxy"), ids=str)
def test_imports_go_down_only(path: Path) -> None:
    own = path.parts[1].removesuffix(".py")
    if own == "__init__":
        return
    assert own in FLOOR, f"{path} stands on no floor"
    for module, name in imports(path, typing=False):
        root = module.partition(".")[0]
        assert root != "plugins", f"{path} imports {module}: plugins are found by entry points"
        assert root != "tests", f"{path} imports {module}"
        if root != "proxy":
            continue
        other = part_of(module, name)
        if other == own or (other not in FLOOR and FLOOR[own] > 0):
            continue
        allowed = FLOOR[other] < FLOOR[own] or (own, other) in SIBLINGS
        # On the ground floor everything is one pure function's throw away from everything else.
        allowed = allowed or FLOOR[other] == FLOOR[own] == 0
        assert allowed, f"{path} (floor {FLOOR[own]}) imports {module} (floor {FLOOR[other]})"


@pytest.mark.parametrize("path", modules("proxy"), ids=str)
def test_libraries_stay_on_their_floors(path: Path) -> None:
    own = path.parts[1].removesuffix(".py")
    for module, _ in imports(path, typing=True):
        root = module.partition(".")[0]
        assert FLOOR.get(own, 9) >= FOREIGN.get(root, 0), f"{path} must not know {root}"
        assert own == ONLY_IN.get(root, own), f"{root} is known in {ONLY_IN.get(root)} alone"


@pytest.mark.parametrize("path", modules("plugins"), ids=str)
def test_plugins_use_nothing_but_the_public_list(path: Path) -> None:
    own = path.parts[1]
    for module, name in imports(path, typing=True):
        root, _, rest = module.partition(".")
        if root == "proxy":
            assert not rest, f"{path} imports {module}: only names of `proxy` itself are public"
            assert name in proxy.__all__, f"{path} imports {name}, which is not public"
        if root == "plugins":
            assert rest.partition(".")[0] == own, f"{path} imports another plugin: {module}"
