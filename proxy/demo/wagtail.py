"""The CMS: pages that are gzipped on request, an image, a document in ranges, media uploads.

Follows Wagtail's API v2, https://docs.wagtail.org/en/stable/advanced_topics/api/v2/usage.html;
uploads are the platform's own addition.
"""

import gzip
import hashlib
import json
from typing import Any, Final

from aiohttp import BodyPartReader, MultipartReader, web

from proxy.demo.media import DOCUMENT, picture, ranged

_PICTURE: Final = web.AppKey("picture", bytes)
_BASE: Final = "/api/v2"


def application() -> web.Application:
    app = web.Application()
    app[_PICTURE] = picture()
    app.add_routes(
        [
            web.get(f"{_BASE}/pages/", list_pages),
            web.get(_BASE + r"/pages/{id:\d+}/", read_page),
            web.get(f"{_BASE}/images/1/file.png", read_picture),
            web.get(f"{_BASE}/documents/1/download/", read_document),
            web.post(f"{_BASE}/images/", upload),
            web.post(f"{_BASE}/documents/", upload),
        ]
    )
    return app


def _page(number: int) -> dict[str, Any]:
    kind = "blog.BlogPage" if number % 2 else "home.StandardPage"
    return {
        "id": number,
        "title": f"Page {number}",
        "meta": {"type": kind, "slug": f"page-{number}", "locale": "en"},
    }


PAGES: Final = [_page(number) for number in range(1, 21)]


async def list_pages(request: web.Request) -> web.Response:
    """`?type=` picks a page type, `?limit=` and `?offset=` a window of at most 20."""
    kind = request.query.get("type")
    found = [page for page in PAGES if kind in (None, page["meta"]["type"])]
    start, size = _number(request, "offset", 0), min(20, _number(request, "limit", 20))
    shown = {"meta": {"total_count": len(found)}, "items": found[start : start + size]}
    return _zipped(request, shown)


async def read_page(request: web.Request) -> web.Response:
    number = int(request.match_info["id"])
    found = next((page for page in PAGES if page["id"] == number), None)
    if found is None:
        return web.json_response({"message": "No page matches the given query."}, status=404)
    return _zipped(request, found)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise web.HTTPBadRequest(text=json.dumps({"message": f"{name} must be a positive integer"}))
    return int(text)


def _zipped(request: web.Request, data: dict[str, Any]) -> web.Response:
    """As Django's GZipMiddleware: only for those who ask, from 200 bytes on, and saying Vary."""
    body, headers = json.dumps(data).encode(), {"Vary": "Accept-Encoding"}
    if len(body) >= 200 and "gzip" in request.headers.get("Accept-Encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    return web.Response(body=body, headers=headers, content_type="application/json")


async def read_picture(request: web.Request) -> web.Response:
    return web.Response(body=request.app[_PICTURE], content_type="image/png")


async def read_document(request: web.Request) -> web.Response:
    """An attachment of 64 KiB; `Range: bytes=…` gets a part of it."""
    response = ranged(request, DOCUMENT)
    response.headers["Content-Disposition"] = 'attachment; filename="catalogue.bin"'
    return response


async def upload(request: web.Request) -> web.Response:
    """Says how many bytes came and their SHA-256, and keeps none: 200 MiB must cost no memory."""
    async for part in await _parts(request):
        if isinstance(part, BodyPartReader) and part.filename:
            return web.json_response(await _measured(part), status=201)
    return web.json_response({"file": ["This field is required."]}, status=400)


async def _parts(request: web.Request) -> MultipartReader:
    if request.content_type != "multipart/form-data":
        raise web.HTTPUnsupportedMediaType
    try:
        return await request.multipart()
    except ValueError:  # no boundary
        raise web.HTTPBadRequest from None


async def _measured(part: BodyPartReader) -> dict[str, Any]:
    size, digest = 0, hashlib.sha256()
    while chunk := await part.read_chunk():
        size += len(chunk)
        digest.update(chunk)
    return {"filename": part.filename, "size": size, "sha256": digest.hexdigest()}
