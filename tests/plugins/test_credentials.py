"""An upstream's credential on a request: whose it is, where it stands, and what never sees it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from plugins.credentials import Credentials, known
from proxy import Answer, ConfigError, Outgoing
from proxy.testing import OptionsError, call, check_plugin, make, running, upstream_answer

KEY = "s3same-of-acme"
TENANTS = "tenants/${principal.tenant}/connectors/crm"
STORE = {
    "tenants/acme/connectors/crm": {
        "key": KEY,
        "user": "portal@acme.example",
        "password": "open: s3same",
    },
    "tenants/globex/connectors/crm": {"key": "s3same-of-globex"},
    "platform/lago": {"key": "s3same-of-lago"},
}
ACME = {"sub": "ada", "tenant": "acme"}
BEARER = {"headers": {"Authorization": "Bearer ${secret.key}"}}


async def sent(options: Mapping[str, Any], **more: Any) -> Outgoing:
    given = {"claims": ACME, "store": STORE, **more}
    called = await call(Credentials, options={"secret": TENANTS, **options}, **given)
    assert called.reached == 1, called.answer
    return called.outgoing


async def refused(options: Mapping[str, Any], **more: Any) -> tuple[int, str]:
    given = {"claims": ACME, "store": STORE, **more}
    called = await call(Credentials, options={"secret": TENANTS, **BEARER, **options}, **given)
    assert called.reached == 0
    assert called.answer.error is not None
    return called.answer.status, called.answer.error.code


# -- where it stands


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (BEARER, {"Authorization": f"Bearer {KEY}"}),
        (
            {"headers": {"Authorization": "token ${secret.key}:${secret.user}", "X-Org": "a b"}},
            {"Authorization": f"token {KEY}:portal@acme.example", "X-Org": "a b"},
        ),
        ({"headers": {"X-API-Key": "${secret.key}"}}, {"X-API-Key": KEY}),
        (
            {"basic": {"user": "${secret.user}", "password": "${secret.password}"}},
            {"Authorization": "Basic " + b64encode(b"portal@acme.example:open: s3same").decode()},
        ),
    ],
)
async def test_it_stands_in_headers(options: Any, wanted: Mapping[str, str]) -> None:
    outgoing = await sent(options)
    assert {name: outgoing.header(name) for name in wanted} == wanted


async def test_it_stands_in_the_query_and_the_clients_own_is_gone() -> None:
    outgoing = await sent(
        {"query": {"key": "${secret.key}", "token": "${secret.password}"}},
        path="/boards?key=mine&b=2&k%65y=too",
    )
    assert outgoing.target == f"/boards?b=2&key={KEY}&token=open%3A+s3same"


async def test_it_stands_in_cookies() -> None:
    outgoing = await sent({"cookies": {"session": "${secret.key}", "b": "2"}})
    assert outgoing.headers.getall("Cookie") == [f"session={KEY}; b=2"]


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("123:AB-c_d", "/bot123:AB-c_d/sendMessage?x=1"),
        ("a/../b?c#d%e f", "/bota%2F..%2Fb%3Fc%23d%25e%20f/sendMessage?x=1"),
    ],
)
async def test_it_stands_in_the_path_as_a_part_of_one_segment(value: str, target: str) -> None:
    outgoing = await sent(
        {"path": "/bot${secret.key}"},
        store={"tenants/acme/connectors/crm": {"key": value}},
        path="/sendMessage?x=1",
    )
    assert outgoing.target == target


@pytest.mark.parametrize("value", [".", "..", "%2e%2e"])
async def test_no_value_climbs_the_path(value: str) -> None:
    options = {"secret": TENANTS, "path": "/${secret.key}"}
    store = {"tenants/acme/connectors/crm": {"key": value}}
    async with running(Credentials, options, store=store) as plugin:
        called = await call(plugin, claims=ACME, path="/x")
    assert called.reached == 0 or called.outgoing.target == "/%252e%252e/x"


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
async def test_what_the_client_sent_in_its_place_is_gone(name: str) -> None:
    outgoing = await sent(BEARER, headers=[(name, "Bearer mine"), ("X-Other", "1")])
    assert outgoing.headers.getall("Authorization") == [f"Bearer {KEY}"]
    assert outgoing.header("X-Other") == "1"


async def test_so_is_what_only_an_underscore_tells_from_it() -> None:
    outgoing = await sent(
        {"headers": {"X-Api-Key": "${secret.key}"}}, headers={"X_Api_Key": "mine", "X_Api-key": "1"}
    )
    assert [value for _, value in outgoing.wire_fields()].count(KEY.encode()) == 1
    assert "mine" not in str(outgoing.headers)
    assert "1" not in outgoing.headers.values()


# -- whose it is


async def test_each_tenant_gets_its_own() -> None:
    for tenant in ("acme", "globex"):
        outgoing = await sent(BEARER, claims={"sub": "x", "tenant": tenant})
        assert outgoing.header("Authorization") == f"Bearer s3same-of-{tenant}"


async def test_one_instance_does_not_mix_them_up() -> None:
    async with running(Credentials, {"secret": TENANTS, **BEARER}, store=STORE) as plugin:
        for tenant in ("acme", "globex") * 3:
            called = await call(plugin, claims={"sub": "x", "tenant": tenant})
            assert called.outgoing.header("Authorization") == f"Bearer s3same-of-{tenant}"


async def test_the_first_path_that_exists_is_used() -> None:
    paths = ["tenants/${claims.org}/crm", TENANTS, "platform/lago"]
    claims = {**ACME, "org": "none"}
    outgoing = await sent({"secret": paths, **BEARER}, claims=claims)
    assert outgoing.header("Authorization") == f"Bearer {KEY}"
    claims = {"sub": "x", "tenant": "initech", "org": "none"}
    outgoing = await sent({"secret": paths, **BEARER}, claims=claims)
    assert outgoing.header("Authorization") == "Bearer s3same-of-lago"


async def test_a_path_without_values_needs_nobody() -> None:
    outgoing = await sent({"secret": "platform/lago", **BEARER}, claims=None)
    assert outgoing.header("Authorization") == "Bearer s3same-of-lago"


TRAVERSALS: list[Any] = [
    "..", ".", "../platform", "acme/../globex", "acme/connectors/crm", "%2e%2e", "..%2fplatform", "%2F",
    "*", "+", "acme\0", "acme\n", "acme\r\nX: y", " acme", "acme ", "\uff41cme", "acmé", "\u202eacme",
    "a" * 129, "a" * 1000, ".hidden", "-acme", "_acme", "acme?version=1", "acme#x", "acme;x", "acme\\x",
]  # fmt: skip


@pytest.mark.parametrize("tenant", TRAVERSALS)
async def test_a_tenant_that_is_no_name_is_refused_before_anything_is_asked(
    tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Credentials, {"secret": TENANTS, **BEARER}, store=STORE) as plugin:

        def ask(path: str) -> Any:
            raise AssertionError(f"the store was asked for {path}")

        monkeypatch.setattr(plugin._store, "get", ask)
        called = await call(plugin, claims={"sub": "x", "tenant": tenant})
    assert called.reached == 0
    assert called.answer.error is not None
    assert (called.answer.status, called.answer.error.code) in [
        (403, "claim_invalid"),
        (403, "claim_missing"),
    ]


@pytest.mark.parametrize("value", [["acme"], 7, 7.0, True, {"a": "acme"}])
async def test_a_claim_that_is_no_text_is_refused(value: Any) -> None:
    options = {"secret": "tenants/${claims.org}/connectors/crm"}
    assert await refused(options, claims={**ACME, "org": value}) == (403, "claim_invalid")


async def test_a_caller_without_the_claim_is_refused_and_no_default_stands_in() -> None:
    assert await refused({}, claims={"sub": "x"}) == (403, "claim_missing")
    assert await refused({}, claims=None) == (403, "claim_missing")
    options = {"secret": "tenants/${claims.a.b}/crm"}
    assert await refused(options, claims={**ACME, "a": "b"}) == (403, "claim_missing")


# -- what goes wrong with it


async def test_a_tenant_without_the_secret_has_not_connected_it() -> None:
    assert await refused({}, claims={"sub": "x", "tenant": "initech"}) == (
        424,
        "credential_missing",
    )


async def test_so_has_one_whose_secret_lacks_the_field() -> None:
    options = {"headers": {"X-Key": "${secret.nothing}"}}
    assert await refused(options) == (424, "credential_missing")


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"X-Key": "${secret.line}"}},
        {"query": {"k": "${secret.line}"}},
        {"path": "/${secret.line}"},
        {"cookies": {"k": "${secret.semi}"}},
        {"basic": {"user": "${secret.user}", "password": "s3"}, "headers": {}},
    ],
)
async def test_a_value_that_can_not_stand_there_is_refused(options: Any) -> None:
    kept = {"line": "s3same\n", "semi": "s3;same", "user": "s3:same"}
    options = {"secret": TENANTS, **{k: v for k, v in options.items() if v}}
    store = {"tenants/acme/connectors/crm": kept}
    called = await call(Credentials, options=options, claims=ACME, store=store)
    assert called.reached == 0
    assert called.answer.error is not None
    assert (called.answer.status, called.answer.error.code) == (502, "credential_invalid")
    assert called.answer.error.log is not None
    assert called.answer.error.log.startswith(f"secret {TENANTS}: ")


async def test_a_path_that_is_the_same_for_all_must_be_there_before_the_file_serves() -> None:
    for secret, key in (("platform/none", "key"), ("platform/lago", "nothing")):
        options = {"secret": secret, "headers": {"X-Key": f"${{secret.{key}}}"}}
        with pytest.raises(ConfigError, match=secret):
            async with running(Credentials, options, store=STORE):
                pass


async def test_it_may_come_later_where_the_file_says_so() -> None:
    store: dict[str, dict[str, str]] = {}
    options = {"secret": "platform/lago", "required": False, **BEARER}
    async with running(Credentials, options, store=store) as plugin:
        called = await call(plugin)
        assert called.answer.status == 424
        store["platform/lago"] = {"key": "s3same-l8er"}
        await asyncio.sleep(0.05)
        called = await call(plugin)
        assert called.outgoing.header("Authorization") == "Bearer s3same-l8er"


# -- an upstream that refuses it


class Rotating:
    """An upstream that takes one key, and counts who came."""

    def __init__(self, good: str, status: int = 401) -> None:
        self.good = good
        self.status = status
        self.seen: list[str | None] = []

    def __call__(self, request: web.BaseRequest) -> Answer:
        from proxy import EXCHANGE

        key = request[EXCHANGE].outgoing.header("X-Key")
        self.seen.append(key)
        return upstream_answer(200 if key == self.good else self.status)


def rotating_store() -> dict[str, dict[str, str]]:
    return {"tenants/acme/connectors/crm": {"key": "s3same-0ld"}}


IN_HEADER = {"secret": TENANTS, "headers": {"X-Key": "${secret.key}"}}


async def test_a_refused_one_is_read_again_and_the_request_sent_once_more() -> None:
    store = rotating_store()
    upstream = Rotating("s3same-n3w")
    async with running(Credentials, IN_HEADER, store=store) as plugin:
        called = await call(plugin, claims=ACME, answer=Rotating("s3same-0ld"))
        store["tenants/acme/connectors/crm"] = {"key": "s3same-n3w"}
        called = await call(plugin, claims=ACME, answer=upstream)
    assert called.answer.status == 200
    assert upstream.seen == ["s3same-0ld", "s3same-n3w"]


async def test_one_that_has_not_changed_is_not_sent_again() -> None:
    upstream = Rotating("another")
    async with running(Credentials, IN_HEADER, store=rotating_store()) as plugin:
        called = await call(plugin, claims=ACME, answer=upstream)
    assert called.answer.status == 401
    assert upstream.seen == ["s3same-0ld"]


async def test_a_new_one_is_tried_once() -> None:
    store = rotating_store()
    upstream = Rotating("another")
    async with running(Credentials, IN_HEADER, store=store) as plugin:
        await call(plugin, claims=ACME, answer=upstream)
        store["tenants/acme/connectors/crm"] = {"key": "s3same-n3w"}
        called = await call(plugin, claims=ACME, answer=upstream)
    assert called.answer.status == 401
    assert upstream.seen == ["s3same-0ld", "s3same-0ld", "s3same-n3w"]


@pytest.mark.parametrize(
    ("on_status", "status", "tries"), [([401, 403], 403, 2), ([401], 403, 1), ([], 401, 1)]
)
async def test_which_statuses_refuse_it_is_said(
    on_status: list[int], status: int, tries: int
) -> None:
    store = rotating_store()
    upstream = Rotating("s3same-n3w", status)
    options = {**IN_HEADER, "on_status": on_status}
    async with running(Credentials, options, store=store) as plugin:
        await call(plugin, claims=ACME)
        store["tenants/acme/connectors/crm"] = {"key": "s3same-n3w"}
        await call(plugin, claims=ACME, answer=upstream)
    assert len(upstream.seen) == tries


@pytest.mark.parametrize(
    ("body", "tries"), [(b"x" * 100, 2), (b"x" * 65536, 2), (b"x" * 65537, 1), ([b"a", b"b"], 1)]
)
async def test_a_short_body_is_kept_to_be_sent_again(body: Any, tries: int) -> None:
    store = rotating_store()
    upstream = Rotating("s3same-n3w")
    headers = {} if isinstance(body, list) else {"Content-Length": str(len(body))}
    async with running(Credentials, IN_HEADER, store=store) as plugin:
        await call(plugin, claims=ACME)
        store["tenants/acme/connectors/crm"] = {"key": "s3same-n3w"}
        called = await call(
            plugin, "POST", claims=ACME, answer=upstream, body=body, headers=headers
        )
    assert len(upstream.seen) == tries
    assert called.answer.status == (200 if tries == 2 else 401)


async def test_a_second_try_begins_with_the_path_as_it_was() -> None:
    store = rotating_store()
    targets: list[str] = []

    def upstream(request: web.BaseRequest) -> Answer:
        from proxy import EXCHANGE

        targets.append(request[EXCHANGE].outgoing.target)
        return upstream_answer(401 if "0ld" in targets[-1] else 200)

    options = {"secret": TENANTS, "path": "/bot${secret.key}", "query": {"k": "${secret.key}"}}
    async with running(Credentials, options, store=store) as plugin:
        await call(plugin, claims=ACME)
        store["tenants/acme/connectors/crm"] = {"key": "s3same-n3w"}
        await call(plugin, claims=ACME, answer=upstream, path="/x?a=1")
    assert targets == ["/bots3same-0ld/x?a=1&k=s3same-0ld", "/bots3same-n3w/x?a=1&k=s3same-n3w"]


# -- answers


@pytest.mark.parametrize(
    "echo",
    [
        {"X-Echo": f"you sent {KEY}!"},
        {"Location": f"/x?key={KEY}"},
        {"Set-Cookie": f"k={KEY}"},
    ],
)
async def test_a_header_that_repeats_it_is_removed(echo: Mapping[str, str]) -> None:
    called = await call(
        Credentials,
        options={"secret": TENANTS, **BEARER},
        claims=ACME,
        store=STORE,
        answer=upstream_answer(200, headers={**echo, "X-Other": "1"}),
    )
    assert called.answer.header(next(iter(echo))) is None
    assert called.answer.header("X-Other") == "1"


async def test_so_is_one_that_spells_it_otherwise() -> None:
    secret = {"user": "portal@acme.example", "password": "open: s3same"}
    pair = b64encode(b"portal@acme.example:open: s3same").decode()
    for echo in (f"Basic {pair}", "/?p=open%3A+s3same", "/?p=open%3A%20s3same"):
        called = await call(
            Credentials,
            options={
                "secret": TENANTS,
                "basic": {"user": "${secret.user}", "password": "${secret.password}"},
            },
            claims=ACME,
            store={"tenants/acme/connectors/crm": secret},
            answer=upstream_answer(200, headers={"X-Echo": echo, "X-User": "portal@acme.example"}),
        )
        assert called.answer.header("X-Echo") is None
        assert called.answer.header("X-User") == "portal@acme.example"


async def test_a_session_that_the_upstream_renews_is_not_handed_to_the_client() -> None:
    cookies = [("Set-Cookie", "theme=dark"), ("Set-Cookie", "session=r3newed; Path=/; HttpOnly")]
    called = await call(
        Credentials,
        options={"secret": TENANTS, "cookies": {"session": "${secret.key}"}},
        claims=ACME,
        store=STORE,
        answer=upstream_answer(200, headers=cookies),
    )
    assert called.answer.headers.getall("Set-Cookie") == ["theme=dark"]


async def test_a_reason_that_repeats_it_is_replaced() -> None:
    answer = upstream_answer(403)
    answer.set_status(403, f"no {KEY}")
    called = await call(
        Credentials, options={"secret": TENANTS, **BEARER}, claims=ACME, store=STORE, answer=answer
    )
    assert called.answer.reason == "Forbidden"


# -- bounds and options


async def test_the_callers_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST", 3)
    store = {f"tenants/t{n}/connectors/crm": {"key": f"s3same-{n}"} for n in range(10)}
    async with running(Credentials, {"secret": TENANTS, **BEARER}, store=store) as plugin:
        for number in range(10):
            await call(plugin, claims={"sub": "x", "tenant": f"t{number}"})
        assert len(plugin._memory) == 3


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"secret": "platform/x"}, ""),
        ({"secret": "platform/x", "headers": {"Host": "${secret.a}"}}, "headers.Host"),
        ({"secret": "platform/x", "headers": {"Cookie": "${secret.a}"}}, "headers.Cookie"),
        ({"secret": "platform/x", "headers": {"X-A": "a", "x_a": "b"}}, "headers.x_a"),
        ({"secret": "platform/x", "path": "bot"}, "path"),
        ({"secret": "platform/x", "path": "/bot/"}, "path"),
        ({"secret": "platform/x", "path": "/b", "base_url": "https://x"}, "path"),
        (
            {
                "secret": "platform/x",
                "headers": {"authorization": "a"},
                "basic": {"user": "a", "password": "b"},
            },
            "basic",
        ),
    ],
)
def test_options_that_can_not_be_meant_are_reported(options: Any, place: str) -> None:
    with pytest.raises(OptionsError) as raised:
        make(Credentials, options)
    assert place in str(raised.value)


@pytest.mark.parametrize(
    "secret",
    ["${principal.tenant}/x", "a-${principal.tenant}", "/a", "a//b", "a/../b", "", [], "a/${secret.x}",
     "tenants/${principal.roles}/x", "tenants/${request.query.t}", "tenants/${request.header.X-T}/x"],
)  # fmt: skip
def test_paths_that_could_lead_anywhere_are_refused(secret: Any) -> None:
    with pytest.raises(OptionsError):
        make(Credentials, {"secret": secret, **BEARER})


async def test_explain_says_what_is_read_and_shows_no_value() -> None:
    called = await call(
        Credentials, options={"secret": TENANTS, **BEARER}, claims=ACME, store=STORE
    )
    async with running(Credentials, {"secret": TENANTS, **BEARER}, store=STORE) as plugin:
        told = plugin.explain(called.exchange)
    assert told == [
        f"reads {TENANTS}, puts it in: header Authorization",
        "this caller's: tenants/acme/connectors/crm",
    ]


async def test_explain_says_that_the_host_is_the_secrets_and_not_the_upstreams() -> None:
    options = {"secret": TENANTS, "base_url": "${secret.base_url}"}
    called = await call(
        Credentials, options={"secret": TENANTS, **BEARER}, claims=ACME, store=STORE
    )
    async with running(Credentials, options, store=STORE) as plugin:
        told = plugin.explain(called.exchange)
    assert told[1] == (
        "sends the request to the host that the secret names, as Host too: the upstream is not asked"
    )


async def test_the_exchange_says_which_was_used_and_not_what_it_is() -> None:
    called = await call(
        Credentials, options={"secret": TENANTS, **BEARER}, claims=ACME, store=STORE
    )
    assert called.exchange.credential == TENANTS


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(Credentials, {"secret": "platform/lago", **BEARER}, store=STORE)
