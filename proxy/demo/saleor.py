"""The shop: GraphQL at /graphql/, with and only with its slash, as Saleor has it."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

_PRODUCTS: Final = [
    {"id": "UHJvZHVjdDox", "name": "Apple juice", "slug": "apple-juice"},
    {"id": "UHJvZHVjdDoy", "name": "Carrot juice", "slug": "carrot-juice"},
]
# Whole top-level fields; what a query picks inside them is not looked at.
_FIELDS: Final[Mapping[str, Any]] = {
    "shop": {"name": "Demo shop"},
    "products": {"totalCount": len(_PRODUCTS), "edges": [{"node": row} for row in _PRODUCTS]},
}
_PAGE: Final = "<!doctype html><title>GraphQL</title><p>POST a query to this address.\n"


def application() -> web.Application:
    app = web.Application()
    app.add_routes([web.post("/graphql/", execute), web.get("/graphql/", page)])
    return app


async def page(request: web.Request) -> web.Response:
    """Where Saleor shows its playground to browsers."""
    return web.Response(text=_PAGE, content_type="text/html")


async def execute(request: web.Request) -> web.Response:
    try:
        body = json.loads(await request.text())
    except ValueError:
        return _refusal("Unable to parse query.")
    query = body.get("query") if isinstance(body, dict) else None
    if not isinstance(query, str):
        return _refusal("Must provide a query string.")
    data = {name: _FIELDS[name] for name in _FIELDS if re.search(rf"\b{name}\b", query)}
    return web.json_response({"data": data}) if data else _refusal("Cannot query this field.")


def _refusal(message: str) -> web.Response:
    return web.json_response({"errors": [{"message": message}]}, status=400)
