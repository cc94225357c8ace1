"""All authenticators of a route are asked by one link of its chain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from aiohttp import web

from proxy import EXCHANGE, Answer, Handler
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.plugins_for_tests import HERE, Behaviour, entry

Behave = Callable[[Behaviour], Behaviour]


KINDS = ("Token", "PlainToken")
"""One whose `authenticate` is a coroutine, and one that answers at once."""


def token(header: str, kind: str = "Token", **options: object) -> str:
    given = "".join(f", {name}: {value}" for name, value in options.items())
    return f'{{use: "{HERE}:{kind}", as: {header.lower()}, with: {{header: {header}{given}}}}}'


def closed(url: str, *entries: str, access: str = "") -> str:
    said = f"    public: {access}\n" if access else ""
    listed = ", ".join(entries)
    return f'version: 1\nservices:\n  echo:\n    upstream: "{url}"\n{said}    plugins: [{listed}]\n'


@pytest.fixture
def principals(behave: Behave) -> list[str | None]:
    """Whom the plugin `who`, which stands inside the link, saw."""
    seen: list[str | None] = []

    @behave
    async def who(asked: web.BaseRequest, handler: Handler) -> Answer:
        principal = asked[EXCHANGE].principal
        seen.append(principal and principal.by)
        return await handler(asked)

    return seen


CASES: list[tuple[list[str], int, str | None, str | None]] = [
    (["A: good"], 200, None, "A"),
    (["B: good"], 200, None, "B"),
    (["B: good", "A: good"], 200, None, "A"),
    (["A: bad", "B: good"], 200, None, "B"),
    ([], 401, "credentials_missing", None),
    (["A: bad"], 401, "credentials_expired", None),
    (["B: bad"], 401, "its_own_code", None),
    (["A: bad", "B: bad"], 401, "credentials_expired", None),
]


@pytest.mark.parametrize("kinds", [(a, b) for a in KINDS for b in KINDS])
@pytest.mark.parametrize(("sent", "status", "code", "by"), CASES)
async def test_the_first_principal_wins_and_else_the_first_bad_credential_is_told(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    principals: list[str | None],
    sent: list[str],
    status: int,
    code: str | None,
    by: str | None,
    kinds: tuple[str, str],
) -> None:
    first = token("A", kinds[0], code="credentials_expired")
    entries = (first, token("B", kinds[1], code="its_own_code"))
    running = await gateway(closed(upstream.url, *entries, entry("who")))
    reply = await running.get("/api/brain/echo/", *sent)
    assert reply.status == status
    if code is None:
        assert principals == [by]
        return
    assert json.loads(reply.body)["code"] == code
    assert reply.header("WWW-Authenticate") == 'Token realm="A", Token realm="B"'
    assert principals == []
    assert upstream.seen == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sent", "status", "by"), [([], 200, None), (["A: good"], 200, "A"), (["A: bad"], 401, None)]
)
async def test_optional_lets_nobody_pass_with_a_bad_credential(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    principals: list[str | None],
    sent: list[str],
    status: int,
    by: str | None,
    kind: str,
) -> None:
    entries = (token("A", kind), entry("who"))
    running = await gateway(closed(upstream.url, *entries, access="optional"))
    assert (await running.get("/api/brain/echo/", *sent)).status == status
    assert principals == ([by] if status == 200 else [])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bug_of_an_authenticator_lets_nobody_in_and_is_told_with_its_name(
    kind: str,
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    principals: list[str | None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    entries = (token("A", kind, bug="true"), token("B"), entry("who"))
    running = await gateway(closed(upstream.url, *entries))
    assert (await running.get("/api/brain/echo/", "B: good")).status == 500
    assert "'a' failed on route 'echo" in caplog.text
    assert upstream.seen == []


AWAY: list[tuple[list[str], int, str | None]] = [
    (["B: good"], 200, None),
    (["B: bad"], 401, "credentials_invalid"),
    (["A: good"], 503, "keys_unavailable"),
    ([], 503, "keys_unavailable"),
]


@pytest.mark.parametrize("access", ["", "optional"])
@pytest.mark.parametrize(("sent", "status", "code"), AWAY)
async def test_an_authenticator_that_is_away_keeps_nobody_out_whom_another_knows(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    sent: list[str],
    status: int,
    code: str | None,
    access: str,
) -> None:
    running = await gateway(
        closed(upstream.url, token("A", away="true"), token("B"), access=access)
    )
    reply = await running.get("/api/brain/echo/", *sent)
    assert reply.status == status
    if code is not None:
        assert json.loads(reply.body)["code"] == code
    if status == 503:
        assert reply.header("Retry-After") is not None
        assert reply.header("WWW-Authenticate") is None


async def test_an_inner_level_replaces_the_authenticators_of_the_outer(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [{token("A")}]
        services:
          outer: {{upstream: "{upstream.url}"}}
          inner: {{upstream: "{upstream.url}", plugins: [{token("B")}]}}
          both: {{upstream: "{upstream.url}", plugins: [a, {token("B")}]}}
        """
    )

    async def get(service: str, sent: str) -> int:
        return (await running.get(f"/api/brain/{service}/", sent)).status

    for service, letters in {"outer": "A", "inner": "B", "both": "AB"}.items():
        found = [letter for letter in "AB" if await get(service, f"{letter}: good") == 200]
        assert "".join(found) == letters


async def test_no_route_answers_without_asking_anybody(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [{token("A", bug="true")}]
        services:
          echo: {{upstream: "{upstream.url}"}}
        """
    )
    assert (await running.get("/nowhere")).status == 404
    await asyncio.sleep(0)
