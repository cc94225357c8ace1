"""Fields of JSON bodies that are set, removed and renamed."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from body_kit import JSON, answer_of, answered, asked, code_of, sent_on
from jsonschema import Draft7Validator
from plugin_kit import Found, Kit, handler_of, is_raw, request_of, unreachable

from plugins.body_transform import BodyTransform
from proxy import EXCHANGE, GatewayError, Outgoing, Principal
from proxy.templates import TemplateError

# -- edits


async def test_remove_comes_first_then_rename_then_set(kit: Kit) -> None:
    edits = {
        "set": {"/b": 2, "/made/up": [1, {"x": None}]},
        "remove": ["/a", "/absent"],
        "rename": {"/old": "/a", "/none": "/never"},
    }
    sent = await sent_on(kit, b'{"a":1,"old":{"deep": 1.50},"b":0}', edits)
    assert sent == b'{"b":2,"a":{"deep": 1.50},"made":{"up":[1,{"x":null}]}}'


async def test_two_fields_can_be_swapped_and_one_can_move_below_itself(kit: Kit) -> None:
    swapped = await sent_on(kit, b'{"a":1,"b":2}', {"rename": {"/a": "/b", "/b": "/a"}})
    assert json.loads(swapped) == {"a": 2, "b": 1}
    assert await sent_on(kit, b'{"a":1}', {"rename": {"/a": "/a/b"}}) == b'{"a":{"b":1}}'


async def test_texts_at_any_place_of_a_value_are_templates(kit: Kit) -> None:
    request = asked(b"{}", **{"X-Lang": 'de "x" \\'})
    request[EXCHANGE].principal = Principal("alice", tenant="acme", claims={"org": {"id": 7}})
    value = {
        "who": ["${principal.subject}", {"of": "${principal.tenant}"}],
        "org": "${claims.org.id}",
        "lang": "${request.header.X-Lang}",
        "plain": "$${x}",
        "page": "${request.query.page}",
    }
    await kit.make(BodyTransform, {"request": {"set": {"/ctx": value}}})(request, handler_of())
    sent = json.loads(await request[EXCHANGE].outgoing.read(1000))
    assert sent == {
        "ctx": {
            "who": ["alice", {"of": "acme"}],
            "org": "7",
            "lang": 'de "x" \\',
            "plain": "${x}",
            "page": "2",
        }
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{ "tenant" : "acme", "n": 1.10 }',
        b'{"other": [1,  2],\r\n"tenant": "acme"}',
    ],
)
async def test_a_body_in_which_nothing_changes_is_sent_byte_for_byte(kit: Kit, body: bytes) -> None:
    request = asked(body)
    edits = {"set": {"/tenant": "acme"}, "remove": ["/x"], "rename": {"/y": "/z"}}
    await kit.make(BodyTransform, {"request": edits})(request, handler_of())
    assert await request[EXCHANGE].outgoing.read(1000) is body
    assert is_raw(request[EXCHANGE].outgoing)
    answer = answer_of(body, ("Content-Type", "application/json"), ("ETag", '"a"'))
    same = await answered(kit, answer, edits)
    assert same.payload() is body
    assert is_raw(same)


# -- the request


async def test_a_changed_request_has_its_own_length_and_no_old_digest(kit: Kit) -> None:
    headers = {**JSON, "Content-Encoding": "gzip", "Digest": "x", "X-A": "1"}
    request = asked(gzip.compress(b'{"a":1}'), headers)
    await kit.make(BodyTransform, {"request": {"set": {"/b": 2}}})(request, handler_of())
    outgoing = request[EXCHANGE].outgoing
    assert await outgoing.read(1000) == b'{"a":1,"b":2}'
    assert dict(outgoing.headers) == {**JSON, "X-A": "1"}


async def test_a_coded_request_that_stays_the_same_stays_coded(kit: Kit) -> None:
    body = gzip.compress(b'{"a":1}')
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert await sent_on(kit, body, {"remove": ["/b"]}, headers=headers) is body


@pytest.mark.parametrize(
    ("body", "headers", "edits", "told"),
    [
        (b"{", JSON, {}, (400, "body_json_invalid")),
        (b"\xff", JSON, {}, (400, "body_json_invalid")),
        (b'{"a":1,"a":2}', JSON, {}, (400, "body_json_invalid")),
        (b'{"a":NaN}', JSON, {}, (400, "body_json_invalid")),
        (b"[" * 100_000, JSON, {}, (400, "body_json_invalid")),
        (b"[1]", JSON, {}, (422, "body_shape_refused")),
        (b'{"x":1}', JSON, {"set": {"/x/y": 1}}, (422, "body_shape_refused")),
        (b'{"a":1}', JSON, {"max_size": "6B"}, (413, "body_too_large")),
        (
            gzip.compress(b'{"a":"%s"}' % (b"x" * 100_000)),
            {**JSON, "Content-Encoding": "gzip"},
            {"max_size": "50KiB"},
            (413, "body_too_large"),
        ),
        (b"{}", {**JSON, "Content-Encoding": "compress"}, {}, (415, "body_coding_unknown")),
        (b"{}", {**JSON, "Content-Encoding": "gzip"}, {}, (400, "body_invalid")),
        (b"{}", JSON, {"set": {"/a": "${request.query.none}"}}, (400, "value_missing")),
        (b"{}", JSON, {"set": {"/a": ["${claims.none}"]}}, (403, "claim_missing")),
        (b"{}", JSON, {"set": {"/a": "${claims.bad}"}}, (400, "value_invalid")),
    ],
)
async def test_what_can_not_be_edited_never_reaches_the_upstream(
    kit: Kit, body: bytes, headers: dict[str, str], edits: dict[str, Any], told: tuple[int, str]
) -> None:
    plugin = kit.make(BodyTransform, {"request": {"set": {"/b": 2}, **edits}})
    request = asked(body, headers)
    request[EXCHANGE].principal = Principal("alice", claims={"bad": "no text: \udcff"})
    with pytest.raises(GatewayError) as raised:
        await plugin(request, unreachable)
    assert code_of(raised) == told


async def test_a_client_is_told_where_its_body_is_wrong_and_nothing_of_what_it_said(
    kit: Kit,
) -> None:
    plugin = kit.make(BodyTransform, {"request": {"remove": ["/b"]}})
    for body, place in ((b'{"a":\n oops}', "line 2, column 2"), (b'{"oops":1,"oops":2}', "twice")):
        with pytest.raises(GatewayError) as raised:
            await plugin(asked(body), unreachable)
        assert place in raised.value.detail
        assert "oops" not in raised.value.detail + raised.value.log


@pytest.mark.parametrize(
    "media", ["text/plain", "application/jsonp", "application/x-ndjson", "application/json-seq"]
)
async def test_another_type_passes_or_is_refused_as_the_file_says(kit: Kit, media: str) -> None:
    body, headers = b'{"a":1}', {"Content-Type": media}
    edits: dict[str, Any] = {"set": {"/a": 2}}
    assert await sent_on(kit, body, edits, headers=headers) is body
    plugin = kit.make(BodyTransform, {"request": {**edits, "on_other": "refuse"}})
    with pytest.raises(GatewayError) as raised:
        await plugin(asked(body, headers, **{"Content-Length": "7"}), unreachable)
    assert code_of(raised) == (415, "body_type_refused")
    assert raised.value.headers == {"Accept": "application/json"}


@pytest.mark.parametrize(
    "media", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json"]
)
async def test_every_name_of_json_is_edited(kit: Kit, media: str) -> None:
    headers = {"Content-Type": media}
    assert await sent_on(kit, b"{}", {"set": {"/a": 2}}, headers=headers) == b'{"a":2}'


@pytest.mark.parametrize("headers", [{}, JSON, {**JSON, "Content-Encoding": "gzip"}])
async def test_a_request_without_a_body_passes_even_where_others_are_refused(
    kit: Kit, headers: dict[str, str]
) -> None:
    request = request_of("GET", sent_on=headers)
    plugin = kit.make(BodyTransform, {"request": {"set": {"/a": 2}, "on_other": "refuse"}})
    await plugin(request, handler_of())
    assert request[EXCHANGE].outgoing.payload() in (None, b"")


async def test_a_second_try_of_an_outer_plugin_edits_nothing_twice(kit: Kit) -> None:
    request = asked(b'{"log":[1]}')
    plugin = kit.make(BodyTransform, {"request": {"set": {"/log/-": 2}}})
    for _ in range(2):
        await plugin(request, handler_of())
    outgoing: Outgoing = request[EXCHANGE].outgoing
    assert await outgoing.read(1000) == b'{"log":[1,2]}'
    outgoing.replace(b'{"log":[]}')
    await plugin(request, handler_of())
    assert await outgoing.read(1000) == b'{"log":[2]}', "what another plugin put is edited anew"


# -- options


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize(
    ("edits", "at"),
    [
        ({"set": {"tenant": 1}}, "set.tenant"),
        ({"set": {"/a~2": 1}}, "set./a~2"),
        ({"remove": ["/a", "b"]}, "remove.1"),
        ({"rename": {"a": "/b"}}, "rename.a"),
        ({"rename": {"/a": "b"}}, "rename./a"),
        ({"rename": {"/a": "/a"}}, "rename./a"),
        ({"rename": {"/a": "/b"}, "set": {"/b": 1}}, "rename./a"),
        ({"rename": {"/a": "/c", "/b": "/c"}}, "rename./b"),
    ],
)
def test_what_can_never_work_is_an_error(
    kit: Kit, side: str, edits: dict[str, Any], at: str
) -> None:
    found = Found()
    kit.make(BodyTransform, {side: edits}).check(found)
    assert list(found.errors) == [f"{side}.{at}"]


def test_only_values_that_are_known_there_may_be_named(kit: Kit) -> None:
    for name in ("response.status", "request.json.a", "secret.x"):
        with pytest.raises(TemplateError):
            kit.make(BodyTransform, {"request": {"set": {"/a": ["${" + name + "}"]}}})


def test_any_json_may_be_set() -> None:
    takes = Draft7Validator(dict(BodyTransform.schema)).is_valid
    deep: Any = "x"
    for _ in range(20):
        deep = [{"a": deep}]
    for value in (None, True, 1, 1.5, "x", [], {}, {"a": [{"b": None}]}, deep):
        assert takes({"request": {"set": {"/a": value}}})


def test_it_says_what_it_would_do(kit: Kit) -> None:
    request = {"set": {"/t": ["${principal.tenant}"]}, "remove": ["/a"]}
    response = {"rename": {"/b": "/c"}, "on_other": "refuse"}
    plugin = kit.make(BodyTransform, {"request": request, "response": response})
    answers = [
        "renames /b to /c in the answer's JSON body",
        "refuses an answer whose body is not JSON",
    ]
    for fields in ({}, JSON):
        assert plugin.explain(request_of(sent_on=fields)[EXCHANGE]) == [
            "removes /a from the request's JSON body",
            'sets /t to ["${principal.tenant}"] in the request\'s JSON body',
            *answers,
        ]
    other = request_of(sent_on={"Content-Type": "text/plain"})[EXCHANGE]
    for on_other, does in (
        ("pass", "leaves its body alone"),
        ("refuse", "refuses its body with 415"),
    ):
        options = {"request": {**request, "on_other": on_other}, "response": response}
        assert kit.make(BodyTransform, options).explain(other) == [
            f"{does}: this request's Content-Type is not JSON's",
            *answers,
        ]
