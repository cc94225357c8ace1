"""Fields of answers' JSON bodies that are set, removed and renamed."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from body_kit import HTML, answer_of, answered, code_of
from plugin_kit import Kit, request_of

from plugins.body_transform import BodyTransform
from proxy import EXCHANGE, Answer, GatewayError, Handler


async def test_an_answer_is_edited_and_what_spoke_of_its_old_bytes_is_dropped(kit: Kit) -> None:
    fields = [("Content-Type", "application/hal+json"), ("ETag", '"a"'), ("X-A", "1")]
    fields += [("Content-Encoding", "gzip"), ("Repr-Digest", "x"), ("Accept-Ranges", "bytes")]
    answer = answer_of(gzip.compress(b'{"secret":1,"b":2}'), *fields)
    edits = {"remove": ["/secret"], "set": {"/was": "${response.status} ${response.header.X-A}"}}
    edited = await answered(kit, answer, edits)
    assert edited.payload() == b'{"b":2,"was":"200 1"}'
    assert dict(edited.headers) == {
        "Content-Type": "application/hal+json",
        "X-A": "1",
        "Content-Length": "21",
    }


async def test_what_is_missing_on_an_answer_leaves_its_place_as_it_is(kit: Kit) -> None:
    values = {"/a": "${principal.tenant}", "/b": ["${request.query.none}"], "/c": 3}
    edited = await answered(kit, answer_of(b'{"a":1}'), {"set": values})
    assert edited.payload() == b'{"a":1,"c":3}'


@pytest.mark.parametrize(
    ("answer", "edits", "code"),
    [
        (answer_of(b"oops"), {}, "answer_json_invalid"),
        (answer_of(b'{"a":1,"a":2}'), {}, "answer_json_invalid"),
        (answer_of(b"[{}]"), {}, "answer_shape_refused"),
        (answer_of(b'{"a":1}'), {"max_size": "6B"}, "answer_too_large"),
        (answer_of(b'{"a":1}', status=206), {}, "answer_json_invalid"),
        (
            answer_of(b"x", ("Content-Type", "application/json"), ("Content-Encoding", "compress")),
            {},
            "answer_coding_unknown",
        ),
        (answer_of(b"<p>", HTML), {"on_other": "refuse"}, "answer_type_refused"),
        (answer_of(b"x", ("X-A", "1")), {"on_other": "refuse"}, "answer_type_refused"),
    ],
)
async def test_an_answer_that_can_not_be_edited_is_502(
    kit: Kit, answer: Answer, edits: dict[str, Any], code: str
) -> None:
    with pytest.raises(GatewayError) as raised:
        await answered(kit, answer, {"set": {"/b": 2}, **edits})
    assert code_of(raised) == (502, code)


@pytest.mark.parametrize(
    ("answer", "method"),
    [
        (answer_of(b"", status=204), "GET"),
        (answer_of(b"", status=304), "GET"),
        (answer_of(b"", status=101), "GET"),
        (answer_of(b""), "HEAD"),
        (answer_of(b""), "POST"),
        (answer_of(b"", ("Location", "/x"), status=302), "GET"),
        (answer_of(b"", ("Content-Type", "application/json"), ("Content-Encoding", "br")), "GET"),
        (Answer.problem(GatewayError("no_route"), request_id="", service=None), "GET"),
    ],
)
async def test_what_has_no_body_and_the_gateways_own_errors_are_left_alone(
    kit: Kit, answer: Answer, method: str
) -> None:
    fields, body = answer.wire_fields()[:], answer.payload()
    edits = {"set": {"/a": 1}, "on_other": "refuse"}
    same = await answered(kit, answer, edits, request_of(method))
    assert (same.wire_fields(), same.payload()) == (fields, body)


async def test_the_upstream_is_asked_for_whole_and_uncoded_answers(kit: Kit) -> None:
    headers = {"Range": "bytes=0-1", "If-Range": '"a"', "Accept-Encoding": "br", "X-A": "1"}
    seen: list[dict[str, str]] = []

    async def upstream(request: Any) -> Answer:
        seen.append(dict(request[EXCHANGE].outgoing.headers))
        return answer_of(b"{}")

    handler: Handler = upstream
    for options in ({"response": {"set": {"/a": 1}}}, {"request": {"set": {"/a": 1}}}):
        await kit.make(BodyTransform, options)(request_of(sent_on=headers), handler)
    assert seen == [{"Accept-Encoding": "identity", "X-A": "1"}, headers]
