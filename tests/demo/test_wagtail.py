"""The stand-in CMS: gzip, an image, ranges, uploads."""

import gzip
import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from aiohttp import ClientSession, FormData

from proxy.demo.media import DOCUMENT


@pytest.fixture
def wagtail(address: Callable[[str], str]) -> str:
    return address("WAGTAIL")


async def test_pages_are_gzipped_for_those_who_ask(client: ClientSession, wagtail: str) -> None:
    url = f"{wagtail}/pages/"
    async with client.get(url, headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        zipped = json.loads(gzip.decompress(await response.read()))
    async with client.get(url, headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.json() == zipped
    assert zipped["meta"]["total_count"] == len(zipped["items"]) == 20


async def test_the_query_picks_type_and_window(client: ClientSession, wagtail: str) -> None:
    query = "?type=blog.BlogPage&offset=1&limit=2"
    async with client.get(f"{wagtail}/pages/{query}") as response:
        pages = await response.json()
    assert pages["meta"]["total_count"] == 10
    assert [page["id"] for page in pages["items"]] == [3, 5]


@pytest.mark.parametrize("limit", ["x", "-1", "²", ""])
async def test_a_limit_that_is_no_number_is_400(
    client: ClientSession, wagtail: str, limit: str
) -> None:
    async with client.get(f"{wagtail}/pages/", params={"limit": limit}) as response:
        assert response.status == 400


async def test_one_page_is_found_by_its_id(client: ClientSession, wagtail: str) -> None:
    async with client.get(f"{wagtail}/pages/3/") as response:
        assert (await response.json())["title"] == "Page 3"
    async with client.get(f"{wagtail}/pages/99/") as response:
        assert response.status == 404


async def test_the_image_is_a_sound_png(client: ClientSession, wagtail: str) -> None:
    async with client.get(f"{wagtail}/images/1/file.png") as response:
        assert response.content_type == "image/png"
        image = await response.read()
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    chunks = _chunks(image[8:])
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width)


def _chunks(rest: bytes) -> dict[bytes, bytes]:
    found = {}
    while rest:
        (size,) = struct.unpack(">I", rest[:4])
        body, check = rest[4 : 8 + size], rest[8 + size : 12 + size]
        assert struct.pack(">I", zlib.crc32(body)) == check
        found[body[:4]], rest = body[4:], rest[12 + size :]
    return found


@pytest.mark.parametrize(
    ("asked", "said", "part"),
    [
        ("bytes=0-15", "bytes 0-15/65536", DOCUMENT[:16]),
        ("bytes=65530-", "bytes 65530-65535/65536", DOCUMENT[-6:]),
        ("bytes=-4", "bytes 65532-65535/65536", DOCUMENT[-4:]),
        ("bytes=65000-99999", "bytes 65000-65535/65536", DOCUMENT[65000:]),
    ],
)
async def test_a_range_is_answered_with_that_part(
    client: ClientSession, wagtail: str, asked: str, said: str, part: bytes
) -> None:
    url = f"{wagtail}/documents/1/download/"
    async with client.get(url, headers={"Range": asked}) as response:
        assert (response.status, response.headers["Content-Range"]) == (206, said)
        assert await response.read() == part


async def test_a_range_beyond_the_end_is_416(client: ClientSession, wagtail: str) -> None:
    url = f"{wagtail}/documents/1/download/"
    async with client.get(url, headers={"Range": "bytes=70000-"}) as response:
        assert response.status == 416
        assert response.headers["Content-Range"] == "bytes */65536"


@pytest.mark.parametrize("asked", [None, "bytes=9-2", "lines=1-2"])
async def test_without_a_range_that_can_be_read_the_whole_comes(
    client: ClientSession, wagtail: str, asked: str | None
) -> None:
    headers = {"Range": asked} if asked else {}
    async with client.get(f"{wagtail}/documents/1/download/", headers=headers) as response:
        assert response.status == 200
        assert "attachment" in response.headers["Content-Disposition"]
        assert await response.read() == DOCUMENT


async def test_an_upload_is_measured_as_it_arrives(client: ClientSession, wagtail: str) -> None:
    content = bytes(range(256)) * 20_000  # 5 MB: over aiohttp's cap for bodies read at once
    form = FormData({"title": "Note"})
    form.add_field("file", BytesIO(content), filename="note.bin")
    async with client.post(f"{wagtail}/images/", data=form) as response:
        assert response.status == 201
        measured = await response.json()
    digest = hashlib.sha256(content).hexdigest()
    assert measured == {"filename": "note.bin", "size": len(content), "sha256": digest}


async def test_an_upload_without_a_file_is_refused(client: ClientSession, wagtail: str) -> None:
    form = FormData({"title": "Note"}, default_to_multipart=True)
    async with client.post(f"{wagtail}/documents/", data=form) as response:
        assert response.status == 400
    async with client.post(f"{wagtail}/documents/", json={}) as response:
        assert response.status == 415
    headers = {"Content-Type": "multipart/form-data"}
    async with client.post(f"{wagtail}/documents/", data=b"x", headers=headers) as response:
        assert response.status == 400
