"""What an error of one link of a chain means as an Answer."""

from __future__ import annotations

import logging

from aiohttp import web

from proxy.errors import GatewayError
from proxy.plugin.answer import Answer
from proxy.plugin.exchange import EXCHANGE

log = logging.getLogger("brain.plugin")


def refusal(request: web.BaseRequest, error: Exception, identity: str) -> Answer:
    """Return the Answer that an error of the link `identity` means. A bug is a 500, told in the log."""
    exchange = request[EXCHANGE]
    if isinstance(error, web.HTTPException):
        answer = Answer.of(error)
        answer.origin = identity
        return answer
    if not isinstance(error, GatewayError):
        log.error("'%s' failed on route '%s'", identity, exchange.route.name, exc_info=error)
        error = GatewayError("plugin_failed", log=f"{identity}: {type(error).__name__}")
    return Answer.problem(error, request_id=exchange.request_id, service=exchange.route.service)
