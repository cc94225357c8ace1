"""A reverse proxy as tutorials write it with aiohttp: ``python -m bench.proxies.usual_app P U``.

One ``web.Application``, one ``ClientSession``, uvloop; streams both ways; drops the hop-by-hop
headers and adds ``X-Forwarded-For``. Kept as it is, faults included: it is the mark to beat.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

HOP_BY_HOP = frozenset(
    (
        "connection",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
SESSION = web.AppKey("session", aiohttp.ClientSession)


async def proxy(request: web.Request) -> web.StreamResponse:
    headers = request.headers.copy()
    for name in HOP_BY_HOP & {name.lower() for name in headers}:
        del headers[name]
    headers["X-Forwarded-For"] = request.remote or ""
    async with request.app[SESSION].request(
        request.method,
        f"http://127.0.0.1:{sys.argv[2]}{request.path_qs}",
        headers=headers,
        data=request.content if request.body_exists else None,
        allow_redirects=False,
    ) as upstream:
        return await relay(request, upstream)


async def relay(request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    answer = web.StreamResponse(status=upstream.status)
    for name, value in upstream.headers.items():
        if name.lower() not in HOP_BY_HOP:
            answer.headers.add(name, value)
    await answer.prepare(request)
    async for chunk in upstream.content.iter_any():
        await answer.write(chunk)
    await answer.write_eof()
    return answer


async def session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        app[SESSION] = opened
        yield


def main() -> None:
    app = web.Application(client_max_size=1 << 30)
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", proxy)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, loop=loop)


if __name__ == "__main__":
    main()
