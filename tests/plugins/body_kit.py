"""What the tests of `body-transform` share: requests and answers with JSON bodies."""

from __future__ import annotations

from typing import Any

from plugin_kit import Kit, handler_of, request_of

from plugins.body_transform import BodyTransform
from proxy import EXCHANGE, Answer
from proxy.headers import encode

JSON = {"Content-Type": "application/json"}
HTML = ("Content-Type", "text/html")


def asked(body: bytes, headers: dict[str, str] | None = None, **received: str) -> Any:
    """Return a request whose outgoing body is `body`; `received` are headers as the client sent."""
    request = request_of("POST", headers=received, sent_on=JSON if headers is None else headers)
    request[EXCHANGE].outgoing.hold(body)
    return request


async def sent_on(kit: Kit, body: bytes, edits: dict[str, Any], **how: Any) -> bytes:
    request = asked(body, **how)
    await kit.make(BodyTransform, {"request": edits})(request, handler_of())
    sent: bytes = await request[EXCHANGE].outgoing.read(10_000_000)
    return sent


def answer_of(body: bytes, *fields: tuple[str, str], status: int = 200) -> Answer:
    given = fields or (("Content-Type", "application/json"),)
    raw = [(encode(k), encode(v)) for k, v in (*given, ("Content-Length", str(len(body))))]
    return Answer.from_upstream(status, "", raw, body, framed=True)


async def answered(kit: Kit, answer: Answer, edits: dict[str, Any], request: Any = None) -> Answer:
    plugin = kit.make(BodyTransform, {"response": edits})
    return await plugin(request_of() if request is None else request, handler_of(answer))


def code_of(raised: Any) -> tuple[int, str]:
    return raised.value.status, raised.value.code
