"""The gateway of before, behind `fallback`: whatever is asked, it says what reached it."""

from aiohttp import web


def application() -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", describe)
    return app


async def describe(request: web.Request) -> web.Response:
    """The path unquoted and headers one by one, so that what a gateway changed is seen."""
    received = sum([len(chunk) async for chunk in request.content.iter_any()])
    return web.json_response(
        {
            "service": "old-gateway",
            "method": request.method,
            "path": request.raw_path,
            "headers": list(request.headers.items()),
            "received": received,
        }
    )
