"""What is clear to have been meant is said beside the caret."""

from typing import Any, ClassVar

import pytest

from proxy.plugin.base import Plugin, Problems

SERVICE = "services:\n  a: {upstream: http://a, public: true"


def hint(write: Any, text: str, **environment: str) -> str | None:
    """The hint of the only thing that is wrong."""
    (found,) = write.text(f"version: 1\n{text}\n", **environment).diagnostics
    return found.hint


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("fallback: {upstream: http://a, public: yes}", "did you mean true?"),
        (SERVICE + ", strip: off}", "did you mean false?"),
        (SERVICE + ", strip: 'True'}", "write true without quotes"),
        (SERVICE + ", strip: maybe}", None),
        (SERVICE + ", timeouts: {response: 5}}", "write '5s'"),
        (SERVICE + ", timeouts: {response: 0}}", "write '0s'"),
        (SERVICE + ", timeouts: {response: 5 s}}", "did you mean '5s'?"),
        (SERVICE + ", timeouts: {response: 5sec}}", "did you mean '5s'?"),
        (SERVICE + ", timeouts: {response: 0s}}", None),
        (SERVICE + ", timeouts: {response: soon}}", None),
        (SERVICE + ", limits: {request_body: 10}}", "write '10B'"),
        (SERVICE + ", limits: {request_body: 10 MB}}", "did you mean '10MiB'?"),
        ("gateway: {listen: 8080}", "write ':8080'"),
        ("gateway: {listen: '8080'}", "write ':8080'"),
        ("gateway: {admin: 9901}", "write '127.0.0.1:9901'"),
        ("gateway: {trusted_proxies: 10.0.0.0/8}", "write a list: [10.0.0.0/8]"),
        ("gateway: {trusted_proxies: '10.0.0.1, ::1'}", "write a list: [a, b]"),
        ("gateway: {trusted_proxies: '10.0.0.1, 10.0.0.2'}", "write a list: [10.0.0.1, 10.0.0.2]"),
        ("fallback: {upstream: users:8000, public: true}", "did you mean 'http://users:8000'?"),
        ("fallback: {upstream: users.svc/api, public: true}", "did you mean 'http://users.svc/api'?"),
        ("fallback: {upstream: {url: users}, public: true}", "did you mean 'http://users'?"),
        ("fallback: {upstream: 'who:ever', public: true}", None),
        ("fallback: {upstream: $ORDERS_URL, public: true}", "write ${ORDERS_URL}"),
        ("fallback: {upstream: 'http://$HOST:80', public: true}", "write ${HOST}"),
        ("fallback: {url: http://a, public: true}", "did you mean 'upstream'?"),
        ("fallback: {upsteam: http://a, public: true}", "did you mean 'upstream'?"),
        ("services: {a: {url: http://a, public: true}}", "did you mean 'upstream'?"),
        (
            "services:\n  shop:\n    public: true\n    plugins: [{credentials: {base_url: a}}]",
            "add 'upstream: https://shop.invalid', which leads nowhere",
        ),
        (SERVICE + ", routes: [{path: /x}]}", "write it under 'match'"),
        ("services:\n  - a: http://a", "remove the '-'"),
        ("plugins: [corz]", "did you mean 'cors'?"),
    ],
)  # fmt: skip
def test_a_remedy_stands_beside_the_caret(write: Any, text: str, remedy: str | None) -> None:
    assert hint(write, text) == remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("fallback: {upstream: '${ORDERS_URL}', public: true}", "ORDERS_URL is empty"),
        ("fallback: {upstream: 'http://${ORDERS_URL}:80', public: true}", "ORDERS_URL is empty"),
        ("fallback: {upstream: '${NONE:-}', public: true}", "NONE is empty or not set"),
        ("fallback: {upstream: '${WORD}', public: true}", "the value is what WORD gives"),
        (
            "fallback: {upstream: '${WORD:-x y}', public: true}",
            "the value is what WORD gives, or its default",
        ),
        ("gateway: {limits: {hops: '${WORD}'}}", "the value is what WORD gives"),
        ("log: {level: '${WORD}'}", "the value is what WORD gives"),
        ("fallback: {upstream: http://a, host: '$${WORD}', public: true}", None),
    ],
)
def test_a_value_of_the_environment_is_told_by_its_name(
    write: Any, text: str, remedy: str | None
) -> None:
    assert hint(write, text, ORDERS_URL="", WORD="a word") == remedy


def test_a_mapping_from_an_empty_variable_is_told_too(write: Any) -> None:
    assert hint(write, "services:\n  a: ${EMPTY}", EMPTY="") == "EMPTY is empty"


def test_an_unknown_plugin_that_is_like_none_gets_the_list_of_those_there_are(write: Any) -> None:
    known = "api-key, cors, fails, headers, jwt, limit, lock, refuses, request-id, safe, "
    known += "sealed and tickets"
    assert hint(write, "plugins: [zzz]") == f"installed: {known}"


def test_a_file_without_a_version_is_told_what_to_add(write: Any) -> None:
    (found,) = write.text("log: {level: info}\n").diagnostics
    assert (found.code, found.hint) == ("BG104", "add 'version: 1'")


def test_a_pattern_of_digits_is_said_in_words(
    write: Any, catalog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Digest(Plugin):
        schema: ClassVar[Any] = {
            "properties": {
                "of": {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$", "description": "Long. Text."},
                "as": {"type": "string", "pattern": "^x", "description": "An x first. Then more."},
            }
        }  # fmt: skip

    monkeypatch.setattr(catalog, "get", lambda _name: Digest)
    found = write.text("version: 1\nplugins: [cors: {of: xyz, as: b}]\n").diagnostics
    assert [(each.message, each.hint) for each in found] == [
        ("'of' of plugin 'cors': expected 64 hexadecimal digits", None),
        ("'as' of plugin 'cors': this value is not allowed", "An x first"),
    ]


def test_a_hint_never_repeats_a_credential(write: Any) -> None:
    text = "plugins: [lock: {pins: hunter2}]\n"
    assert hint(write, text) is None


def test_what_a_plugin_says_of_a_key_is_shown_under_the_key(
    write: Any, catalog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Picky(Plugin):
        schema: ClassVar[Any] = {"type": "object"}

        def __init__(self, **_options: Any) -> None:
            pass

        def check(self, problems: Problems) -> None:
            problems.add("set.a b", "'a b' is no name")
            problems.add("set.x.y", "'x.y' is no name")
            problems.add("set.x.y", "the value is bad")
            problems.add("set.7", "'7' is no name")
            problems.warn("list.1", "the second is bad")
            problems.warn("set.nothing", "it is not there")

    monkeypatch.setattr(catalog, "get", lambda _name: Picky)
    line = "plugins: [cors: {set: {a b: 1, x.y: 2, 7: 3}, list: [4, 5]}]"
    found = write.text(f"version: 1\n{line}\n").diagnostics
    places = {each.message: line[each.span.column - 1 :][: each.span.length] for each in found}
    assert places == {
        "'a b' is no name": "a b",
        "'x.y' is no name": "x.y",
        "the value is bad": "2",
        "'7' is no name": "7",
        "the second is bad": "5",
        "it is not there": "{",
    }
