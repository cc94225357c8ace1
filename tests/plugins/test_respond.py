"""A fixed answer, and who gets past it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict
from plugin_kit import Found, Kit, handler_of, request_of, unreachable

from plugins.respond import Respond
from plugins.respond.content import MOST
from plugins.respond.validator import etag_of
from proxy import EXCHANGE, Answer, Client, ConfigError, Stage
from proxy.testing import check_plugin

DIGEST = hashlib.sha256(b"let-me-in").hexdigest()


async def given(kit: Kit, options: dict[str, Any], request: web.BaseRequest) -> Answer:
    return await (await kit.run(Respond, options))(request, unreachable)


def found_in(kit: Kit, options: dict[str, Any]) -> Found:
    found = Found()
    kit.make(Respond, options).check(found)
    return found


async def body_of(answer: Answer) -> bytes:
    return await answer.read(MOST)


# -- the answer


@pytest.mark.parametrize(
    ("options", "body", "content_type"),
    [
        ({"body": "Grüße\n"}, "Grüße\n".encode(), "text/plain; charset=utf-8"),
        ({"body": ""}, b"", "text/plain; charset=utf-8"),
        ({"body": "<p>", "content_type": "text/html"}, b"<p>", "text/html"),
        ({"json": {"status": "ok", "n": [1, 2.5]}}, None, "application/json"),
        ({"json": []}, b"[]", "application/json"),
        ({"json": False}, b"false", "application/json"),
        ({}, b"", None),
    ],
)
async def test_a_text_or_a_value_is_the_body(
    kit: Kit, options: dict[str, Any], body: bytes | None, content_type: str | None
) -> None:
    answer = await given(kit, options, request_of())
    found = await body_of(answer)
    if body is None:
        assert json.loads(found) == options["json"]
    else:
        assert found == body
    assert answer.headers.get("Content-Type") == content_type
    assert answer.headers["Content-Length"] == str(len(found))
    assert answer.status == 200


async def test_status_and_headers_are_as_the_file_says(kit: Kit) -> None:
    options = {"status": 503, "body": "back soon", "headers": {"Retry-After": "600"}}
    answer = await given(kit, options, request_of())
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "600"
    assert "ETag" not in answer.headers


async def test_no_answer_changes_the_next_one(kit: Kit) -> None:
    plugin = await kit.run(Respond, {"body": "one", "headers": {"X-A": "1"}})
    first = await plugin(request_of(), unreachable)
    first.headers["X-A"] = "2"
    first.replace(b"two", "text/html")
    second = await plugin(request_of(), unreachable)
    assert (second.headers["X-A"], await body_of(second)) == ("1", b"one")


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("robots.txt", "text/plain; charset=utf-8"),
        ("Down.HTML", "text/html; charset=utf-8"),
        ("logo.svg", "image/svg+xml"),
        ("security", "application/octet-stream"),
        ("x.tar.gz", "application/octet-stream"),
    ],
)
async def test_a_files_name_tells_its_type(
    kit: Kit, tmp_path: Path, name: str, content_type: str
) -> None:
    (tmp_path / name).write_bytes(b"\x00\xff")
    answer = await given(kit, {"file": str(tmp_path / name)}, request_of())
    assert answer.headers["Content-Type"] == content_type
    assert await body_of(answer) == b"\x00\xff"


async def test_a_file_is_relative_to_the_working_directory(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.txt").write_text("here")
    monkeypatch.chdir(tmp_path)
    plugin = kit.make(Respond, {"file": "page.txt"})
    monkeypatch.chdir("/")
    await plugin.setup(kit.context())
    assert await body_of(await plugin(request_of(), unreachable)) == b"here"


async def test_a_file_that_can_be_no_body_refuses_the_load(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MOST + 1))
    os.mkfifo(tmp_path / "pipe")
    for name, says in {
        "missing": "No such file",
        "large": "more than 1 MiB",
        "pipe": "no regular file",
        ".": "no regular file",
        "nul\0": "no file's name",
    }.items():
        with pytest.raises(ConfigError, match=says):
            await kit.make(Respond, {"file": f"{tmp_path}/{name}"}).setup(kit.context())
    (tmp_path / "large").write_bytes(b"x" * MOST)
    await kit.make(Respond, {"file": f"{tmp_path}/large"}).setup(kit.context())


# -- a client that has it already


@pytest.mark.parametrize(
    ("sent", "has"),
    [
        (["{}"], True),
        (["W/{}"], True),
        (['"other", {}'], True),
        (['"other"', "{}"], True),
        (["*"], True),
        (['"other"'], False),
        (['W/"other"'], False),
        ([""], False),
        (["unquoted"], False),
    ],
)
async def test_who_has_the_body_already_gets_a_304(kit: Kit, sent: list[str], has: bool) -> None:
    etag = etag_of(b"hello")
    headers = CIMultiDict([("If-None-Match", each.replace("{}", etag)) for each in sent])
    options = {"body": "hello", "headers": {"Cache-Control": "max-age=60"}}
    for method in ("GET", "HEAD"):
        answer = await given(kit, options, request_of(method, headers=headers))
        assert answer.status == (304 if has else 200)
        assert answer.headers["ETag"] == etag
        assert answer.headers["Cache-Control"] == "max-age=60"
        assert ("Content-Type" in answer.headers) == (not has)


async def test_only_reading_a_good_answer_is_conditional(kit: Kit) -> None:
    headers = {"If-None-Match": "*"}
    posted = await given(kit, {"body": "x"}, request_of("POST", headers=headers))
    assert (posted.status, posted.headers.get("ETag")) == (200, None)
    down = await given(kit, {"body": "x", "status": 503}, request_of(headers=headers))
    assert down.status == 503


def test_two_bodies_have_two_tags() -> None:
    assert etag_of(b"a") != etag_of(b"b")
    assert etag_of(b"a") == etag_of(b"a")


# -- who passes on


def came_from(address: str, **headers: str) -> web.BaseRequest:
    request = request_of(headers=headers)
    request[EXCHANGE].client = Client(address, "https", "brain.example.com")
    return request


@pytest.mark.parametrize(
    ("address", "passes"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::5", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("11.0.0.1", False),
        ("::1", False),
        ("", False),
    ],
)
async def test_clients_of_listed_networks_pass_on(kit: Kit, address: str, passes: bool) -> None:
    options = {"status": 503, "allow": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]}
    answer = await (await kit.run(Respond, options))(came_from(address), handler_of())
    assert answer.status == (200 if passes else 503)


async def test_a_header_with_the_right_value_passes_on(kit: Kit) -> None:
    options = {"status": 503, "allow_header": {"name": "X-Preview", "sha256": DIGEST.upper()}}
    plugin = await kit.run(Respond, options)
    assert plugin.protects == {"x-preview"}
    for headers, status in (
        ({"X-Preview": "let-me-in"}, 200),
        ({"x-preview": "let-me-in"}, 200),
        ({"X-Preview": "let-me-out"}, 503),
        ({"X-Preview": DIGEST}, 503),
        ({}, 503),
    ):
        answer = await plugin(came_from("203.0.113.9", **headers), handler_of())
        assert answer.status == status


async def test_either_way_is_enough(kit: Kit) -> None:
    options = {
        "status": 503,
        "allow": ["10.0.0.0/8"],
        "allow_header": {"name": "X-Preview", "sha256": DIGEST},
    }
    plugin = await kit.run(Respond, options)
    by_address = await plugin(came_from("10.0.0.1"), handler_of())
    by_header = await plugin(came_from("203.0.113.9", **{"X-Preview": "let-me-in"}), handler_of())
    assert (by_address.status, by_header.status) == (200, 200)
    assert plugin.explain(came_from("203.0.113.9")[EXCHANGE]) == [
        "answers 503 itself, unless the right X-Preview comes with the request"
    ]
    assert plugin.explain(came_from("10.0.0.1")[EXCHANGE]) == [
        "lets 10.0.0.1 pass: it is listed in 'allow'"
    ]


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(Respond, {"body": "hello"})
    await check_plugin(Respond, {"status": 503, "allow": ["127.0.0.0/8"]})


def test_it_answers_before_authentication_only_where_the_file_says_so(kit: Kit) -> None:
    assert kit.make(Respond).stage is Stage.TRANSFORM
    assert kit.make(Respond, {"anonymous": True}).stage is Stage.GUARD


# -- options that can't be


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"body": "x", "json": {}}, {"json"}),
        ({"json": 1, "file": "x"}, {"file"}),
        ({"status": 204, "body": "x"}, {"body"}),
        ({"status": 304, "json": {}}, {"json"}),
        ({"json": {"a": [float("inf")]}}, {"json"}),
        ({"json": float("nan")}, {"json"}),
        ({"content_type": "text/html"}, {"content_type"}),
        ({"body": "x", "content_type": "text/html\r\nX: y"}, {"content_type"}),
        ({"headers": {"Content-Type": "text/html"}}, {"headers.Content-Type"}),
        ({"headers": {"etag": '"x"'}}, {"headers.etag"}),
        ({"headers": {"Content-Length": "1"}}, {"headers.Content-Length"}),
        ({"headers": {"Connection": "close"}}, {"headers.Connection"}),
        ({"headers": {"X A": "1"}}, {"headers.X A"}),
        ({"headers": {"X-A": "a\r\nb"}}, {"headers.X-A"}),
        ({"body": "x", "status": 503, "headers": {"Retry-After": "1"}}, set()),
        ({"status": 204}, set()),
    ],
)
def test_options_that_make_no_answer_are_refused_at_load(
    kit: Kit, options: dict[str, Any], places: set[str]
) -> None:
    assert found_in(kit, options).errors.keys() == places
