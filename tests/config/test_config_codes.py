"""The codes of diagnostics: each is used, each is provoked, and its number says how bad it is."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from proxy.config.codes import Code

ROOT = Path(__file__).parents[2]


@cache
def uses() -> tuple[tuple[ast.AST, str], ...]:
    """Return every `Code.X` of the gateway with the call that it is an argument of."""
    return tuple(
        found
        for path in (ROOT / "proxy").rglob("*.py")
        for found in _uses(ast.parse(path.read_text()))
    )


def _uses(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Attribute) and ast.unparse(child.value) == "Code":
                yield node, child.attr


def test_the_gateway_uses_every_code_and_no_other() -> None:
    assert {name for _, name in uses()} == set(Code.__members__)


def test_what_warns_is_3xx_and_what_refuses_is_not() -> None:
    seen = set()
    for node, name in uses():
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        severity = {"warn": "warning", "error": "error"}.get(node.func.attr)
        if severity is not None:
            assert Code[name].severity == severity, name
            seen.add(severity)
    assert seen == {"warning", "error"}


@pytest.mark.parametrize("code", Code)
def test_a_file_of_the_tests_provokes_each_code(code: Code) -> None:
    here = [path for suffix in ("*.txt", "*.py") for path in (ROOT / "tests").rglob(suffix)]
    told = [path for path in here if path != Path(__file__) and "error_codes" not in path.name]
    assert any(code.value in path.read_text() for path in told)


def test_a_code_is_its_number_everywhere() -> None:
    assert str(Code.OPEN) == f"{Code.OPEN}" == Code.OPEN.value == "BG210"
    assert Code("BG210") is Code.OPEN
    assert pickle.loads(pickle.dumps(Code.OPEN)) is Code.OPEN
