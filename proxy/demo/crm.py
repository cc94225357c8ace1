"""The CRM: contacts of each account under /api/contacts/, and a login that sets two cookies."""

import json
from typing import Any, Final

from aiohttp import web

from proxy.demo.django import (
    ACCOUNT,
    append_slash,
    detailed_errors,
    log_in,
    page_of,
    rendered,
    token_needed,
)
from proxy.demo.keys import CRM_KEYS

Contact = dict[str, Any]

_CONTACTS: Final = web.AppKey("contacts", dict[str, dict[int, Contact]])
_FIELDS: Final = ("name", "email", "company")


def application() -> web.Application:
    app = web.Application(middlewares=[append_slash, detailed_errors, token_needed(CRM_KEYS)])
    app[_CONTACTS] = {
        account: {row["id"]: row for row in _first_contacts()} for account in CRM_KEYS.values()
    }
    app.add_routes(
        [
            web.get("/api/contacts/", list_contacts),
            web.post("/api/contacts/", create_contact),
            web.options("/api/contacts/", describe),
            web.get(r"/api/contacts/{id:\d+}/", read_contact),
            web.put(r"/api/contacts/{id:\d+}/", replace_contact),
            web.patch(r"/api/contacts/{id:\d+}/", change_contact),
            web.delete(r"/api/contacts/{id:\d+}/", delete_contact),
            web.options(r"/api/contacts/{id:\d+}/", describe),
            web.get("/api/account/", whose_account),
            web.post("/api/auth/login/", login),
            web.get("/api/auth/me/", who_am_i),
        ]
    )
    return app


def _first_contacts() -> list[Contact]:
    return [
        {"id": 1, "name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical"},
        {"id": 2, "name": "Ørsted, Søren", "email": "soren@example.com", "company": "Nordlys"},
        {"id": 3, "name": "Mei 美", "email": "mei@example.com", "company": "Lotus"},
    ]


def _contacts(request: web.Request) -> dict[int, Contact]:
    """Those of the account whose key the request has: no key opens another's."""
    return request.app[_CONTACTS][request[ACCOUNT]]


async def list_contacts(request: web.Request) -> web.Response:
    return rendered(request, page_of(request, list(_contacts(request).values())))


async def create_contact(request: web.Request) -> web.Response:
    contacts = _contacts(request)
    fields = await _fields(request, required=_FIELDS[:2])
    contact: Contact = {"id": max(contacts, default=0) + 1, "company": "", **fields}
    contacts[contact["id"]] = contact
    place = str(request.url.with_query(None) / f"{contact['id']}/")
    return rendered(request, contact, 201, {"Location": place})


async def read_contact(request: web.Request) -> web.Response:
    return rendered(request, _wanted(request))


async def replace_contact(request: web.Request) -> web.Response:
    return await _update(request, required=_FIELDS[:2])


async def change_contact(request: web.Request) -> web.Response:
    return await _update(request, required=())


async def _update(request: web.Request, required: tuple[str, ...]) -> web.Response:
    contact = _wanted(request)
    contact.update(await _fields(request, required))
    return rendered(request, contact)


async def delete_contact(request: web.Request) -> web.Response:
    del _contacts(request)[_wanted(request)["id"]]
    return web.Response(status=204)


async def describe(request: web.Request) -> web.Response:
    """What REST framework says to OPTIONS: an answer of the service, not a CORS preflight."""
    single = "id" in request.match_info
    allow = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS" if single else "GET, POST, HEAD, OPTIONS"
    name = "Contact Instance" if single else "Contact List"
    about = {"name": name, "renders": ["application/json"], "parses": ["application/json"]}
    return rendered(request, about, headers={"Allow": allow})


async def whose_account(request: web.Request) -> web.Response:
    """Tells by whose key the request came: the account's name, never the key."""
    return rendered(request, {"account": request[ACCOUNT]})


async def login(request: web.Request) -> web.Response:
    response = rendered(request, {"detail": "Logged in."})
    log_in(response)
    return response


async def who_am_i(request: web.Request) -> web.Response:
    """Shows the names, not the values, of the cookies that found their way back."""
    return rendered(request, {"cookies": sorted(request.cookies)})


def _wanted(request: web.Request) -> Contact:
    contact = _contacts(request).get(int(request.match_info["id"]))
    if contact is None:
        raise web.HTTPNotFound(reason="No Contact matches the given query.")
    return contact


async def _fields(request: web.Request, required: tuple[str, ...]) -> Contact:
    """The known fields of the body; raises 400 with the framework's bodies."""
    try:
        body = json.loads(await request.text())
    except ValueError:
        raise web.HTTPBadRequest(reason="JSON parse error") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="Invalid data. Expected a dictionary.")
    for name in required:
        if not body.get(name):
            raise web.HTTPBadRequest(reason=f"{name}: This field is required.")
    return {name: body[name] for name in _FIELDS if name in body}
