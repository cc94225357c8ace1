"""The admin listener: the operator's pages over HTTP, on an address of their own."""

from __future__ import annotations

import ipaddress
import socket

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from proxy.admin.pages import Page, Pages, Show
from proxy.errors import GatewayError, problem_body


async def start_admin(pages: Pages, sock: socket.socket, host: str) -> web.AppRunner:
    """Serve the pages on a bound socket. Close by `runner.cleanup()`."""
    app = web.Application(middlewares=[_own_host_only(host)])
    for name, show in pages.by_name.items():
        app.router.add_get(f"/{name}", _handler(show))
    app.router.add_route("*", "/{other:.*}", _no_such_page(pages))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner


def _handler(show: Show) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return _response(await show(request.headers.get("Accept", "")))

    return answer


def _no_such_page(pages: Pages) -> Handler:
    """Answer what no page takes, a wrong method on a page included."""
    known = [f"/{name}" for name in pages.by_name]

    async def answer(request: web.Request) -> web.Response:
        detail = f"There is no such page. The pages are {', '.join(known)}; they are read by GET."
        status = 405 if request.path in known else 404
        headers = {"Allow": "GET, HEAD"} if status == 405 else None
        return web.json_response({"detail": detail, "pages": known}, status=status, headers=headers)

    return answer


def _response(page: Page) -> web.Response:
    return web.Response(
        status=page.status,
        body=page.body,
        headers={"Content-Type": page.content_type, "Cache-Control": "no-store"},
    )


def _own_host_only(host: str) -> Middleware:
    """Refuse requests that name another host: a web page could reach this address by DNS rebinding.

    A name with a dot may be anybody's; addresses, `localhost` and names without a dot (a container's)
    are not registered by strangers.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = _host_of(request.headers.get("Host", ""))
        if not (named == host.lower() or "." not in named or _is_address(named)):
            error = GatewayError("host_refused")
            body = problem_body(error, request_id="", service=None)
            return web.Response(
                status=error.status, body=body, content_type="application/problem+json"
            )
        return await handler(request)

    return check


def _host_of(header: str) -> str:
    """Return the host of a Host header, in lower case, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
