"""One request through one plugin, as a gateway would run it, without sockets."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast

from aiohttp import web

from proxy.config.models import Access
from proxy.plugin.answer import Answer
from proxy.plugin.base import Authenticator, Handler, Plugin
from proxy.plugin.exchange import EXCHANGE, Client, Exchange
from proxy.plugin.outgoing import Outgoing
from proxy.runtime.asking import authenticate_link
from proxy.runtime.callbacks import finished, marked
from proxy.runtime.chain import Held, guarded, link
from proxy.server.request import Request
from proxy.tasks import Tasks
from proxy.testing.making import running
from proxy.testing.messages import (
    Body,
    Headers,
    TestRoute,
    principal,
    request_of,
    upstream_answer,
)
from proxy.testing.store import Store, values_of

ADDRESS = "203.0.113.7"
"""Where a test's client comes from, unless it says otherwise (RFC 5737)."""

UNREACHED = object()
"""As `answer`: the upstream must not be asked."""

Answers = Answer | int | Exception | Callable[[web.BaseRequest], Any] | object | None


@dataclass
class Called:
    """What came of one call.

    `outgoing` is the request as the upstream would see it, `sent` its body, None where the upstream
    was not asked; `reached` counts how often it was. `answer` is what would be sent to the client,
    `body` its body. `log` is all that was logged, tracebacks included.
    """

    exchange: Exchange
    answer: Answer
    body: bytes
    sent: bytes | None
    reached: int
    log: str

    @property
    def outgoing(self) -> Outgoing:
        """The request as the upstream would see it."""
        return self.exchange.outgoing

    def json(self) -> Any:
        """Return the answer's body as JSON."""
        return json.loads(self.body)


@dataclass
class Upstream:
    """The rest of a chain: takes the body as the forwarder does, and answers as it was told."""

    answers: Answers
    sent: bytes | None = None
    reached: int = 0
    faults: list[AssertionError] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> Answer:
        self.reached += 1
        self.sent = await _taken(request[EXCHANGE].outgoing)
        answers = self.answers
        if answers is UNREACHED:
            self.faults.append(AssertionError("the upstream was asked, and should not have been"))
            raise self.faults[0]
        if isinstance(answers, Exception):
            raise answers
        if isinstance(answers, Answer):
            return answers
        if callable(answers):
            made = answers(request)
            return cast("Answer", await made if inspect.isawaitable(made) else made)
        return upstream_answer(answers if isinstance(answers, int) else 200)


async def call(
    plugin: Plugin | type[Plugin],
    method: str = "GET",
    path: str = "/",
    *,
    options: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    store: Store | None = None,
    claims: Mapping[str, Any] | None = None,
    headers: Headers = (),
    body: Body | None = None,
    answer: Answers = None,
    client: str = ADDRESS,
    trusted: bool = False,
    route: TestRoute | None = None,
    optional: bool = False,
) -> Called:
    """Run one request through `plugin` and return what came of it.

    A class is made of `options`, set up, called and closed; an instance is only called (`running`
    gives one a life). `secrets` are further options, of which no value may be logged, told to the
    client or shown by `explain`; nor may one of `store`, which is what options of `format: secret`
    lead to: `{"platform/redis": {"url": "redis://…"}}`. `claims` are those of a caller who was
    authenticated before (`principal`). `body` is bytes, or pieces that come chunked. `answer` is
    what the upstream says: an Answer (`upstream_answer`), a status, an exception, a function of the
    request, or `UNREACHED`. `client` is the caller's address, `trusted` whether it is a trusted
    proxy. `optional` asks an authenticator as on a route that is `public: optional`.

    A plugin's error is an answer, as in a gateway. Raises OptionsError for options that a gateway
    would refuse, AssertionError for a secret that showed.
    """
    given = {**(options or {}), **(secrets or {})}
    if isinstance(plugin, type):
        async with running(plugin, given, store=store) as made:
            return await call(
                made,
                method,
                path,
                secrets=secrets,
                store=store,
                claims=claims,
                headers=headers,
                body=body,
                answer=answer,
                client=client,
                trusted=trusted,
                route=route,
                optional=optional,
            )
    request = request_of(
        method,
        path,
        headers=headers,
        body=body,
        client=Client(client, "https", "brain.example.com", trusted),
        route=route or TestRoute(),
        plugin=plugin,
    )
    if claims is not None:
        request.exchange.principal = principal(claims)
    upstream = Upstream(answer)
    with _logged() as lines:
        called = await run(chain_of(plugin, upstream, optional=optional), request)
    if upstream.faults:
        raise upstream.faults[0]
    shown = Called(request.exchange, *called, upstream.sent, upstream.reached, "\n".join(lines))
    _check_secrets({**(secrets or {}), **dict(values_of(store or {}))}, shown, plugin)
    return shown


def chain_of(plugin: Plugin, upstream: Handler, *, optional: bool = False) -> Handler:
    """Return `plugin` around `upstream`, linked as in a snapshot."""
    held, inner = Held(type(plugin).__name__, plugin), guarded("upstream", upstream)
    if isinstance(plugin, Authenticator):
        access = Access.OPTIONAL if optional else Access.REQUIRED
        return authenticate_link([held], access, inner)
    return link(held, inner)


async def run(chain: Handler, request: Request) -> tuple[Answer, bytes]:
    """Run a chain to its end, as a gateway does. Return the answer, and its body as sent."""
    exchange = request.exchange
    tasks = Tasks()
    try:
        answer = marked(request, await chain(request))
        exchange.answer, exchange.error, exchange.status = answer, answer.error, answer.status
        exchange.head_sent = perf_counter() - exchange.started
        body = b"".join([piece async for piece in answer.body])
        exchange.sent = len(body)
    finally:
        exchange.ended = perf_counter() - exchange.started
        finished(exchange, lambda coroutine, name: tasks.spawn(coroutine, name=name))
        await tasks.join(5.0)
    return answer, body


async def _taken(outgoing: Outgoing) -> bytes:
    payload = outgoing.payload()
    if payload is None or isinstance(payload, bytes):
        return payload or b""
    return b"".join([piece async for piece in payload])


_listening: set[logging.Handler] = set()
_level: list[int] = []


@contextmanager
def _logged() -> Iterator[list[str]]:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    logger, handler = logging.getLogger("brain"), Lines()
    if not _listening:  # calls may run at once: the first one finds the level as it was
        _level.append(logger.level)
    _listening.add(handler)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        _listening.discard(handler)
        if not _listening:
            logger.setLevel(_level.pop())


def _check_secrets(secrets: Mapping[str, Any], called: Called, plugin: Plugin) -> None:
    """Raise AssertionError where a secret shows; the message names the option alone."""
    told = called.body.decode(errors="replace") if called.answer.error is not None else ""
    places = {
        "the log": called.log,
        "an error's body": told,
        "explain()": "\n".join(plugin.explain(called.exchange)),
        "repr()": repr(plugin),
    }
    for option, value in secrets.items():
        for place, text in places.items():
            if str(value) and str(value) in text:
                raise AssertionError(f"the secret '{option}' shows in {place}")
