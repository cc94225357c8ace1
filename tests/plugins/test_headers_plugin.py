"""Headers on their way to the upstream and back."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_kit import (
    Found,
    Kit,
    handler_of,
    is_raw,
    request_of,
    unreachable,
    upstream_answer,
)

from plugins.headers import Headers
from proxy import EXCHANGE, Answer, GatewayError, Principal
from proxy.templates import TemplateError


async def test_request_headers_are_removed_set_and_added(kit: Kit) -> None:
    options = {
        "remove": ["X-Old"],
        "set": {"X-Service": "${service}", "accept": "text/plain"},
        "add": {"X-More": "two"},
    }
    sent_on = {"x-old": "1", "Accept": "*/*", "X-More": "one", "Keep": "me"}
    request = request_of(sent_on=sent_on)
    await kit.make(Headers, {"request": options})(request, handler_of())
    assert list(request[EXCHANGE].outgoing.headers.items()) == [
        ("X-More", "one"),
        ("Keep", "me"),
        ("X-Service", "crm"),
        ("accept", "text/plain"),
        ("X-More", "two"),
    ]


async def test_what_only_adds_leaves_both_on_their_raw_way(kit: Kit) -> None:
    edits = {"set": {"X-New": "1"}, "add": {"X-More": "2"}, "remove": ["X-Absent"]}
    request = request_of()
    plugin = kit.make(Headers, {"request": edits, "response": edits})
    answer = await plugin(request, handler_of())
    assert (answer.header("X-New"), answer.header("X-More")) == ("1", "2")
    assert request[EXCHANGE].outgoing.header("X-New") == "1"
    assert is_raw(answer)
    assert is_raw(request[EXCHANGE].outgoing)


async def test_values_come_from_request_principal_and_claims(kit: Kit) -> None:
    values = {
        "A": "${principal.subject} of ${principal.tenant}",
        "B": "${claims.org.name}",
        "C": "page ${request.query.page} for ${request.header.User-Agent}",
        "D": "${request.path.id}",
    }
    request = request_of(headers={"User-Agent": "curl"})
    claims = {"org": {"name": "Acme"}}
    request[EXCHANGE].principal = Principal("alice", tenant="acme", claims=claims)
    await kit.make(Headers, {"request": {"set": values}})(request, handler_of())
    headers = request[EXCHANGE].outgoing.headers
    assert [headers[name] for name in "ABCD"] == [
        "alice of acme",
        "Acme",
        "page 2 for curl",
        "contacts",
    ]


async def test_errors_of_the_gateway_are_edited_too(kit: Kit) -> None:
    options = {"response": {"set": {"X-Frame-Options": "DENY", "X-Was": "${response.status}"}}}
    refused = Answer.problem(GatewayError("no_route"), request_id="", service=None)
    answer = await kit.make(Headers, options)(request_of(), handler_of(refused))
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Was"] == "404"


async def test_an_answers_header_can_be_copied_and_removed(kit: Kit) -> None:
    options = {"response": {"set": {"X-Copy": "${response.header.Server}"}, "remove": ["server"]}}
    answer = await kit.make(Headers, options)(
        request_of(), handler_of(upstream_answer(("Server", "nginx")))
    )
    assert dict(answer.headers) == {"X-Copy": "nginx"}


async def test_a_missing_client_value_answers_400_before_the_upstream_is_asked(kit: Kit) -> None:
    plugin = kit.make(Headers, {"request": {"set": {"A": "${request.query.absent}"}}})
    with pytest.raises(GatewayError) as raised:
        await plugin(request_of(), unreachable)
    assert (raised.value.status, raised.value.code) == (400, "value_missing")


async def test_a_missing_claim_answers_403(kit: Kit) -> None:
    plugin = kit.make(Headers, {"request": {"set": {"A": "${principal.tenant}"}}})
    with pytest.raises(GatewayError) as raised:
        await plugin(request_of(), unreachable)
    assert (raised.value.status, raised.value.code) == (403, "claim_missing")


@given(
    st.text(max_size=8),
    st.sampled_from(["%0d%0a", "%0a", "%00", "%7f", "%0D"]),
    st.text(max_size=8),
)
async def test_no_control_character_of_a_client_reaches_the_wire(
    before: str, control: str, after: str
) -> None:
    target = f"/api/brain/crm/x?v={quote(before)}{control}{quote(after)}"
    plugin = Kit().make(Headers, {"request": {"set": {"A": "${request.query.v}"}}})
    with pytest.raises(GatewayError) as raised:
        await plugin(request_of(target=target), unreachable)
    assert (raised.value.status, raised.value.code) == (400, "value_invalid")


async def test_what_is_missing_on_an_answer_is_left_out(kit: Kit) -> None:
    values = {"A": "${request.query.absent}", "B": "${principal.tenant}", "C": "there"}
    target = "/api/brain/crm/x?bad=%0d%0aSet-Cookie:x"
    plugin = kit.make(Headers, {"response": {"set": {**values, "D": "${request.query.bad}"}}})
    answer = await plugin(request_of(target=target), handler_of())
    assert dict(answer.headers) == {"C": "there"}


@pytest.mark.parametrize("deed", ["set", "add"])
@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Expect", "X-Brain-Hops"],
)
def test_the_gateways_own_headers_are_refused(kit: Kit, deed: str, name: str) -> None:
    found = Found()
    kit.make(Headers, {"request": {deed: {name: "x"}}}).check(found)
    assert list(found.errors) == [f"request.{deed}.{name}"]


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({"remove": ["Host"]}, "response.remove.0"),
        ({"set": {"not a name": "x"}}, "response.set.not a name"),
        ({"set": {"X-A": "a\r\nb"}}, "response.set.X-A"),
    ],
)
def test_what_can_never_work_is_an_error(kit: Kit, options: dict[str, Any], at: str) -> None:
    found = Found()
    kit.make(Headers, {"response": options}).check(found)
    assert list(found.errors) == [at]


def test_a_response_value_is_not_known_on_a_request(kit: Kit) -> None:
    with pytest.raises(ValueError, match="'response' is not known here"):
        kit.make(Headers, {"request": {"set": {"A": "${response.status}"}}})


def test_it_says_what_it_would_do(kit: Kit) -> None:
    options = {"request": {"set": {"A": "${service}"}}, "response": {"remove": ["Server"]}}
    lines = kit.make(Headers, options).explain(request_of()[EXCHANGE])
    assert lines == ["sets A: ${service} on the request", "removes Server from the answer"]


def test_a_value_from_a_body_is_refused_since_no_body_is_read(kit: Kit) -> None:
    with pytest.raises(TemplateError, match="no body is read"):
        kit.make(Headers, {"response": {"add": {"X-A": "${response.json.id}"}}})
