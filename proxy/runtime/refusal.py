"""What an error of one link of a chain means as an Answer."""

from __future__ import annotations

import logging
from http import HTTPStatus

from aiohttp import web

from proxy.codes import Side
from proxy.errors import GatewayError, Unauthenticated, Unavailable
from proxy.plugin.answer import Answer
from proxy.plugin.exchange import EXCHANGE, Exchange

log = logging.getLogger("brain.plugin")


def refusal(request: web.BaseRequest, error: Exception, identity: str) -> Answer:
    """Return the Answer that an error of the link `identity` means. A bug is a 500, told in the log.

    Whatever is refused, this raises nothing: it is what makes a handler always return an Answer.
    """
    exchange = request[EXCHANGE]
    try:
        return _told(exchange, error, identity)
    except Exception as bug:  # such as an HTTPException whose body is a file
        return _problem(exchange, _failed(exchange, bug, identity))
    finally:
        forget_frames(error)


def _told(exchange: Exchange, error: Exception, identity: str) -> Answer:
    if isinstance(error, web.HTTPException):
        answer = Answer.of(error)
        answer.origin = identity
        return answer
    if isinstance(error, Unauthenticated) and error.answer is not None:
        return _own_words(error, error.answer)
    if isinstance(error, Unavailable):
        error = error.refusal()
    elif not isinstance(error, GatewayError):
        error = _failed(exchange, error, identity)
    return _problem(exchange, error)


def _own_words(error: Unauthenticated, answer: Answer) -> Answer:
    """Return the answer that an authenticator has for its caller; a redirect is no error."""
    error.answer = None  # a cycle otherwise
    if answer.status == HTTPStatus.UNAUTHORIZED:
        for name, value in error.headers.items():
            answer.add_header(name, value)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        answer.error = answer.error or error
    return answer


def _problem(exchange: Exchange, error: GatewayError) -> Answer:
    received = None
    if error.side is Side.UPSTREAM:
        answered = [one.status for one in exchange.attempts if one.status is not None]
        received = answered[-1] if answered else None
    return Answer.problem(
        error,
        request_id=exchange.request_id,
        service=exchange.route.service,
        received=received,
    )


def _failed(exchange: Exchange, bug: Exception, identity: str) -> GatewayError:
    log.error(
        "'%s' failed on route '%s'",
        identity,
        exchange.route.name,
        exc_info=bug,
        extra={
            "plugin": identity,
            "route": exchange.route.name,
            "request_id": exchange.request_id or None,
        },
    )
    return GatewayError("plugin_failed", log=f"{identity}: {type(bug).__name__}")


def forget_frames(error: BaseException) -> None:
    """Drop the traceback and what stood behind the error.

    The exchange keeps its error until it is over, and the frames of a traceback hold the request:
    left there, every error would make a cycle for the garbage collector.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
