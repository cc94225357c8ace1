"""What of a caller's credentials is kept from upstreams, piece by piece."""

from __future__ import annotations

import pytest
from aiohttp import web

from proxy import Authenticator, Principal
from proxy.headers import Field
from proxy.runtime.withheld import CookieNames, Withheld, without_token


class Tokens(Authenticator):
    protects_schemes = frozenset({"Bearer"})
    protects_query = frozenset({"ticket", "key é"})
    protects_cookies = frozenset({"sid", "session_*"})

    def authenticate(self, request: web.BaseRequest) -> Principal | None:
        return None


WITHHELD = Withheld([Tokens()])


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (b"Bearer abc", True),
        (b"bEARER abc", True),
        (b"Bearer\tabc", True),
        (b"Bearer  abc", True),
        (b" Bearer abc", True),
        (b"Bearer", True),
        (b"Bearerabc", False),
        (b"Basic abc", False),
        (b"Token Bearer", False),
        (b"", False),
        (b"  ", False),
    ],
)
def test_a_scheme_is_known_in_any_spelling(value: bytes, held: bool) -> None:
    assert WITHHELD.holds(value) is held


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("?ticket=1", ""),
        ("?a=1&ticket=1&b=%20", "?a=1&b=%20"),
        ("?%74icket=1&a", "?a"),
        ("?ticket&ticket=2&a=ticket", "?a=ticket"),
        ("?key+%C3%A9=1", ""),
        ("?tickets=1&Ticket=2", "?tickets=1&Ticket=2"),
        ("?a=%zz&&b", "?a=%zz&&b"),
        ("?", "?"),
    ],
)
def test_parameters_go_and_others_keep_their_bytes(query: str, left: str) -> None:
    assert WITHHELD.without(query) == left


def test_cookies_are_known_by_name_or_beginning() -> None:
    names = CookieNames(["sid", "session_*"])
    assert [name in names for name in ("sid", "session_", "session_a", "Sid", "sids", "a_sid")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert names
    assert not CookieNames([])


@pytest.mark.parametrize(
    ("offered", "left"),
    [
        ([b"brain.bearer, tok"], []),
        ([b"brain.bearer, tok, chat, v2"], [b"chat, v2"]),
        ([b"brain.bearer", b"tok", b"chat"], [b"chat"]),
        ([b"brain.bearer"], []),
        ([b"brain.bearer,,tok, chat"], [b"chat"]),
        ([b"chat, brain.bearer, tok"], [b"chat"]),
        ([b"Brain.Bearer, tok"], []),
        ([b"brain.bearer, tok, chat, brain.bearer, tok"], [b"chat"]),
        ([b"brain.bearer", b"brain.bearer, tok, chat"], [b"chat"]),
        ([b"chat"], None),
        ([b""], None),
    ],
)
def test_a_token_goes_from_the_subprotocols(offered: list[bytes], left: list[bytes] | None) -> None:
    fields: list[Field] = [(b"Sec-WebSocket-Protocol", value) for value in offered]
    found = without_token(fields)
    assert (None if found is None else [value for _, value in found]) == left
