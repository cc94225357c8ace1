"""What a caller hears whom the service does not let in: the service's own words."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from plugins.forward_auth.verdict import Refused
from proxy import EXCHANGE, Answer, GatewayError


def relayed(request: web.BaseRequest, refused: Refused, code: str, origin: str) -> Answer | None:
    """Return the service's answer for the client; a problem body where it has none.

    None for a redirect that no page asked for: a script would follow it to a login that it can't
    read, and lose what it sent. `code` is what a 401 means.
    """
    if refused.redirects and not _takes_pages(request):
        return None
    answer = _answer(request, refused, code, origin)
    answer.headers.extend(refused.headers)
    answer.headers["Cache-Control"] = "no-store"  # it speaks of one caller
    return answer


def _answer(request: web.BaseRequest, refused: Refused, code: str, origin: str) -> Answer:
    if refused.redirects:
        return Answer(status=refused.status, body=refused.body, origin=origin)
    forbidden = refused.status == HTTPStatus.FORBIDDEN
    error = GatewayError("auth_refused" if forbidden else code, log=f"said by {origin}")
    if refused.body:
        answer = Answer(status=refused.status, body=refused.body, origin=origin)
        answer.error = error
        return answer
    refused.headers.popall("Content-Type", None)
    exchange = request[EXCHANGE]
    return Answer.problem(error, request_id=exchange.request_id, service=exchange.route.service)


def _takes_pages(request: web.BaseRequest) -> bool:
    """Tell whether a redirect may lead its reader somewhere: by Sec-Fetch-Mode, else by Accept."""
    headers = request.headers
    if "Upgrade" in headers or headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        return False
    accepted = headers.get("Accept", "*/*").lower()
    return "text/html" in accepted or "*/*" in accepted
