"""`call`: a plugin meets what it would meet in a gateway, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

import pytest
from aiohttp import web

from proxy import (
    EXCHANGE,
    Answer,
    Authenticator,
    Exchange,
    GatewayError,
    Handler,
    Plugin,
    PluginContext,
    Principal,
    Problem,
    Unauthenticated,
    Unavailable,
)
from proxy.testing import UNREACHED, call, make, principal, running, upstream_answer
from proxy.testing.making import OptionsError
from proxy.testing.messages import TestRoute


class Nothing(Plugin):
    """Does nothing."""


class Shown(Plugin):
    """Shows its options, its life and what it was asked."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "pause": {"type": "string", "format": "duration", "default": "2s"},
            "token": {"type": "string", "writeOnly": True, "default": ""},
            "even": {"type": "integer", "default": 2},
            "leaks": {"type": "string", "default": ""},
        },
    }
    life: ClassVar[list[str]] = []

    def __init__(self, *, pause: float, token: str, even: int, leaks: str) -> None:
        self.pause = pause
        self._token = token
        self._even = even
        self._leaks = leaks

    def __repr__(self) -> str:
        return f"<Shown {self._token if self._leaks == 'repr' else ''}>"

    def check(self, problems: Any) -> None:
        if self._even % 2:
            problems.add("even", "expected an even number")

    def explain(self, exchange: Exchange) -> list[str]:
        return [self._token] if self._leaks == "explain" else []

    async def setup(self, context: PluginContext) -> None:
        self._context = context
        self.life.append("setup")

    async def close(self) -> None:
        self.life.append("close")

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        if self._leaks == "log":
            self._context.logger.warning("with %s", self._token)
        if self._leaks == "answer":
            raise Problem(400, "told", f"not {self._token}")
        return await handler(request)


class Key(Authenticator):
    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        key = request.headers.get("X-Key")
        if key is None:
            return None
        if key != "good":
            raise Unauthenticated()
        return Principal("ada")

    def challenge(self) -> str | None:
        return "Key"


def plugin(function: Any) -> Plugin:
    class Made(Plugin):
        def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
            result: Awaitable[Answer] = function(request, handler)
            return result

    return Made()


async def test_a_class_is_made_set_up_and_closed_with_its_options_converted() -> None:
    Shown.life.clear()
    called = await call(Shown, options={"pause": "250ms"})
    assert called.answer.status == 200
    assert Shown.life == ["setup", "close"]
    assert make(Shown, {"pause": "250ms"}).pause == 0.25


@pytest.mark.parametrize(
    ("options", "at", "said"),
    [
        ({"pauze": "1s"}, "", "'pauze' was unexpected"),
        ({"pause": 7}, "pause", "is not of type 'string'"),
        ({"pause": "soon"}, "", "expected a duration"),
        ({"even": 3}, "even", "expected an even number"),
    ],
)
async def test_options_that_a_gateway_would_refuse_are_refused(
    options: dict[str, Any], at: str, said: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        await call(Shown, options=options)
    assert said in caught.value.problems[at]


async def test_what_the_client_may_not_say_is_gone_and_the_rest_as_it_was() -> None:
    called = await call(
        Nothing,
        "GET",
        "/api/brain/test/a%2Fb?x=1",
        headers=[("X-User-Id", "1"), ("Connection", "x-hop"), ("X-Hop", "1"), ("X-A", "1")],
    )
    assert called.outgoing.target == "/a%2Fb?x=1"
    assert list(called.outgoing.headers.items()) == [("X-A", "1")]
    assert called.exchange.prefix == "/api/brain/test"


@pytest.mark.parametrize("body", [b"abc", [b"a", b"bc"]])
async def test_a_body_is_sent_as_it_came(body: Any) -> None:
    called = await call(Nothing, "POST", body=body)
    assert called.sent == b"abc"


async def test_a_body_that_a_plugin_reads_or_wraps_is_what_is_sent() -> None:
    async def reads(request: web.BaseRequest, handler: Handler) -> Answer:
        outgoing = request[EXCHANGE].outgoing
        outgoing.replace((await outgoing.read(10)).upper())
        return await handler(request)

    assert (await call(plugin(reads), "POST", body=b"abc")).sent == b"ABC"
    too_large = await call(plugin(reads), "POST", body=[b"abc"] * 5, answer=UNREACHED)
    assert (too_large.answer.status, too_large.reached) == (413, 0)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (None, 200, b""),
        (204, 204, b""),
        (upstream_answer(201, body=b"made"), 201, b"made"),
        (lambda request: upstream_answer(body=request.method.encode()), 200, b"GET"),
    ],
)
async def test_the_upstream_says_what_a_test_tells_it(
    answer: Any, status: int, body: bytes
) -> None:
    called = await call(Nothing, answer=answer)
    assert (called.answer.status, called.body, called.reached) == (status, body, 1)


