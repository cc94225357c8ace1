"""The operator's pages on the public listener, for those whom `gateway.expose` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from proxy.admin.pages import Show
from proxy.config.models import Exposure, Gateway
from proxy.errors import GatewayError
from proxy.forwarded import Networks, is_private
from proxy.plugin.answer import Answer
from proxy.plugin.context import OwnHandler
from proxy.plugin.exchange import EXCHANGE

Rule = Exposure | tuple[str, ...]
Reader = Callable[[str], bool]
"""Whether an address may read a page."""


def public_pages(pages: Mapping[str, Show], gateway: Gateway) -> dict[tuple[str, str], OwnHandler]:
    """Return the handlers of the exposed pages by method and path; `pages` are by name."""
    return {
        (method, path): _handler(pages[path[1:]], allowed)
        for (method, path), allowed in readers(gateway).items()
    }


def readers(gateway: Gateway) -> dict[tuple[str, str], Reader]:
    """Return by method and path of each exposed page which addresses may read it."""
    return {
        (method, f"/{name}"): _allowed(rule)
        for name, rule in gateway.expose.items()
        for method in ("GET", "HEAD")
    }


def _handler(show: Show, allowed: Reader) -> OwnHandler:
    async def answer(request: web.BaseRequest) -> Answer:
        # To all others the page is not there: its existence is nobody's business.
        if not allowed(request[EXCHANGE].client.address):
            raise GatewayError("no_route")
        page = await show(request.headers.get("Accept", ""))
        return Answer(
            status=page.status,
            body=page.body,
            headers={"Content-Type": page.content_type, "Cache-Control": "no-store"},
            origin="gateway",
        )

    return answer


def _allowed(rule: Rule) -> Reader:
    if rule is Exposure.ANY:
        return _anybody
    if rule is Exposure.PRIVATE:
        return is_private
    assert isinstance(rule, tuple)
    return Networks(rule).__contains__


def _anybody(_address: str) -> bool:
    return True
