"""Which of the known callers may do what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_kit import Found

from plugins.authorize import Authorize
from plugins.authorize.rules import Rule, folded
from proxy.testing import UNREACHED, OptionsError, call, check_plugin, make
from proxy.testing.messages import TestRoute

BEARER = {"Authorization": "Bearer x"}


async def decision(*allow: Any, **how: Any) -> str:
    """Return "passes", or the code of the refusal."""
    plugin = make(Authorize, {"allow": list(allow)})
    called = await call(plugin, **how)
    return "passes" if called.reached else str(called.json()["code"])


@pytest.mark.parametrize(
    ("rule", "claims", "found"),
    [
        ({}, {}, "passes"),
        ({"scopes": ["a", "b"]}, {"scope": "a b c"}, "passes"),
        ({"scopes": ["a", "b"]}, {"scope": "a"}, "scope_missing"),
        ({"scopes": ["a"]}, {"scope": "A"}, "scope_missing"),
        ({"scopes": ["crm:read"]}, {"scope": "crm:readx crm"}, "scope_missing"),
        ({"any_scope": ["a", "b"]}, {"scope": "b"}, "passes"),
        ({"any_scope": ["a", "b"]}, {"scope": "c"}, "scope_missing"),
        ({"any_scope": ["a", "b"], "scopes": ["c"]}, {"scope": "a"}, "scope_missing"),
        ({"roles": ["Super Admin"]}, {"roles": ["super admin"]}, "passes"),
        ({"roles": ["admin", "partner"]}, {"groups": ["PARTNER", "x"]}, "passes"),
        ({"roles": ["admin"]}, {"roles": ["administrator", "sub-admin"]}, "role_missing"),
        ({"roles": ["admin"]}, {"scope": "admin"}, "role_missing"),
        ({"claims": {"plan": "pro"}}, {"plan": "pro"}, "passes"),
        ({"claims": {"plan": "pro"}}, {"plan": "Pro"}, "access_denied"),
        ({"claims": {"plan": "pro"}}, {"plan": ["pro"]}, "access_denied"),
        ({"claims": {"plan": "pro"}}, {"plan": {"pro": 1}}, "access_denied"),
        ({"claims": {"plan": "pro"}}, {"plan": None}, "access_denied"),
        ({"claims": {"plan": "pro"}}, {}, "access_denied"),
        ({"claims": {"plan": ["pro", "team"]}}, {"plan": "team"}, "passes"),
        ({"claims": {"verified": True}}, {"verified": True}, "passes"),
        ({"claims": {"verified": True}}, {"verified": "true"}, "access_denied"),
        ({"claims": {"verified": True}}, {"verified": 1}, "access_denied"),
        ({"claims": {"level": 1}}, {"level": True}, "access_denied"),
        ({"claims": {"level": 3}}, {"level": 3.0}, "passes"),
        ({"claims": {"address.country": ["DE"]}}, {"address": {"country": "DE"}}, "passes"),
        ({"claims": {"address.country": ["DE"]}}, {"address": "DE"}, "access_denied"),
        ({"claims": {"https://x.y/plan": "pro"}}, {"https://x.y/plan": "pro"}, "passes"),
        ({"claims": {"teams": {"contains": "staff"}}}, {"teams": ["a", "staff"]}, "passes"),
        ({"claims": {"teams": {"contains": ["x", "staff"]}}}, {"teams": ["staff"]}, "passes"),
        ({"claims": {"teams": {"contains": "staff"}}}, {"teams": "staff"}, "passes"),
        ({"claims": {"teams": {"contains": "staff"}}}, {"teams": "staff-x"}, "access_denied"),
        ({"claims": {"teams": {"contains": "staff"}}}, {"teams": [["staff"]]}, "access_denied"),
        ({"claims": {"a": "1", "b": "2"}}, {"a": "1"}, "access_denied"),
        ({"tenant": "required"}, {"tenant": "acme"}, "passes"),
        ({"tenant": "required"}, {}, "access_denied"),
        ({"tenant": {"equals": "acme"}}, {"tenant": "acme"}, "passes"),
        ({"tenant": {"equals": "acme"}}, {"tenant": "Acme"}, "access_denied"),
    ],
)
async def test_a_rule_admits_who_fulfils_all_that_it_asks(
    rule: Any, claims: Any, found: str
) -> None:
    assert await decision(rule, claims=claims) == found


@pytest.mark.parametrize("role", ["\u212aing", "\u017ftaff", "ADM\u0130N", "admin\u200b", "admin "])
async def test_a_role_that_only_looks_alike_is_another(role: str) -> None:
    rule = {"roles": ["king", "staff", "admin"]}
    assert await decision(rule, claims={"roles": [role]}) == "role_missing"


@given(st.frozensets(st.text(max_size=5), max_size=4))
def test_folding_never_makes_a_letter_of_another_alphabet_one_of_ours(
    roles: frozenset[str],
) -> None:
    assert {role for role in folded(roles) if role.isascii()} == {
        role.lower() for role in roles if role.isascii()
    }


@pytest.mark.parametrize(
    ("method", "found"),
    [("GET", "passes"), ("HEAD", "passes"), ("POST", "access_denied"), ("get", "access_denied")],
)
async def test_get_includes_head_and_nothing_else(method: str, found: str) -> None:
    assert await decision({"methods": ["GET"]}, method=method, claims={}) == found


async def test_the_first_rule_that_admits_decides_and_none_means_no() -> None:
    rules = ({"methods": ["GET"]}, {"roles": ["admin"]}, {"methods": ["DELETE"], "scopes": ["d"]})
    assert await decision(*rules, method="GET", claims={}) == "passes"
    assert await decision(*rules, method="DELETE", claims={"roles": ["admin"]}) == "passes"
    assert await decision(*rules, method="DELETE", claims={"scope": "d"}) == "passes"
    assert await decision(*rules, method="PUT", claims={"scope": "d"}) == "role_missing"


async def test_a_scope_is_named_only_where_it_is_all_that_is_missing() -> None:
    rules = ({"tenant": "required", "scopes": ["a"]}, {"roles": ["admin"]})
    assert await decision(*rules, claims={"tenant": "t"}) == "scope_missing"
    assert await decision(*rules, claims={}) == "role_missing"
    assert await decision(rules[0], claims={}) == "access_denied"


async def test_a_bearer_caller_is_told_which_scope_to_ask_for() -> None:
    plugin = make(Authorize, {"allow": [{"scopes": ["a", "b"], "any_scope": ["c", "d"]}]})
    called = await call(plugin, claims={}, headers=BEARER, answer=UNREACHED)
    assert called.answer.status == 403
    assert called.answer.header("WWW-Authenticate") == (
        'Bearer realm="brain", error="insufficient_scope", scope="a b c"'
    )
    called = await call(plugin, claims={}, headers={"Authorization": "Basic x"}, answer=UNREACHED)
    assert called.answer.header("WWW-Authenticate") is None


async def test_a_refusal_tells_the_log_which_rule_was_near_and_the_client_nothing() -> None:
    plugin = make(Authorize, {"allow": [{"roles": ["royal"]}]})
    called = await call(plugin, claims={"roles": ["x"]}, answer=UNREACHED)
    assert called.exchange.error is None or "royal" in called.exchange.error.log
    assert called.answer.error is not None
    assert called.answer.error.log == "the nearest rule is 1: role royal"
    assert b"royal" not in called.body


@pytest.mark.parametrize(
    ("rule", "claims", "found"),
    [
        ({"methods": ["GET"], "anonymous": True}, None, "passes"),
        ({"methods": ["GET"], "anonymous": True}, {}, "passes"),
        ({"methods": ["POST"], "anonymous": True}, None, "credentials_missing"),
        ({"roles": ["admin"]}, None, "credentials_missing"),
        ({}, None, "credentials_missing"),
    ],
)
async def test_who_is_not_known_passes_by_an_anonymous_rule_alone(
    rule: Any, claims: Any, found: str
) -> None:
    assert await decision(rule, claims=claims) == found


PATH = {"tenant": {"equals": "${request.path.tenant}"}}
BESIDE = {"tenant": {"equals": "ac${request.path.tenant}"}}
QUERY = {"tenant": {"equals": "${request.query.tenant}"}}


@pytest.mark.parametrize(
    ("rule", "path", "value", "found"),
    [
        (PATH, "/", "acme", "passes"),
        (PATH, "/", "other", "access_denied"),
        (PATH, "/", "ACME", "access_denied"),
        (PATH, "/", "", "access_denied"),
        (BESIDE, "/", "me", "passes"),
        (BESIDE, "/", "acme", "access_denied"),
        (BESIDE, "/", "me\n", "access_denied"),
        (QUERY, "/?tenant=acme", "", "passes"),
        (QUERY, "/?a=1&tenant=%61cme", "", "passes"),
        (QUERY, "/?tenant=other", "", "access_denied"),
        (QUERY, "/", "", "access_denied"),
        (QUERY, "/?tenant=", "", "access_denied"),
        (QUERY, "/?tenant=acme&tenant=other", "", "access_denied"),
        (QUERY, "/?tenant=other&tenant=acme", "", "access_denied"),
        (QUERY, "/?tenant=acme&%74enant=other", "", "access_denied"),
        (QUERY, "/?tenant=acme;tenant=other", "", "access_denied"),
    ],
)
async def test_only_its_own_tenant_reaches_what_a_request_names(
    rule: Any, path: str, value: str, found: str
) -> None:
    route = TestRoute(values={"tenant": value})
    claims = {"tenant": "acme"}
    assert await decision(rule, path=path, claims=claims, route=route) == found


async def test_a_caller_without_a_tenant_is_no_tenant_called_nothing() -> None:
    for rule in (PATH, QUERY, {"tenant": "required"}):
        route = TestRoute(values={"tenant": ""})
        how: dict[str, Any] = {"path": "/?tenant=", "route": route}
        assert await decision(rule, claims={"sub": "ada"}, **how) == "access_denied"


async def test_methods_can_not_be_overridden_where_rules_go_by_them() -> None:
    sent = {"X-HTTP-Method-Override": "DELETE", "X_Http_Method": "PUT", "X-Method-Override": "PUT"}
    by_method = make(Authorize, {"allow": [{"methods": ["POST"]}, {"roles": ["admin"]}]})
    called = await call(by_method, "POST", claims={}, headers=sent)
    assert called.reached == 1
    assert not [name for name in called.outgoing.headers if "ethod" in name]
    called = await call(make(Authorize, {"allow": [{}]}), "POST", claims={}, headers=sent)
    assert called.outgoing.headers["X-HTTP-Method-Override"] == "DELETE"


def checked(*allow: Any) -> Found:
    found = Found()
    make_unchecked(list(allow)).check(found)
    return found


def make_unchecked(allow: list[Any]) -> Authorize:
    from proxy.plugin.options import convert

    return Authorize(**convert(Authorize.schema, {"allow": allow}))


ADMIN = {"roles": ["admin"]}


@pytest.mark.parametrize(
    ("ahead", "behind"),
    [
        ({}, ADMIN),
        ({"methods": ["GET"]}, {"methods": ["HEAD"], "scopes": ["a"]}),
        ({"anonymous": True}, {"anonymous": True, "methods": ["GET"]}),
        ({"anonymous": True}, ADMIN),
        (ADMIN, {"roles": ["ADMIN"], "scopes": ["a"]}),
        ({"roles": ["admin", "x"]}, ADMIN),
        ({"scopes": ["a"]}, {"scopes": ["a", "b"]}),
        ({"any_scope": ["a", "b"]}, {"scopes": ["b"]}),
        ({"any_scope": ["a", "b"]}, {"any_scope": ["a"]}),
        ({"claims": {"p": ["x", "y"]}}, {"claims": {"p": "x", "q": 1}}),
        ({"tenant": "required"}, PATH),
        (PATH, PATH | ADMIN),
    ],
)
def test_a_rule_behind_one_that_admits_all_whom_it_would_is_an_error(
    ahead: Any, behind: Any
) -> None:
    assert list(checked(ahead, behind).errors) == ["allow.1"]


@pytest.mark.parametrize(
    ("ahead", "behind"),
    [
        ({}, {"anonymous": True}),
        ({"methods": ["GET"]}, {"methods": ["GET", "POST"]}),
        ({"methods": ["GET"]}, {}),
        (ADMIN, {"roles": ["admin", "x"]}),
        ({"scopes": ["a", "b"]}, {"scopes": ["a"]}),
        ({"any_scope": ["a"]}, {"any_scope": ["a", "b"]}),
        ({"any_scope": ["a"]}, ADMIN),
        ({"claims": {"p": "x"}}, {"claims": {"p": ["x", "y"]}}),
        ({"claims": {"p": {"contains": "x"}}}, {"claims": {"p": "x"}}),
        (PATH, {"tenant": "required"}),
        (PATH, QUERY),
        ({"claims": {"p": True}}, {"claims": {"p": 1}}),
    ],
)
def test_a_rule_that_still_decides_is_none(ahead: Any, behind: Any) -> None:
    assert not checked(ahead, behind).errors


_WORD = st.sampled_from(["a", "b", "c"])
_WORDS = st.lists(_WORD, min_size=1, max_size=2)
_RULES = st.fixed_dictionaries(
    {},
    optional={
        "methods": st.lists(st.sampled_from(["GET", "POST"]), min_size=1),
        "scopes": _WORDS,
        "any_scope": _WORDS,
        "roles": _WORDS,
        "claims": st.dictionaries(_WORD, _WORDS, min_size=1, max_size=2),
    },
)
_CALLERS = st.fixed_dictionaries(
    {"scopes": st.frozensets(_WORD), "roles": st.frozensets(_WORD)},
    optional={"claims": st.dictionaries(_WORD, _WORD)},
)


@given(_RULES, _RULES, _CALLERS, st.sampled_from(["GET", "HEAD", "POST", "PUT"]))
def test_a_rule_that_covers_another_admits_whoever_the_other_does(
    one: Any, two: Any, caller: Any, method: str
) -> None:
    from proxy import Principal

    first, second = Rule(**one), Rule(**two)
    who = Principal("ada", **caller)

    def admits(rule: Rule) -> bool:
        return rule.takes(method) and rule.lacks(who, None) is None  # type: ignore[arg-type]

    assert not (first.covers(second) and admits(second) and not admits(first))


def test_what_contradicts_itself_is_an_error() -> None:
    found = checked({"anonymous": True, "roles": ["admin"]})
    assert list(found.errors) == ["allow.0.anonymous"]
    found = checked({"tenant": {"equals": "${request.header.X-Tenant}"}})
    assert list(found.errors) == ["allow.0.tenant.equals"]


def test_a_method_that_nobody_sends_is_a_warning() -> None:
    found = checked({"methods": ["GTE"]})
    assert list(found.warnings) == ["allow.0.methods.0"]


@pytest.mark.parametrize(
    "allow",
    [
        [],
        [{"scopes": []}],
        [{"roles": []}],
        [{"methods": []}],
        [{"claims": {}}],
        [{"claims": {"a": []}}],
        [{"claims": {"a": {"contains": []}}}],
        [{"claims": {"a": {"equals": "b"}}}],
        [{"claims": {"a": None}}],
        [{"scopes": ["a b"]}],
        [{"scopes": ['a"']}],
        [{"tenant": "wanted"}],
        [{"tenant": {}}],
        [{"expression": "true"}],
        "all",
    ],
)
def test_options_that_mean_nothing_are_refused(allow: Any) -> None:
    with pytest.raises(OptionsError):
        make(Authorize, {"allow": allow})


def test_it_says_whom_it_admits() -> None:
    plugin = make(
        Authorize,
        {
            "allow": [
                {"methods": ["GET"], "scopes": ["crm:read"]},
                {"roles": ["admin", "partner"], "claims": {"plan": "pro", "on": True}},
                {"claims": {"teams": {"contains": "staff"}}, "tenant": "required"},
                {"methods": ["HEAD"], "anonymous": True},
            ]
        },
    )
    assert plugin.admits() == (
        "GET: scope crm:read | role admin/partner + plan=pro + on=true"
        " | teams has staff + a tenant | HEAD: anyone"
    )
    assert plugin.needs_caller is False
    assert make(Authorize, {"allow": [{}]}).needs_caller is True


async def test_it_explains_its_verdict() -> None:
    plugin = make(Authorize, {"allow": [ADMIN, {"methods": ["GET"], "scopes": ["a"]}]})
    for claims, verdict in [
        ({"roles": ["Admin"]}, "this caller would pass by rule 1"),
        (
            {},
            "this caller would be refused with 403 scope_missing: the nearest rule is 2: GET: scope a",
        ),
        (None, "who is not known would be refused with 401 credentials_missing"),
    ]:
        called = await call(plugin, claims=claims)
        assert plugin.explain(called.exchange) == [
            "rule 1: role admin",
            "rule 2: GET: scope a",
            verdict,
        ]
    called = await call(make(Authorize, {"allow": [{"methods": ["GET"]}]}), "POST", claims={})
    assert called.answer.error is not None
    assert called.answer.error.log == "no rule is for POST"


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(Authorize, {"allow": [{"anonymous": True}]})
