"""Billing: customers and invoices under /api/v1, read only, in the shapes of Lago's API."""

from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.demo.keys import LAGO_KEY

_CUSTOMERS: Final = [
    {"external_id": "acme", "name": "Acme", "currency": "EUR"},
    {"external_id": "lotus", "name": "Lotus", "currency": "USD"},
]
_INVOICES: Final = [
    {"number": "ACM-001", "status": "finalized", "total_amount_cents": 1200, "currency": "EUR"},
    {"number": "LOT-001", "status": "draft", "total_amount_cents": 4500, "currency": "USD"},
]


def application() -> web.Application:
    app = web.Application(middlewares=[key_needed])
    app.add_routes(
        [
            web.get("/api/v1/customers", list_customers),
            web.get("/api/v1/customers/{external_id}", read_customer),
            web.get("/api/v1/invoices", list_invoices),
        ]
    )
    return app


@web.middleware
async def key_needed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """`Authorization: Bearer KEY`, else Lago's 401."""
    if request.headers.get("Authorization") != f"Bearer {LAGO_KEY}":
        return web.json_response({"status": 401, "error": "Unauthorized"}, status=401)
    return await handler(request)


async def list_customers(request: web.Request) -> web.Response:
    return _listed("customers", _CUSTOMERS)


async def list_invoices(request: web.Request) -> web.Response:
    return _listed("invoices", _INVOICES)


def _listed(name: str, rows: list[dict[str, Any]]) -> web.Response:
    meta = {"current_page": 1, "next_page": None, "total_pages": 1, "total_count": len(rows)}
    return web.json_response({name: rows, "meta": meta})


async def read_customer(request: web.Request) -> web.Response:
    wanted = request.match_info["external_id"]
    for customer in _CUSTOMERS:
        if customer["external_id"] == wanted:
            return web.json_response({"customer": customer})
    missing = {"status": 404, "error": "Not Found", "code": "customer_not_found"}
    return web.json_response(missing, status=404)
