"""What is raised stands in the table, and what stands in the table is raised: read from the source."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from proxy.codes import CODES, Side
from tests.raised import (
    ROOT,
    Raised,
    Unclear,
    fallbacks,
    module_of,
    modules,
    raised,
    raised_in,
)


@pytest.mark.parametrize("place", raised(), ids=str)
def test_a_code_that_is_raised_stands_in_the_table(place: Raised) -> None:
    try:
        codes = place.codes
    except Unclear as unclear:
        pytest.fail(f"{place}: can't tell which code {unclear} is: write it plainly")
    assert codes - CODES.keys() == set()


def test_the_table_has_no_code_that_nothing_raises() -> None:
    assert fallbacks() == {"credentials_invalid", "dependency_unavailable"}
    found = fallbacks().union(*(place.codes for place in raised()))
    assert CODES.keys() - found == set()


def test_codes_are_followed_to_where_they_are_written() -> None:
    """A scan that follows nothing would find nothing wrong."""
    by_way = {
        "cut_at_shutdown",  # a property
        "upstream_write_timeout",  # an attribute, and a parameter before it
        "upstream_tls_timeout",  # a parameter
        "claim_missing",  # a variable
    }
    found = set().union(*(place.codes for place in raised()))
    assert by_way <= found
    assert len(raised()) > 60


def disagreement(place: Raised) -> str | None:
    """Say what a place that brings its own status has otherwise than its row."""
    for row in [CODES[code] for code in place.codes]:
        told = (row.status, row.side, row.retryable)
        if place.kind == "Unauthenticated" and told[:2] != (401, Side.CLIENT):
            return f"{place} answers 401, its row {row.status}"
        if place.kind == "Unavailable" and (row.status, row.retryable) != (503, True):
            return f"{place} answers 503, its row {row.status}"
        if place.kind == "Problem" and told != _of_problem(place):
            return f"{place} says {_of_problem(place)}, its row {told}"
    return None


def _of_problem(place: Raised) -> tuple[int, Side, bool]:
    status, again = place.argument(0, "status"), place.argument(None, "retryable")
    assert isinstance(status, ast.Constant), f"{place}: write the status plainly"
    assert isinstance(status.value, int)
    side = Side.CLIENT if status.value < 500 else Side.GATEWAY
    return status.value, side, again is not None and bool(ast.literal_eval(again))


def test_what_brings_its_own_status_agrees_with_its_row() -> None:
    assert [said for place in raised() if (said := disagreement(place))] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('Problem(403, "origin_refused", "")', False),
        ('Problem(400, "origin_refused", "")', True),
        ('Problem(403, "origin_refused", "", retryable=True)', True),
        ('Unauthenticated("credentials_expired")', False),
        ('Unauthenticated("claim_missing")', True),
        ('Unavailable("")', False),
        ('Unavailable("", code="plugin_failed")', True),
    ],
)
def test_a_status_that_differs_from_the_rows_is_found(text: str, found: bool) -> None:
    (place,) = raised_in(module_of(ROOT / "plugins" / "made.py", text))
    assert (disagreement(place) is not None) == found


@pytest.mark.parametrize("text", ["GatewayError(made())", "GatewayError(nowhere)"])
def test_a_code_that_can_not_be_followed_is_found(text: str) -> None:
    (place,) = raised_in(module_of(ROOT / "plugins" / "made.py", text))
    with pytest.raises(Unclear):
        _ = place.codes


def test_codes_that_are_compared_with_stand_in_the_table() -> None:
    for module in modules():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Compare) or not isinstance(node.left, ast.Attribute):
                continue
            if node.left.attr == "code":
                texts = [
                    each.value
                    for side in node.comparators
                    for each in ast.walk(side)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                ]
                assert set(texts) <= CODES.keys(), f"{module.path}:{node.lineno}"


REAL = ("functional", "upstream", "cli")
"""Tests of these folders run servers, sockets or commands."""


@cache
def texts_of_tests() -> str:
    """Return every text that a test of those folders holds, descriptions left out."""
    here = ROOT / "tests"
    found: list[str] = []
    for path in sorted(path for part in REAL for path in (here / part).rglob("test_*.py")):
        if path.name.startswith("test_error_codes"):
            continue
        tree = ast.parse(path.read_text())
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            str(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and id(node) not in told
        ]
    return "\n".join(found)


@pytest.mark.parametrize("code", CODES)
def test_a_test_provokes_each_code(code: str) -> None:
    assert re.search(rf"(?<![a-z_]){code}(?![a-z_])", texts_of_tests()), (
        f"no test in {REAL} asserts {code!r}: provoke it on a real gateway"
    )
