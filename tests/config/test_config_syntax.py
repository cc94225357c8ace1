"""What is no YAML is told where it begins, with the remedy."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ('a: 1\nb: "foo\nc: 2\n', "2:4", "a quote is opened here and never closed", None),
        ("a: {b: 'foo}\nc: 2\n", "1:8", "a quote is opened here and never closed", None),
        (
            'a: "foo\nb: "bar"\nc: 1\n',
            "1:4",
            "a quote is opened here and not closed on its line",
            "it ends at the next quote, on line 2",
        ),
        (
            'a: {u: "${X:-x}\nb: {v: "${Y}"}\n',
            "1:8",
            "a quote is opened here and not closed on its line",
            "it ends at the next quote, on line 2",
        ),
        (
            "services:\n  orders:http://orders:8000\n  b: http://b\n",
            "2:3",
            "a ':' has no space behind it",
            "write a space after ':'",
        ),
        (
            "services:\n  a: http://a\n  orders:http://orders:8000 # here\n",
            "3:3",
            "a ':' has no space behind it",
            "write a space after ':'",
        ),
        (
            "a: {b: 1\nc: 2\n",
            "1:4",
            "a '{' is opened here and not closed",
            "'}' is missing before line 2",
        ),
        (
            "a:\n  - [1, 2\n  - 3\n",
            "2:5",
            "a '[' is opened here and not closed",
            "']' is missing before line 4",
        ),
        ("a: {b: [1, 2}\n", "1:13", "a ',' or ']' is missing", "the '[' is in line 1, column 8"),
        (
            "a: {\n  b: 1\n  c: 2\n}\n",
            "3:4",
            "a ',' or '}' is missing",
            "the '{' is in line 1, column 4",
        ),
        (
            "s:\n  a: 1\n  - b: 2\n",
            "3:3",
            "this does not fit in the mapping above",
            "remove the '-'",
        ),
        (
            "s:\n  - a: 1\n  b: 2\n",
            "3:3",
            "this does not fit in the list above",
            "check the indentation",
        ),
        ("a: b: c\n", "1:5", "a ':' can't stand here", "quote the text, or check the indentation"),
    ],
)
def test_a_syntax_error_points_at_its_cause(
    write: Any, text: str, place: str, message: str, hint: str | None
) -> None:
    (found,) = write.text(text).diagnostics
    told = (found.code, f"{found.span.line}:{found.span.column}", found.message, found.hint)
    assert told == ("BG003", place, message, hint)


def test_the_caret_of_a_missing_space_is_under_key_and_value(write: Any) -> None:
    (found,) = write.text("services:\n  a: http://a\n  orders:http://o # here\n").diagnostics
    assert found.span.length == len("orders:http://o")


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nservices:\n  orders:http://orders:8000\n",
        "version: 1\nlog: {level:info}\n",
        "version: 1\nservices: {orders:http://orders}\n",
    ],
)
def test_what_yaml_takes_for_one_text_is_told_the_same_way(write: Any, text: str) -> None:
    (found,) = write.text(text).diagnostics
    assert found.hint == "write a space after ':'"


def test_an_unquoted_reference_that_is_not_set_hides_no_unclosed_quote(write: Any) -> None:
    found = write.text('a: {u: "${X}\nb: {v: "${Y}"}\n').diagnostics
    assert [each.code for each in found] == ["BG003", "BG010"]


def test_services_are_not_counted_where_the_file_is_not_read(write: Any) -> None:
    assert write.text("services: {\n").render().endswith("\n1 error in routes.yaml")
    assert write.text("version: 1\nservices: {a: 5}\n").render().endswith("(1 service)")
