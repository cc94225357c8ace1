"""No diagnostic shows a credential, whatever is wrong with its line, and carets stay right."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.masking import MASK, masked, without_credentials

SECRET = "my-real-key"
FILES = {
    "the option itself is refused": "plugins:\n  - lock: {pin: my-real-key}\n",
    "an entry of a list is refused": "plugins:\n  - lock: {pins: [short, my-real-key]}\n",
    "it is no list": "plugins:\n  - lock: {pins: my-real-key}\n",
    "it is quoted": "plugins:\n  - lock: {pin: 'my-real-key'}\n",
    "it is a default": 'plugins:\n  - lock: {pin: "${NO:-my-real-key}"}\n',
    "another option of the line is": "plugins:\n  - lock: {pin: my-real-key, size: 5}\n",
    "an unknown key of the line is": "plugins:\n  - lock: {sise: 1, pin: my-real-key}\n",
    "the key is misspelt": "plugins:\n  - lock: {pni: my-real-key}\n",
    "a telling key is misspelt": "plugins:\n  - safe: {sha265: my-real-key}\n",
    "the key is there twice": "plugins:\n  - api-key: {token: 1, token: my-real-key}\n",
    "it has several lines": "plugins:\n  - lock:\n      pin: 'a\n       my-real-key'\n      size: 5\n",
    "the plugin is not known": "plugins:\n  - lokc: {pin: my-real-key}\n",
    "the middleware is not known": "plugins:\n  - {use: no.such:thing, with: {a: my-real-key}}\n",
    "its name says it": "plugins:\n  - jwt: {issuer: 5, api_token: my-real-key}\n",
    "it is of a later version": "secrets: {vault: {secret_id: my-real-key}}\n",
    "the line is no YAML": "plugins:\n  - lock:\n    sha256: my-real-key: x\n",
    "the lines are no YAML": "plugins:\n  - lock:\n    password:\n      my-real-key: - x: y: z\n",
    "a line is no YAML, with JSON's signs": 'x-a: {"token":"my-real-key"]}\n',
    "a variable is not set": "plugins:\n  - lock: {pin: my-real-key, size: '${UNSET}'}\n",
    "a URL has a password": "services:\n  a: http://user:my-real-key@orders:8000\n",
    "a URL has a token": "services:\n  a: {upstream: http://my-real-key@orders}\n",
    "a URL's password has signs": "services:\n  a: http://user:a/b?my-real-key@orders:8000\n",
    "a URL is no YAML": "services:\n  a: http://a\n  orders:http://u:my-real-key@orders\n",
    "a URL is a key": "services:\n  http://u:my-real-key@orders: 5\n",
    "a URL is of a plugin": "plugins:\n  - limit: {rate: 'redis://u:my-real-key@r'}\n",
}


@pytest.mark.parametrize("why", FILES)
def test_a_credential_is_never_shown(write: Any, why: str) -> None:
    loaded = write.text(f"version: 1\n{FILES[why]}")
    shown = loaded.render()
    assert loaded.diagnostics
    assert SECRET not in shown


@pytest.mark.parametrize("why", sorted(set(FILES) - {"it has several lines"}))
def test_its_line_is_shown_with_a_mask(write: Any, why: str) -> None:
    """The excerpt is of the line that holds it: the test above would pass without one, too."""
    shown = write.text(f"version: 1\n{FILES[why]}").render()
    assert MASK in shown


def test_a_file_beside_a_bad_one_hides_them_too(write: Any) -> None:
    write.file("one.yaml", "version: 1\nlog: {level: a, level: b, token: my-real-key}\n")
    write.file("two.yaml", "log: {\n")
    shown = write.load("one.yaml", "two.yaml").render()
    assert "token: ********" in shown


def carets(shown: str) -> list[str]:
    """What stands above the carets."""
    lines = shown.split("\n")
    return [
        above[below.index("^") : below.rindex("^") + 1]
        for above, below in pairwise(lines)
        if "^" in below
    ]


def test_the_caret_points_at_the_same_words(write: Any) -> None:
    line = "  - lock: {pins: [my-real-key, b], pin: a-much-longer-key-than-the-mask-is, size: 5G}"
    assert carets(write.text(f"version: 1\nplugins:\n{line}\n").render()) == [
        MASK,
        MASK,
        MASK,
        "5G",
    ]
    line = "  a: {upstream: http://user:my-real-key@orders:8000/x, nope: 5}"
    assert carets(write.text(f"version: 1\nservices:\n{line}\n").render()) == [
        "http://********@orders:8000/x",
        "nope",
    ]


def test_what_is_no_credential_is_shown_as_it_is(write: Any) -> None:
    text = (
        "version: 1\n"
        "fallback: {upstream: http://a, forward_token: yes, cookies: kep, nope: 5}\n"
        "services: {a: {upstream: {url: {secret: platform/x, field: url}}}}\n"
        "plugins: [lock: {pin: '${PIN}', size: 5G}, jwt: {issuer: 5, password: '${PIN}'}]\n"
    )
    shown = write.text(text, PIN="1" * 99).render()
    assert MASK not in shown
    assert all(line in shown for line in text.split("\n")[1:])


@pytest.mark.parametrize(
    "path",
    [
        "platform/lago",
        '"tenants/${principal.tenant}/crm"',
        "[tenants/${principal.tenant}/crm, platform/crm]",
    ],
)
def test_a_path_of_a_store_is_shown_and_what_else_stands_there_is_not(
    write: Any, path: str
) -> None:
    def shown(secret: str) -> str:
        text = (
            "version: 1\nsecrets: {file: {}}\nservices: {a: {upstream: http://a, plugins: [credentials: "
            f"{{secret: {secret}, headers: {{X: '${{secret.key}}'}}, nope: 5}}]}}}}\n"
        )
        rendered: str = write.text(text).render()
        return rendered

    assert f"secret: {path}, headers" in shown(path)
    for credential in ("sk-live-s3same", "wJalrXUtn/K7MDENG/bPxRfiCY", "s3/same+x="):
        assert credential not in shown(credential)
        assert f"secret: {MASK}, headers" in shown(credential)


@pytest.mark.parametrize("end", ["log: {level: loud}\n", "log: {\n"])
def test_options_of_a_plugin_with_a_telling_name_are_shown(write: Any, end: str) -> None:
    text = (
        "version: 1\nplugins:\n  - api-key:\n      keys: []\n      nope: 5\n      nope: 6\n" + end
    )
    shown = write.text(text).render()
    assert "6 |       nope: 6" in shown
    assert MASK not in shown


def test_a_hint_is_given_inside_of_a_plugin_with_a_telling_name(write: Any) -> None:
    (found,) = write.text("version: 1\nplugins: [api-key: {keys: a}]\n").diagnostics
    assert found.hint == "write a list: [a]"


@given(
    st.text("ab", min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4),
    st.integers(0, 29),
    st.integers(1, 30),
)
def test_a_caret_outside_of_masks_stands_under_what_it_stood_under(
    text: str, ranges: list[tuple[int, int]], start: int, length: int
) -> None:
    ranges = [(a, min(b, len(text))) for a, b in ranges]
    hidden = {at for a, b in ranges for at in range(a, b)}
    shown, column, width = masked(text, ranges, start, length)
    assert width >= 1
    if hidden.isdisjoint(range(start, start + length)) and start + length <= len(text):
        assert shown[column : column + width] == text[start : start + length]
    assert sum(sign != "*" for sign in shown) == len(text) - len(hidden)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://u:p@h/x", "at http://********@h/x"),
        ("http://h/x and a@b", "http://h/x and a@b"),
        ("http://a:1/x 'y@z'", "http://a:1/x 'y@z'"),
        ("a@b", "a@b"),
    ],
)
def test_a_url_in_words_shows_no_user(text: str, shown: str) -> None:
    assert without_credentials(text) == shown
