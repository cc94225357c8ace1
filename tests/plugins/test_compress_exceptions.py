"""Which answers are never compressed: what is coded, parts, secrets, and what does not shrink."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from compress_kit import ALL, PLAIN, TEXT, answer_of, sent, through
from plugin_kit import Kit

from proxy import Answer, GatewayError

COOKIE = {**ALL, "Cookie": "a=b"}
BASIC = {**ALL, "Authorization": "bAsic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}
BEARER = {**ALL, "Authorization": "Bearer abc"}


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (answer_of(), {}),
        (answer_of(PLAIN, ("Content-Encoding", "gzip")), {}),
        (answer_of(PLAIN, ("Content-Encoding", "identity")), {}),
        (answer_of(PLAIN, ("Content-Range", "bytes 0-9/10"), status=206), {}),
        (answer_of(PLAIN, ("Content-Range", "bytes 0-9/10")), {}),
        (answer_of(PLAIN, status=206), {}),
        (answer_of(PLAIN, body=b"", status=204), {}),
        (answer_of(PLAIN, body=b"", status=101), {}),
        (answer_of(PLAIN, ("Content-Type", "image/png")), {}),
        (answer_of(PLAIN, ("Cache-Control", "max-age=1, No-Transform")), {}),
        (answer_of(PLAIN, ("Cache-Control", "max-age=1"), ("Cache-Control", "no-transform")), {}),
        (answer_of(PLAIN, ("Cache-Control", 'private="X-A"')), {}),
        (answer_of(PLAIN, ("Cache-Control", "no-store")), {}),
        (answer_of(PLAIN, ("Set-Cookie", "a=b")), {}),
        (answer_of(PLAIN), {"headers": COOKIE}),
        (answer_of(PLAIN), {"headers": BASIC}),
        (answer_of(PLAIN, body=TEXT[:1023]), {}),
        (answer_of(PLAIN, body=TEXT[:2047]), {"options": {"min_size": "2KiB"}}),
        (answer_of(PLAIN, body=b"", status=304), {"headers": COOKIE}),
        (Answer.problem(GatewayError("no_route"), request_id="", service="x" * 2000), {}),
    ],
)
async def test_what_may_not_be_coded_is_not_touched_at_all(
    kit: Kit, answer: Answer, how: dict[str, Any]
) -> None:
    fields, body = answer.wire_fields()[:], answer.payload()
    same = await through(kit, answer, **how)
    assert same.wire_fields() == fields
    assert same.payload() is body


async def test_a_cookie_that_a_plugin_sets_is_a_secret_too(kit: Kit) -> None:
    answer = answer_of(PLAIN)
    answer.set_cookie("session", "secret")
    assert "Content-Encoding" not in (await through(kit, answer)).headers


async def test_a_token_that_no_foreign_page_can_send_is_no_sign(kit: Kit) -> None:
    answer = await through(kit, answer_of(PLAIN), headers=BEARER)
    assert answer.headers["Content-Encoding"] == "zstd"


@pytest.mark.parametrize(
    ("sign", "fields", "headers"),
    [
        ("cookie", (), COOKIE),
        ("authorization", (), BASIC),
        ("set-cookie", (("Set-Cookie", "a=b"),), ALL),
        ("private", (("Cache-Control", "private"),), ALL),
        ("no-store", (("Cache-Control", "no-store"),), ALL),
    ],
)
async def test_each_sign_of_a_secret_can_be_looked_away_from(
    kit: Kit, sign: str, fields: Any, headers: dict[str, str]
) -> None:
    for despite, coded in (([sign], True), ([], False)):
        options = {"despite": despite}
        answer = await through(kit, answer_of(PLAIN, *fields), options=options, headers=headers)
        assert ("Content-Encoding" in answer.headers) == coded
    both = answer_of(PLAIN, ("Cache-Control", "no-transform"), *fields)
    kept = await through(kit, both, options={"despite": [sign]}, headers=headers)
    assert "Content-Encoding" not in kept.headers


async def test_head_varies_and_keeps_the_length_that_it_tells(kit: Kit) -> None:
    head = answer_of(PLAIN)
    head.replace(b"")
    head.headers["Content-Length"] = "5000"
    answer = await through(kit, head, method="HEAD")
    assert answer.headers["Content-Length"] == "5000"
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("asked", "told"),
    [('W/"a"', 'W/"a"'), ('W/"b", W/"a"', 'W/"a"'), ('"a"', '"a"'), ("*", '"a"')],
)
async def test_a_304_names_the_tag_by_which_the_client_asked(
    kit: Kit, asked: str, told: str
) -> None:
    answer = answer_of(("ETag", '"a"'), body=b"", status=304)
    answer = await through(kit, answer, headers={**ALL, "If-None-Match": asked})
    assert answer.headers["ETag"] == told
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in answer.headers


async def test_what_does_not_shrink_is_sent_as_it_is(kit: Kit) -> None:
    noise = Random(1).randbytes(1500)
    answer = await through(kit, answer_of(PLAIN, ("ETag", '"a"'), body=noise), options={})
    assert await sent(answer) == noise
    assert answer.header("ETag") == '"a"'
    assert answer.header("Vary") == "Accept-Encoding"
