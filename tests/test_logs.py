"""The gateway's own log: lines that nobody waits for, on a real pipe."""

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.log_lines import JsonFormatter, TextFormatter
from proxy.logs import Logs
from proxy.redaction import SECRETS
from proxy.text import printable

log = logging.getLogger("brain.test")


class Pipe:
    """Stands for stderr; what was written is read when the log is closed."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def read_all(self) -> str:
        os.close(self.writer)
        with os.fdopen(self.reader, "rb") as reader:
            return reader.read().decode()


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(say: Callable[[], None], format_name: str = "json", level: str = "info") -> list[str]:
    pipe = Pipe()
    logs = Logs(pipe.writer)
    logs.configure(format_name, level)
    say()
    logs.close()
    return pipe.read_all().splitlines()


def fail() -> None:
    try:
        int("first line\nERROR forged")
    except ValueError:
        log.exception("it failed")


def test_a_secret_that_is_in_use_is_in_no_line_and_no_traceback() -> None:
    def say() -> None:
        try:
            int("s3same-0p3n")
        except ValueError:
            log.exception("with %r", {"X-Key": "s3same-0p3n"}, extra={"sent": "s3same-0p3n"})

    SECRETS.add(["s3same-0p3n"])
    try:
        for form in ("json", "text"):
            lines = "".join(logged(say, form))
            assert "s3same" not in lines
            assert "********" in lines
    finally:
        SECRETS.remove(["s3same-0p3n"])


def test_a_json_line_says_when_how_grave_who_and_what() -> None:
    [line] = logged(lambda: log.warning("port %d is in use", 80, extra={"service": "crm", "n": 2}))
    fields = json.loads(line)
    assert fields.pop("time").endswith("Z")
    assert fields == {
        "level": "warning",
        "logger": "brain.test",
        "message": "port 80 is in use",
        "service": "crm",
        "n": 2,
    }


def test_a_text_line_says_the_same() -> None:
    [line] = logged(lambda: log.warning("port %d is in use", 80, extra={"service": "crm"}), "text")
    assert line.partition(" ")[2] == "warning brain.test: port 80 is in use service=crm"


@pytest.mark.parametrize(("level", "wanted"), [("debug", 3), ("info", 2), ("error", 1)])
def test_less_than_the_level_is_left_out(level: str, wanted: int) -> None:
    def say() -> None:
        log.debug("d")
        log.info("i")
        log.error("e")

    assert len(logged(say, level=level)) == wanted


def test_json_has_a_list_as_a_list() -> None:
    [line] = logged(lambda: log.info("differs", extra={"pointers": ["/a", "/b\n"], "none": ()}))
    found = json.loads(line)
    assert (found["pointers"], found["none"]) == (["/a", "/b\\n"], [])


def test_json_keeps_a_traceback_in_its_line() -> None:
    [line] = logged(fail)
    error = json.loads(line)["error"]
    assert error.startswith("Traceback")
    assert "ERROR forged" in error


def test_a_traceback_in_text_is_indented_so_that_it_forges_no_line() -> None:
    first, *rest = logged(fail, "text")
    assert first.endswith("it failed")
    assert rest
    assert all(line.startswith("    ") for line in rest)


@pytest.mark.parametrize("format_name", ["json", "text"])
def test_control_characters_and_odd_bytes_are_escaped(format_name: str) -> None:
    [line] = logged(
        lambda: log.info("path %s", "/\x1b[2J\n\udcff\u2028", extra={"x": "\r"}), format_name
    )
    assert line.isprintable()
    assert "\\x1b[2J" in line


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    assert printable(text).isprintable()


def test_a_wrong_log_call_is_said_and_fails_nobody() -> None:
    [line] = logged(lambda: log.info("%d", "no number"))
    assert json.loads(line)["message"].startswith("log call failed: '%d'")


def test_long_lines_are_cut() -> None:
    [line] = logged(lambda: log.info("x" * 100_000))
    assert len(line) < 17_000


def test_what_is_too_slow_to_be_read_is_dropped_counted_and_said() -> None:
    pipe = Pipe()
    logs = Logs(pipe.writer, bound=200_000)
    logs.configure("text")
    for _ in range(500):
        log.info("x" * 1000)
    read: list[bytes] = []
    with os.fdopen(pipe.reader, "rb") as stream:
        reader = threading.Thread(target=lambda: read.extend(stream))
        reader.start()
        logs.close(timeout=10)
        os.close(pipe.writer)
        reader.join(10)
    kept = [line for line in read if b"xxx" in line]
    dropped = [int(found[1]) for line in read if (found := re.search(rb"(\d+) log lines", line))]
    assert 150 < len(kept) < 500
    assert sum(dropped) == 500 - len(kept)


def test_a_reload_may_change_format_and_level() -> None:
    pipe = Pipe()
    logs = Logs(pipe.writer)
    logs.configure("json", "info")
    log.debug("one")
    logs.configure("text", "debug")
    log.debug("two")
    logs.close()
    assert pipe.read_all().endswith("debug   brain.test: two\n")


def test_a_closed_standard_error_stops_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    logs = Logs(writer)
    logs.configure()
    log.info("into the void")
    logs.close()
    os.close(writer)


def test_both_formats_have_a_formatter() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "m", None, None)
    assert json.loads(JsonFormatter().format(record))["message"] == "m"
    assert TextFormatter().format(record).endswith("info    a: m")


def tell() -> None:
    log.error(
        "unknown key 'a'",
        extra={
            "code": "BG103",
            "file": "r.yaml",
            "line": 2,
            "column": 1,
            "hint": None,
            "excerpt": "--> r.yaml:2:1\n  |\n2 | a: 1\n  | ^\x1b",
        },
    )


def test_a_diagnostic_is_one_json_record_with_its_fields() -> None:
    [line] = logged(tell)
    fields = json.loads(line)
    assert fields["message"] == "unknown key 'a'"
    assert [fields[name] for name in ("code", "file", "line", "column", "hint")] == [
        *("BG103", "r.yaml", 2, 1, None)
    ]
    assert fields["excerpt"] == "--> r.yaml:2:1\n  |\n2 | a: 1\n  | ^\\x1b"


def test_a_diagnostic_is_one_text_record_with_its_excerpt_indented() -> None:
    head, *below = logged(tell, "text")
    assert head.endswith("error   brain.test: unknown key 'a' code=BG103")
    assert below == ["    --> r.yaml:2:1", "      |", "    2 | a: 1", "      | ^\\x1b"]
