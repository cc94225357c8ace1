"""What is taken out of lines, and what stays readable."""

from __future__ import annotations

import pytest

from proxy.redaction import Redaction

KEY = "s3same-0p3n-d00r"


@pytest.mark.parametrize(
    ("value", "line", "shown"),
    [
        (KEY, f"sent Authorization: Token {KEY}", "sent Authorization: Token ********"),
        (KEY, f'{{"headers": {{"X-Key": "{KEY}"}}}}', '{"headers": {"X-Key": "********"}}'),
        (KEY, f"GET /bot{KEY}/x?k={KEY}&a=1", f"GET /bot{KEY}/x?k=********&a=1"),
        (
            f"redis://user:{KEY}@store.internal/0",
            f"{KEY} at store.internal",
            "******** at store.internal",
        ),
        (
            "correct-horse-battery-staple",
            "correct-horse-battery-staple!",
            "correct-horse-battery-staple!",
        ),
        ("correct-horse-battery-staple", "'correct-horse-battery-staple'", "'********'"),
        ("short1", "short1", "short1"),
        ("portal-user", "portal-user", "portal-user"),
    ],
)
def test_words_of_secrets_are_hidden_and_names_are_not(value: str, line: str, shown: str) -> None:
    redaction = Redaction()
    redaction.add([value])
    assert redaction.hidden(line) == shown
    redaction.remove([value])
    assert redaction.hidden(line) == line


def test_what_several_hold_is_hidden_until_the_last_lets_go() -> None:
    redaction = Redaction()
    redaction.add([KEY])
    redaction.add([KEY])
    redaction.remove([KEY])
    assert KEY not in redaction.hidden(KEY)
    redaction.remove([KEY])
    redaction.remove([KEY])
    assert redaction.hidden(KEY) == KEY


def test_it_shows_nothing_of_what_it_knows() -> None:
    redaction = Redaction()
    redaction.add([KEY])
    assert repr(redaction) == "<Redaction words=1>"
