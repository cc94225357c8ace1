"""Who calls, as the upstream is told."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_kit import Found, is_raw

from plugins.identity_headers import IdentityHeaders
from plugins.identity_headers.plugin import MOST_KNOWN
from proxy import EXCHANGE, Plugin, Principal
from proxy.plugin.options import convert
from proxy.testing import OptionsError, call, check_plugin, make

ADA = {
    "sub": "ada",
    "tenant": "acme",
    "roles": ["Partner", "Admin"],
    "email": "ada@acme.example",
    "name": "Ada Lovelace",
    "preferred_username": "ada.l",
}


async def sent(claims: Any, told: Any = None, **more: Any) -> dict[str, str]:
    options = {} if told is None else {"headers": told}
    called = await call(make(IdentityHeaders, options), claims=claims, **more)
    assert called.reached == 1
    found = dict(called.outgoing.headers)
    found.pop("Host", None)
    return found


async def test_the_upstream_learns_who_calls() -> None:
    assert await sent(ADA) == {
        "X-User-Id": "ada",
        "X-Tenant-Id": "acme",
        "X-User-Roles": "Admin,Partner",
        "X-User-Email": "ada@acme.example",
        "X-User-Name": "Ada Lovelace",
    }


async def test_no_value_stands_in_for_a_missing_one() -> None:
    assert await sent({"sub": "ada"}) == {"X-User-Id": "ada"}
    assert await sent({"sub": "ada", "name": "", "preferred_username": "a", "roles": []}) == {
        "X-User-Id": "ada",
        "X-User-Name": "a",
    }
    assert await sent(None) == {}


@pytest.mark.parametrize("verified", [False, "false"])
async def test_an_address_that_is_not_proved_is_not_sent(verified: Any) -> None:
    assert "X-User-Email" not in await sent({**ADA, "email_verified": verified})
    assert "X-User-Email" in await sent({**ADA, "email_verified": True})


SPOOFED = [
    ("X-User-Id", "root"),
    ("x-user-roles", "admin"),
    ("X_Tenant_Id", "other"),
    ("X-Plan", "pro"),
    ("x_plan", "pro"),
]


@pytest.mark.parametrize("claims", [None, {"sub": "ada"}])
async def test_what_a_client_sends_under_these_names_never_arrives(claims: Any) -> None:
    told = {"X-User-Id": "${principal.subject}", "X-Plan": "${claims.plan}"}
    found = await sent(claims, told, headers=SPOOFED)
    assert found == ({} if claims is None else {"X-User-Id": "ada"})


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        ('plain text, with: all "of" ASCII\'s', 'plain text, with: all "of" ASCII\'s'),
        ("Jos\u00e9", "Jos%C3%A9"),
        ("100%", "100%25"),
        ("%41", "%2541"),
        (" ada", "%20ada"),
        ("ada  ", "ada%20%20"),
        ("  ", "%20%20"),
        (7, "7"),
        (True, "true"),
        (["b", "a"], "b,a"),
        (["x,admin", "y"], "x%2Cadmin,y"),
        ([" admin"], "%20admin"),
        (["a", 1, False], "a,1,false"),
    ],
)
async def test_a_value_means_one_thing_to_every_upstream(value: Any, arrives: str) -> None:
    assert await sent({"v": value}, {"X-V": "${claims.v}"}) == {"X-V": arrives}


@pytest.mark.parametrize("value", [None, "", [], {"a": 1}, [["a"]], ["a", {"b": 1}], ["a", None]])
async def test_what_can_not_be_written_is_not_there(value: Any) -> None:
    assert await sent({"v": value}, {"X-V": "${claims.v}"}) == {}


async def test_the_first_text_whose_values_are_all_there_counts() -> None:
    headers = {"X-V": ["${claims.a}/${claims.b}", "${claims.deep.c}", "${principal.subject}"]}
    assert await sent({"a": "1", "b": "2"}, headers) == {"X-V": "1/2"}
    assert await sent({"a": "1", "deep": {"c": "3"}}, headers) == {"X-V": "3"}
    assert await sent({"sub": "ada"}, headers) == {"X-V": "ada"}


@pytest.mark.parametrize(
    "value",
    ["a\r\nX-User-Roles: admin", "a\nb", "a\0", "\x7f", "a\x85b", "\ud800", ["a", "b\rc"]],
)
async def test_a_control_character_is_refused_and_never_sent(value: Any) -> None:
    plugin = make(IdentityHeaders, {"headers": {"X-V": "${claims.v}"}})
    called = await call(plugin, claims={"v": value})
    assert (called.answer.status, called.json()["code"]) == (403, "claim_invalid")
    assert called.reached == 0
    assert b"admin" not in called.body


async def test_a_value_that_is_too_long_is_refused_whole() -> None:
    options = {"headers": {"X-V": "${claims.v}"}, "max_length": "16B"}
    plugin = make(IdentityHeaders, options)
    assert (await call(plugin, claims={"v": "x" * 16})).reached == 1
    for value in ("x" * 17, "\u00e9" * 3, ["admin"] * 4):
        called = await call(plugin, claims={"v": value})
        assert called.json()["code"] == "claim_invalid"
        assert called.answer.error is not None
        assert called.answer.error.log == "X-V: over 16 bytes"


@given(st.one_of(st.text(), st.lists(st.text(min_size=1), min_size=1)))
async def test_an_upstream_that_decodes_gets_exactly_the_claim(value: Any) -> None:
    options = {"headers": {"X-V": "${claims.v}"}, "max_length": "1MiB"}
    called = await call(make(IdentityHeaders, options), claims={"v": value})
    if called.reached == 0:
        assert called.json()["code"] == "claim_invalid"
        return
    given = called.outgoing.headers.get("X-V", "")
    assert given.isascii()
    assert given == given.strip()
    if isinstance(value, list):
        assert [unquote(part) for part in given.split(",")] == value
    else:
        assert unquote(given) == value


class Behind(Plugin):
    """The plugin behind authenticators that give these principals, one for each run of its chain."""

    def __init__(self, plugin: IdentityHeaders, *principals: Principal) -> None:
        self._plugin, self._principals = plugin, principals

    def __call__(self, request: Any, handler: Any) -> Any:
        exchange = request[EXCHANGE]
        for principal in self._principals:
            exchange.principal = principal
            self._plugin(request, lambda request: request)
        assert is_raw(exchange.outgoing) or "X-Touched" in request.headers
        return handler(request)


async def test_a_principal_that_comes_again_costs_no_rendering_and_headers_stay_raw() -> None:
    plugin = make(IdentityHeaders)
    ada, eve = Principal("ada", tenant="acme"), Principal("eve")
    for principal in (ada, eve, ada):
        called = await call(Behind(plugin, principal))
        assert called.outgoing.headers["X-User-Id"] == principal.subject
        assert called.outgoing.headers.get("X-Tenant-Id") == principal.tenant
    assert len(plugin._known) == 2


async def test_a_twin_that_is_equal_is_another_principal() -> None:
    """Equal ones may differ in what nobody compares; none borrows the headers of another."""
    plugin = make(IdentityHeaders)
    for _ in range(2):
        await call(Behind(plugin, Principal("ada", claims={"a": "1"})))
    assert len(plugin._known) == 2


async def test_few_principals_are_remembered() -> None:
    plugin = make(IdentityHeaders)
    for number in range(MOST_KNOWN + 5):
        plugin._remembered(Principal(str(number)))
    assert len(plugin._known) == MOST_KNOWN


@pytest.mark.parametrize("touched", [False, True])
async def test_a_chain_that_runs_again_tells_once_who_calls_now(touched: bool) -> None:
    plugin = make(IdentityHeaders)

    class Touching(Behind):
        def __call__(self, request: Any, handler: Any) -> Any:
            if touched:
                request[EXCHANGE].outgoing.headers["X-Touched"] = "2"
            return super().__call__(request, handler)

    twice = Touching(plugin, Principal("ada", tenant="acme"), Principal("bob"))
    called = await call(twice, headers={"X-Touched": "1"} if touched else {"X-Other": "1"})
    headers = called.outgoing.headers
    assert headers.getall("X-User-Id") == ["bob"]
    assert "X-Tenant-Id" not in headers
    assert headers.get("X-Other") == (None if touched else "1")
    assert headers.get("X-Touched") == ("2" if touched else None)


@pytest.mark.parametrize(
    ("headers", "wrong"),
    [
        ({"X-A": "${claims.a}", "x-a": "b"}, "headers.x-a"),
        ({"Host": "${claims.a}"}, "headers.Host"),
        ({"Content-Length": "${claims.a}"}, "headers.Content-Length"),
        ({"Authorization": "Bearer ${claims.a}"}, "headers.Authorization"),
        ({"X-Forwarded-For": "${claims.a}"}, "headers.X-Forwarded-For"),
        ({"Cookie": "${claims.a}"}, "headers.Cookie"),
        ({"X-A": "\u00e9${claims.a}"}, "headers.X-A"),
        ({"X-A": "a\nb"}, "headers.X-A"),
        ({"X-Tenant-Id": ["${principal.tenant}", "default"]}, "headers.X-Tenant-Id"),
    ],
)
def test_headers_that_can_not_say_who_calls_are_errors(headers: Any, wrong: str) -> None:
    found = Found()
    IdentityHeaders(**convert(IdentityHeaders.schema, {"headers": headers})).check(found)
    assert list(found.errors) == [wrong]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_User": "${claims.a}"},
        {"X User": "${claims.a}"},
        {"X-A": "${request.header.X}"},
        {"X-A": "${secret.a}"},
        {"X-A": []},
        {"X-A": 7},
    ],
)
def test_options_that_mean_nothing_are_refused(headers: Any) -> None:
    with pytest.raises(OptionsError):
        make(IdentityHeaders, {"headers": headers})


async def test_it_explains_what_it_sends() -> None:
    plugin = make(IdentityHeaders)
    called = await call(plugin, claims={"sub": "ada", "tenant": "acme"})
    assert plugin.explain(called.exchange) == [
        "X-User-Id: ada",
        "X-Tenant-Id: acme",
        "not sent, for want of a value: X-User-Roles, X-User-Email, X-User-Name",
    ]
    called = await call(plugin, claims={"name": "a\0"})
    (line,) = plugin.explain(called.exchange)
    assert "403 claim_invalid" in line
    (line,) = plugin.explain((await call(plugin)).exchange)
    assert line.startswith("tells the upstream who calls, where that is known: X-User-Id")


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(IdentityHeaders)
