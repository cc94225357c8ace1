"""What no plugin touched goes on as the very objects that came, not as equal ones."""

from __future__ import annotations

import pytest
from aiohttp import web

from proxy import EXCHANGE, Answer, Client, Handler, Plugin
from proxy.testing import call, upstream_answer
from proxy.testing.messages import TestRoute, request_of

FIELDS = [("X-A", "1"), ("x-b", "2")]


class Waits(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        return await handler(request)


class Looks(Plugin):
    """Looks at one header and appends another: both leave the raw way as it is."""

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        request[EXCHANGE].outgoing.add_header("X-Sent", "1")
        answer = await handler(request)
        assert answer.header("x-a") == "1"
        answer.add_header("X-Told", "1")
        return answer


class Touches(Plugin):
    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(request)
        answer.headers["X-A"] = "2"
        return answer


@pytest.mark.parametrize(
    ("plugin", "raw"), [(Plugin, True), (Waits, True), (Looks, True), (Touches, False)]
)
async def test_an_answers_fields_and_body_are_those_that_came(
    plugin: type[Plugin], raw: bool
) -> None:
    body = b"whole"
    answer = upstream_answer(headers=FIELDS, body=body)
    fields = answer.wire_fields()
    called = await call(plugin, answer=answer)
    assert called.answer is answer
    assert (answer.wire_fields() is fields) == raw
    assert answer._content is body


def test_a_request_that_nobody_touches_keeps_its_raw_fields() -> None:
    request = request_of(
        "GET", "/", headers=FIELDS, client=Client("203.0.113.7", "http", "a"), route=TestRoute()
    )
    outgoing = request.exchange.outgoing
    fields = outgoing.wire_fields()
    assert outgoing.header("X-A") == "1"
    assert outgoing.wire_fields() is fields
    assert [pair for pair in fields if pair in request.fields] == list(fields)
