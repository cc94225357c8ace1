"""What a service is asked of a request, and what its answers mean."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from plugin_kit import Found, Kit, Route, request_of

from plugins.forward_auth import ForwardAuth
from plugins.forward_auth.question import Credential, Finder, Question, SessionCookies
from plugins.forward_auth.verdict import Known, Reader, Refused, Verdict, claims_of
from plugins.forward_auth.verdicts import MOST, Verdicts
from proxy import EXCHANGE, Principal, Unavailable

URL = "http://outpost:9000/auth"
SESSION = SessionCookies(["sid", "sess_*"])
Lines = Sequence[tuple[str, str]]


def finder(*schemes: str) -> Finder:
    return Finder(SESSION, schemes)


# -- the credential


COOKIES = [
    (["sid=1"], "sid=1"),
    (["theme=dark; sid=1; sess_a=2; sess=3"], "sid=1; sess_a=2"),
    (["sid=1", "sid=2"], "sid=1; sid=2"),
    (["SID=1; xsid=1; sid2=1; Sess_a=1"], None),
    (['theme="sid=1"'], None),
    (["sid"], "sid"),
    ([" sid = 1 ;;"], "sid = 1"),
    ([], None),
]


@pytest.mark.parametrize(("lines", "found"), COOKIES)
def test_only_the_services_own_cookies_are_a_credential(
    lines: list[str], found: str | None
) -> None:
    request = request_of(headers=CIMultiDict([("Cookie", line) for line in lines]))
    credential = finder().find(request)
    assert (credential and credential.cookies) == found


@pytest.mark.parametrize(
    ("header", "ambient"),
    [
        ("Bearer t", False),
        ("BEARER t", False),
        ("Basic t", True),
        ("Digest t", None),
        ("Bearert", None),
        ("", None),
    ],
)
def test_an_authorization_counts_in_the_schemes_of_the_service(
    header: str, ambient: bool | None
) -> None:
    found = finder("Basic", "bearer").find(request_of(headers={"Authorization": header}))
    assert (found and found.ambient) == ambient
    assert found is None or found.authorization == header


def test_a_cookie_beside_a_token_is_sent_by_browsers_themselves_all_the_same() -> None:
    found = finder("bearer").find(
        request_of(headers={"Authorization": "Bearer t", "Cookie": "sid=1"})
    )
    assert found is not None
    assert found.ambient


# -- the question


def question(
    credential: Credential, target: str = "/api/brain/crm/x?a=1", **headers: str
) -> Question:
    return Question(request_of(target=target, headers=headers), credential, ["X-One", "X-Two"])


def key(credential: Credential, *, per_path: bool = False, **how: Any) -> bytes:
    return question(credential, **how).key(per_path=per_path)


def test_whatever_may_be_judged_differently_has_another_key() -> None:
    kim = Credential("sid=kim", "", "")
    keys = [
        key(kim),
        key(Credential("sid=lee", "", "")),
        key(Credential("", "bearer", "sid=kim")),
        key(kim, **{"X-One": "1"}),
        key(kim, **{"X-Two": "1"}),
        key(kim, **{"X-One": "X-Two", "X-Two": ""}),
    ]
    assert len(set(keys)) == len(keys)
    assert key(kim, target="/other") == key(kim)
    assert key(kim, target="/other", per_path=True) != key(kim, per_path=True)


@given(st.tuples(st.text(max_size=6), st.text(max_size=6)), st.data())
def test_no_two_credentials_share_a_key(one: tuple[str, str], data: st.DataObject) -> None:
    two = data.draw(st.tuples(st.text(max_size=6), st.text(max_size=6)))
    first, second = (Credential(cookies, "", token) for cookies, token in (one, two))
    assert (key(first) == key(second)) == (one == two)


def test_bytes_that_are_no_text_are_told_percent_encoded() -> None:
    asked = question(Credential("sid=1"), target="/api/brain/crm/\udcff\u00e4%2F?a=1")
    headers = asked.headers()
    assert headers["X-Forwarded-Uri"] == "/api/brain/crm/%FF%C3%A4%2F?a=1"
    assert headers["X-Original-URL"].startswith("https://brain.example.com/api/brain/crm/%FF")


# -- the verdict


CLAIMS = {
    "subject": "X-User",
    "tenant": "X-Tenant",
    "roles": {"header": "X-Groups", "separator": "|"},
    "scopes": "X-Scopes",
    "email": "X-Email",
}


def read(status: int, headers: Lines, claims: Mapping[str, Any] = CLAIMS) -> Verdict:
    reader = Reader(claims_of(claims), ["X-User", "X-Copy"], SESSION, "auth")
    return reader.read(status, CIMultiDictProxy(CIMultiDict(headers)), b"body")


def known(headers: Lines) -> Known:
    verdict = read(200, headers)
    assert isinstance(verdict, Known)
    return verdict


def test_a_yes_makes_a_principal_of_its_headers() -> None:
    found = known(
        [
            ("X-User", "kim"),
            ("X-Tenant", "acme"),
            ("X-Groups", "a|b c| "),
            ("X-Groups", "d"),
            ("X-Scopes", "read, write"),
            ("X-Copy", "1"),
            ("X-Copy", "2"),
            ("Set-Cookie", "sid=2; Path=/"),
            ("Set-Cookie", "other=2"),
        ]
    )
    principal = found.principal
    assert (principal.subject, principal.tenant, principal.by) == ("kim", "acme", "auth")
    assert principal.roles == {"a", "b c", "d"}
    assert principal.scopes == {"read", "write"}
    assert principal.claims["roles"] == ["a", "b c", "d"]
    assert "email" not in principal.claims
    assert (principal.ambient, found.ambient.ambient) == (False, True)
    assert found.copied == (("X-User", "kim"), ("X-Copy", "1"), ("X-Copy", "2"))
    assert found.cookies == ("sid=2; Path=/",)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-User", "")],
        [("X-User", "  ")],
        [("X-User", "kim"), ("X-User", "root")],
        [("X-User", "kim"), ("X-Tenant", "a"), ("X-Tenant", "b")],
    ],
)
def test_a_yes_that_names_nobody_or_two_lets_nobody_in(headers: Lines) -> None:
    with pytest.raises(Unavailable) as raised:
        read(200, headers)
    assert raised.value.code == "auth_unavailable"


@pytest.mark.parametrize("status", [401, 403, 301, 302, 303, 307, 308])
def test_a_refusal_keeps_what_the_client_may_see(status: int) -> None:
    sent = [("Location", "/login"), ("X-Internal", "1"), ("Set-Cookie", "sid=; Max-Age=0")]
    verdict = read(status, [*sent, ("Set-Cookie", "other=1"), ("Transfer-Encoding", "chunked")])
    assert isinstance(verdict, Refused)
    assert list(verdict.headers.items()) == [("Location", "/login"), ("Set-Cookie", sent[2][1])]


@pytest.mark.parametrize("status", [100, 300, 302, 304, 305, 400, 404, 407, 429, 500, 503, 999])
def test_all_else_is_no_verdict(status: int) -> None:
    with pytest.raises(Unavailable):
        read(status, [("X-User", "kim")])


# -- what is remembered


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def verdict_of(name: str = "kim") -> Known:
    principal = Principal(name)
    return Known(principal, principal, (), ("sid=2",))


async def test_a_yes_holds_as_long_as_it_should_and_no_longer() -> None:
    clock = Clock()
    verdicts = Verdicts(10.0, clock)

    async def ask() -> Verdict:
        return verdict_of()

    given = await verdicts.of(b"k", ask)
    assert isinstance(given, Known)
    assert given.cookies == ("sid=2",)
    clock.now = 9.9
    kept = verdicts.find(b"k")
    assert kept is not None
    assert kept.cookies == ()
    clock.now = 10.0
    assert verdicts.find(b"k") is None


async def test_a_failure_and_a_no_are_not_remembered() -> None:
    verdicts = Verdicts(10.0)

    async def fails() -> Verdict:
        raise Unavailable("away", code="auth_unavailable")

    async def refuses() -> Verdict:
        return Refused(401, CIMultiDict(), b"")

    with pytest.raises(Unavailable):
        await verdicts.of(b"k", fails)
    assert isinstance(await verdicts.of(b"k", refuses), Refused)
    assert verdicts.find(b"k") is None


async def test_many_callers_do_not_fill_the_memory() -> None:
    verdicts = Verdicts(10.0)

    async def ask() -> Verdict:
        return verdict_of()

    for number in range(MOST + 10):
        await verdicts.of(b"%d" % number, ask)
    assert verdicts.find(b"9") is None
    assert verdicts.find(b"10") is not None


# -- the plugin


def options(**more: Any) -> dict[str, Any]:
    return {"url": URL, "claims": CLAIMS, "copy": ["X-User"], **more}


def test_it_owns_its_cookies_schemes_and_headers(kit: Kit) -> None:
    plugin = kit.make(ForwardAuth, options(session=["sid", "sess_*"], schemes=["Bearer"]))
    assert plugin.protects_cookies == {"sid", "sess_*"}
    assert plugin.protects_schemes == {"bearer"}
    assert plugin.protects == {"x-user", "x-tenant", "x-groups", "x-scopes", "x-email"}


def test_a_profile_is_written_out_and_what_stands_beside_it_wins(kit: Kit) -> None:
    expanded = ForwardAuth.expand({"url": URL, "profile": "oauth2-proxy", "copy": []})
    assert "profile" not in expanded
    assert ForwardAuth.expand(expanded) == expanded
    plugin = kit.make(ForwardAuth, expanded)
    assert plugin.protects_cookies == {"_oauth2_proxy*"}
    assert "x-auth-request-user" in plugin.protects
    assert ForwardAuth.expand({"url": URL, "profile": "${WHOSE}"})["profile"] == "${WHOSE}"
    assert kit.make(ForwardAuth, options()).protects_cookies == {
        "authentik_proxy_*",
        "_oauth2_proxy*",
    }


def test_a_request_without_a_credential_is_none_of_its_business(kit: Kit) -> None:
    plugin = kit.make(ForwardAuth, options())
    request: web.BaseRequest = request_of(route=Route(), headers={"Cookie": "theme=dark"})
    assert plugin.authenticate(request) is None
    assert plugin.challenge() == 'Cookie realm="brain"'


def test_explain_says_what_is_asked_and_no_query(kit: Kit) -> None:
    plugin = kit.make(ForwardAuth, options(url=URL + "?key=s3cret", cache="0s"))
    told = plugin.explain(request_of()[EXCHANGE])
    assert told[0] == "asks http://outpost:9000/auth who calls, within 2 s"
    assert "s3cret" not in str(told)


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"claims": {}}, "url"),
        ({"claims": {"subject": {"header": "X-A", "separator": ","}}}, "claims.subject"),
        ({"copy": ["Content-Type"]}, "copy.0"),
        ({"copy": ["X-A", "Cookie"]}, "copy.1"),
        ({"copy": ["Connection"]}, "copy.0"),
        ({"copy": ["Host"]}, "copy.0"),
        ({"headers": ["X-Forwarded-Uri"]}, "headers.0"),
        ({"headers": ["Cookie"]}, "headers.0"),
        ({"headers": ["Content-Length"]}, "headers.0"),
        ({"headers": ["Upgrade"]}, "headers.0"),
        ({"cache": "1h"}, "cache"),
        ({"timeout": "1m"}, "timeout"),
        ({"max_body": "2MiB"}, "max_body"),
    ],
)
def test_options_that_can_not_be_meant_are_reported(
    kit: Kit, given: dict[str, Any], option: str
) -> None:
    found = Found()
    kit.make(ForwardAuth, options(**given)).check(found)
    assert list(found.errors) == [option]
