"""The crews' chat: a stream of events, and a WebSocket that answers what it is told."""

import asyncio
import json
import weakref
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

SUBPROTOCOL: Final = "chat.v1"

_SOCKETS: Final = web.AppKey("sockets", weakref.WeakSet[web.WebSocketResponse])
_PAUSE: Final = 0.2  # seconds; wide enough that a gateway which buffers is seen to do so
_WORDS: Final = ("Let", "me", "think", "about", "that")


def add_to(app: web.Application) -> None:
    app[_SOCKETS] = weakref.WeakSet()
    app.add_routes([web.get("/chat/events", events), web.get("/chat/ws/{session}", socket)])
    app.on_shutdown.append(_say_goodbye)


async def events(request: web.Request) -> web.StreamResponse:
    """Five events, 200 ms apart; a reader that comes back names the last it saw and gets the rest.

    The format is that of the HTML standard, section 9.2 (server-sent events).
    """
    response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    for number in range(_seen(request) + 1, len(_WORDS) + 1):
        data = json.dumps({"word": _WORDS[number - 1]})
        await response.write(f"id: {number}\nevent: word\ndata: {data}\n\n".encode())
        await asyncio.sleep(_PAUSE)
    return response


def _seen(request: web.Request) -> int:
    last = request.headers.get("Last-Event-ID", "0")
    return int(last) if last.isascii() and last.isdigit() else 0


async def socket(request: web.Request) -> web.StreamResponse:
    """Sends back every message as it came; the session `forbidden` gets 403 and no upgrade."""
    if request.match_info["session"] == "forbidden":
        return web.json_response({"detail": "Not your session"}, status=403)
    response = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
    await response.prepare(request)
    request.app[_SOCKETS].add(response)
    await _echo(response)
    return response


async def _echo(response: web.WebSocketResponse) -> None:
    async for message in response:
        if message.type is WSMsgType.TEXT:
            await response.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await response.send_bytes(message.data)


async def _say_goodbye(app: web.Application) -> None:
    # The handlers would else wait for their clients until the shutdown's time is up.
    sockets = app[_SOCKETS]
    for response in list(sockets):
        await response.close(code=WSCloseCode.GOING_AWAY, message=b"demo ends")