async def test_what_the_upstream_raises_is_an_answer_by_the_time_a_plugin_sees_it() -> None:
    seen: list[Answer] = []

    async def watches(request: web.BaseRequest, handler: Handler) -> Answer:
        seen.append(await handler(request))
        return seen[0]

    called = await call(plugin(watches), answer=GatewayError("upstream_connect_refused"))
    assert seen[0].status == called.answer.status == 502
    assert called.json()["code"] == "upstream_connect_refused"


async def test_an_upstream_that_must_not_be_asked_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="should not have been"):
        await call(Nothing, answer=UNREACHED)


async def test_a_bug_of_the_plugin_is_a_500_and_in_the_log_with_its_traceback() -> None:
    async def buggy(request: web.BaseRequest, handler: Handler) -> Answer:
        raise KeyError("here")

    called = await call(plugin(buggy))
    assert called.answer.status == 500
    assert "'Made' failed on route 'test'" in called.log
    assert "KeyError: 'here'" in called.log


async def test_claims_make_the_principal_that_was_authenticated_before() -> None:
    called = await call(Nothing, claims={"sub": "ada", "tenant_id": "t1", "plan": "pro"})
    principal = called.exchange.principal
    assert principal is not None
    assert (principal.subject, principal.tenant) == ("ada", "t1")
    assert principal.claims["plan"] == "pro"


@pytest.mark.parametrize(
    ("claims", "scopes", "roles", "tenant"),
    [
        ({"scope": "a b", "groups": ["Admin"]}, {"a", "b"}, {"Admin"}, None),
        ({"scopes": ["a"], "roles": ["r"], "tenant": "t7"}, {"a"}, {"r"}, "t7"),
        ({}, set(), set(), None),
    ],
)
def test_claims_of_the_usual_names_are_understood(
    claims: dict[str, Any], scopes: set[str], roles: set[str], tenant: str | None
) -> None:
    found = principal(claims)
    assert (found.scopes, found.roles, found.tenant) == (scopes, roles, tenant)


@pytest.mark.parametrize(
    ("headers", "optional", "status"),
    [
        ({"X-Key": "good"}, False, 200),
        ({"X-Key": "bad"}, False, 401),
        ({"X-Key": "bad"}, True, 401),
        ({}, False, 401),
        ({}, True, 200),
    ],
)
async def test_an_authenticator_is_asked_by_its_link(
    headers: dict[str, str], optional: bool, status: int
) -> None:
    called = await call(Key(), headers=headers, optional=optional)
    assert called.answer.status == status
    if status == 401:
        assert called.answer.headers["WWW-Authenticate"] == "Key"


async def test_path_values_are_what_the_route_of_a_test_says() -> None:
    async def shows(request: web.BaseRequest, handler: Handler) -> Answer:
        return Answer(body=(request[EXCHANGE].path_value("id") or "none").encode())

    called = await call(plugin(shows), route=TestRoute(values={"id": "7"}))
    assert called.body == b"7"


async def test_callbacks_for_the_answer_and_for_the_end_are_called() -> None:
    ended: list[tuple[int, int]] = []

    async def later(exchange: Exchange) -> None:
        await asyncio.sleep(0)
        ended.append((exchange.status, exchange.sent))

    def registers(request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        request[EXCHANGE].on_answer(lambda _, answer: answer.add_header("X-Marked", "yes"))
        request[EXCHANGE].on_finish(later)
        return handler(request)

    called = await call(plugin(registers), answer=upstream_answer(body=b"four"))
    assert called.answer.header("X-Marked") == "yes"
    assert ended == [(200, 4)]


@pytest.mark.parametrize(
    ("leaks", "place"),
    [
        ("log", "the log"),
        ("answer", "an error's body"),
        ("explain", r"explain\(\)"),
        ("repr", r"repr\(\)"),
    ],
)
async def test_a_secret_that_shows_fails_the_test_and_is_not_repeated(
    leaks: str, place: str
) -> None:
    with pytest.raises(AssertionError, match=f"the secret 'token' shows in {place}") as caught:
        await call(Shown, options={"leaks": leaks}, secrets={"token": "open-sesame"})
    assert "open-sesame" not in str(caught.value)


async def test_a_secret_that_shows_nowhere_passes() -> None:
    assert (await call(Shown, secrets={"token": "open-sesame"})).answer.status == 200


async def test_a_setup_that_refuses_is_raised_and_closed() -> None:
    class Away(Shown):
        async def setup(self, context: PluginContext) -> None:
            raise Unavailable("the store is sealed")

    Away.life.clear()
    with pytest.raises(Unavailable, match="sealed"):
        async with running(Away):
            pass
    assert Away.life == ["close"]


async def test_calls_at_once_leave_the_level_of_the_log_as_it_was() -> None:
    logger = logging.getLogger("brain")
    before = logger.level
    await asyncio.gather(*(call(Plugin) for _ in range(3)))
    assert logger.level == before
