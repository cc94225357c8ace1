"""How diagnostics are shown."""

import json
from typing import Any

import pytest

from proxy.config.codes import Code
from proxy.config.diagnostics import Diagnostic, Report, Severity, nearest
from proxy.config.load import InvalidConfig, load_or_raise
from proxy.config.render import MAX_LINE, render_github, render_json, render_text
from proxy.config.source import Source, Span
from proxy.errors import ConfigError


def shown(text: str, line: int, column: int, length: int = 1, hint: str | None = None) -> list[str]:
    span = Span(Source("f.yaml", text), line, column, length)
    found = Diagnostic(Code.SYNTAX, Severity.ERROR, "wrong", span, hint)
    return render_text([found], ["f.yaml"], 0).split("\n")


def test_the_caret_stands_under_the_words_with_the_hint_beside_it() -> None:
    assert shown("a: 1\nbcd: 2", 2, 1, 3, "did you mean 'x'?") == [
        "error[BG003]: wrong",
        " --> f.yaml:2:1",
        "  |",
        "2 | bcd: 2",
        "  | ^^^ did you mean 'x'?",
        "1 error in f.yaml (0 services)",
    ]


def test_the_margin_is_as_wide_as_the_line_number() -> None:
    lines = shown("\n" * 40 + "    timout: 1", 41, 5, 6)
    assert lines[1:5] == ["  --> f.yaml:41:5", "   |", "41 |     timout: 1", "   |     ^^^^^^"]


def test_tabs_before_the_caret_stay_tabs() -> None:
    assert shown("\t\tx", 1, 3)[3:5] == ["1 | \t\tx", "  | \t\t^"]


def test_a_long_line_is_cut_around_the_caret() -> None:
    line = "a" * 500 + "X" + "b" * 500
    shown_line, caret = shown(line, 1, 501)[3:5]
    assert len(shown_line) == MAX_LINE + len("1 | ")
    assert shown_line[caret.index("^")] == "X"


def test_a_caret_longer_than_the_line_ends_with_it() -> None:
    assert shown("abc", 1, 2, 99)[4] == "  |  ^^"
    assert shown("abc", 1, 9, 9)[4] == "  |    ^"


def test_control_characters_are_never_shown() -> None:
    assert "\x1b" not in "".join(shown("a\x1b[2Jb", 1, 1))


def test_a_whole_file_has_no_caret() -> None:
    assert shown("", 0, 0, 0, hint="begin") == [
        "error[BG003]: wrong",
        "  --> f.yaml",
        "   = begin",
        "1 error in f.yaml (0 services)",
    ]


def test_lines_are_counted_as_the_parser_counts_them(write: Any) -> None:
    text = "version: 1\r\nx-a: 'a\u2028b\x85c'\rlog: {level: loud}\n"
    found = write.text(text).diagnostics[0]
    assert found.span.source.lines[found.span.line - 1].startswith("log")


def test_diagnostics_come_in_the_order_of_files_and_lines_and_once() -> None:
    report, first, second = Report(), Source("a", order=0), Source("b", order=1)
    for span in (Span(second, 1, 1), Span(first, 2, 1), Span(first, 1, 9), Span(first, 2, 1)):
        report.error(Code.SYNTAX, "x", span)
    assert [str(found.span) for found in report] == ["a:1:9", "a:2:1", "b:1:1"]


def test_a_warning_does_not_fail() -> None:
    report = Report()
    report.warn(Code.TRUST, "x", Span(Source("a"), 1, 1))
    assert (len(report), report.failed) == (1, False)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("timout", "did you mean 'timeouts'?"),
        ("TIMEOUTS", "did you mean 'timeouts'?"),
        ("zzz", None),
        ("x" * 100_000, None),
    ],
)
def test_the_nearest_known_word_is_suggested(word: str, hint: str | None) -> None:
    assert nearest(word, ["timeouts", "limits"]) == hint


def test_json_has_every_part(write: Any) -> None:
    loaded = write.text("version: 1\nlog: {level: inf}\nservices: {}\n")
    told = json.loads(render_json(loaded.diagnostics, loaded.files, loaded.services))
    assert told == {
        "diagnostics": [
            {
                "code": "BG102",
                "severity": "error",
                "message": "'log.level': expected debug, info, warning or error",
                "hint": "did you mean 'info'?",
                "file": "routes.yaml",
                "line": 2,
                "column": 14,
                "length": 3,
            }
        ],
        "files": ["routes.yaml"],
        "services": 0,
    }


def test_github_gets_one_escaped_line_for_each() -> None:
    span = Span(Source("f,1.yaml"), 0, 0)
    found = Diagnostic(Code.SYNTAX, Severity.WARNING, "100%\nsure", span, "really")
    told = "::warning file=f,1.yaml,line=1,col=1,title=BG003::100%25%0Asure (really)"
    assert render_github([found, found]) == f"{told}\n{told}"


def test_a_bad_file_can_be_raised_with_all_that_is_wrong(write: Any, catalog: Any) -> None:
    write.file("routes.yaml", "version: 1\nlog: {level: x}\n")
    with pytest.raises(InvalidConfig, match="BG102") as caught:
        load_or_raise(["routes.yaml"], environment={}, catalog=catalog)
    assert isinstance(caught.value, ConfigError)
    assert len(caught.value.diagnostics) == 1
    write.file("routes.yaml", "version: 1\n")
    assert load_or_raise(["routes.yaml"], environment={}, catalog=catalog).config is not None


def test_a_path_that_a_pattern_refuses_is_told_what_was_expected(write: Any) -> None:
    found = write.errors(
        "version: 1\nservices:\n  a:\n    upstream: http://a\n    public: true\n"
        "    routes: [{match: {path: /x/*}, rewrite: x}]\n"
    )
    assert [each.partition("expected ")[2] for each in found] == [
        "a path that begins with '/' and holds no '?', no '#' and no space"
    ]
