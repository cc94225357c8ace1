"""Habits of a Django REST service that a proxy has to live with, apart from what it serves.

They follow Django's CommonMiddleware and sessions, and Django REST framework's renderer, pages
and error bodies: https://www.django-rest-framework.org/api-guide/.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

ACCOUNT: Final = web.RequestKey("account", str)
"""Whose key a request has, where one is needed."""

_INDENT = re.compile(r"indent=(\d)\b")
_BASE: Final = "/api"  # where the service begins on its own host; a public prefix replaces it
_PAGE_SIZE: Final = 2  # small, so that the demo's few rows already make pages


def rendered(
    request: web.Request, data: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """JSON, indented when `Accept: application/json; indent=4` asks for it.

    Indented answers once broke in a gateway that parsed and wrote them again under the old length.
    """
    wanted = _INDENT.search(request.headers.get("Accept", ""))
    indent = int(wanted[1]) if wanted else None
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def page_of(request: web.Request, rows: Sequence[Any]) -> dict[str, Any]:
    """One page of `rows`; raises 404 for a page that is not there, as the framework does."""
    text = request.query.get("page", "1")
    number = int(text) if text.isascii() and text.isdigit() else 0
    last = max(1, -(-len(rows) // _PAGE_SIZE))
    if not 1 <= number <= last:
        raise web.HTTPNotFound(reason="Invalid page.")
    return {
        "count": len(rows),
        "next": _page_link(request, number + 1) if number < last else None,
        "previous": _page_link(request, number - 1) if number > 1 else None,
        "results": rows[(number - 1) * _PAGE_SIZE : number * _PAGE_SIZE],
    }


def _page_link(request: web.Request, number: int) -> str:
    """By the address that the client used, as with USE_X_FORWARDED_HOST and FORCE_SCRIPT_NAME.

    A gateway rewrites a Location; a link inside a body is the service's own to get right.
    """
    url = request.url.update_query(page=number)
    host, prefix = (request.headers.get(f"X-Forwarded-{name}") for name in ("Host", "Prefix"))
    if host is None or prefix is None:
        return str(url)
    scheme = request.headers.get("X-Forwarded-Proto", url.scheme)
    return f"{scheme}://{host}{prefix}{url.raw_path_qs.removeprefix(_BASE)}"


@web.middleware
async def append_slash(request: web.Request, handler: Handler) -> web.StreamResponse:
    """APPEND_SLASH: a path that only lacks its last slash is sent there.

    By an absolute Location that names this host, which no client outside can reach.
    """
    if not await _only_lacks_slash(request):
        return await handler(request)
    path, mark, query = request.raw_path.partition("?")
    location = f"{request.scheme}://{request.host}{path}/{mark}{query}"
    return web.Response(status=301, headers={"Location": location})


async def _only_lacks_slash(request: web.Request) -> bool:
    if not isinstance(request.match_info.http_exception, web.HTTPNotFound):
        return False
    slashed = request.clone(rel_url=request.rel_url.with_path(request.path + "/"))
    match = await request.app.router.resolve(slashed)
    return not isinstance(match.http_exception, web.HTTPNotFound)


@web.middleware
async def detailed_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as `{"detail": "…"}`, with the Allow of a 405 kept."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return rendered(request, {"detail": error.reason}, error.status, allow)


def token_needed(accounts: Mapping[str, str]) -> Middleware:
    """TokenAuthentication: `Authorization: Token KEY`, and whose key it is as `request[ACCOUNT]`.

    Without one 401, whatever the method; a path that leads nowhere is 404 before that is asked.
    """

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.match_info.http_exception, web.HTTPNotFound):
            return await handler(request)
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "token":
            return _unauthorized(request, "Authentication credentials were not provided.")
        if key not in accounts:
            return _unauthorized(request, "Invalid token.")
        request[ACCOUNT] = accounts[key]
        return await handler(request)

    return authenticate


def _unauthorized(request: web.Request, detail: str) -> web.Response:
    return rendered(request, {"detail": detail}, 401, {"WWW-Authenticate": "Token"})


def log_in(response: web.Response) -> None:
    """Two cookies in two headers: joined into one, browsers would lose the second."""
    response.set_cookie("sessionid", secrets.token_hex(16), httponly=True, samesite="Lax")
    response.set_cookie("csrftoken", secrets.token_hex(16), samesite="Lax", max_age=31449600)
