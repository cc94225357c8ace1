"""`GET /revisions` and `POST /rollback` of the control socket."""

from __future__ import annotations

from aiohttp import web

from proxy.errors import ConfigError
from proxy.revisions.accepted import Revisions


def add_pages(router: web.UrlDispatcher, revisions: Revisions) -> None:
    """Add both to a control application."""

    async def listing(_request: web.Request) -> web.Response:
        try:
            return web.json_response(await revisions.listing())
        except ConfigError as error:
            return _refused(error)

    async def rollback(request: web.Request) -> web.Response:
        try:
            found, outcome = await revisions.roll_back(request.query.get("revision", ""))
        except ConfigError as error:
            return _refused(error)
        told = {"kept": found.revision, "changed": outcome.changed, "notes": outcome.notes}
        if outcome.error is not None:
            return web.json_response({"error": outcome.error, **told}, status=409)
        return web.json_response({"revision": revisions.serves, **told})

    router.add_get("/revisions", listing)
    router.add_post("/rollback", rollback)


def _refused(error: ConfigError) -> web.Response:
    text = str(error) + (f"\n  {error.hint}" if error.hint else "")
    return web.json_response({"error": text}, status=409)
