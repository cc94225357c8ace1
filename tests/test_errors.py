"""What an error takes from the table, and what it brings itself."""

from __future__ import annotations

import json

import pytest

from proxy import Answer
from proxy.codes import CODES, Side
from proxy.errors import (
    GatewayError,
    Problem,
    Unauthenticated,
    Unavailable,
    problem_body,
    proxy_status,
)


def test_an_error_is_what_its_row_says() -> None:
    error, row = GatewayError("upstream_tls_failed"), CODES["upstream_tls_failed"]
    told = (error.status, error.side, error.stage, error.retryable, error.detail)
    assert told == (row.status, row.side, row.stage, row.retryable, row.detail)
    assert proxy_status(error) == ('brain; error=tls_protocol_error; details="upstream_tls_failed"')


def test_a_status_that_was_received_stands_beside_the_error() -> None:
    told = proxy_status(GatewayError("answer_too_large"), 200)
    assert told == (
        'brain; error=http_response_body_size; received-status=200; details="answer_too_large"'
    )


def test_what_another_proxy_said_stays_before_our_own_word() -> None:
    error = Problem(
        502, "inner_failed", "Failed.", headers={"Proxy-Status": "inner; error=dns_error"}
    )
    answer = Answer.problem(error, request_id="r", service=None)
    assert answer.headers.getall("Proxy-Status") == [
        "inner; error=dns_error",
        'brain; details="inner_failed"',
    ]


def test_a_remedy_is_told_to_no_client() -> None:
    for name, row in CODES.items():
        body = problem_body(GatewayError(name), request_id="r", service=None).decode()
        assert row.remedy not in body


def test_a_code_without_a_row_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        GatewayError("quota_exceeded")


def test_problems_of_one_status_keep_their_own_details() -> None:
    first = Problem(402, "quota_exceeded", "Used up.")
    second = Problem(402, "card_declined", "Ask your bank.", retryable=True)
    assert (first.detail, second.detail) == ("Used up.", "Ask your bank.")
    assert (first.retryable, second.retryable) == (False, True)
    assert (first.side, Problem(500, "odd", "Odd.").side) == (Side.CLIENT, Side.GATEWAY)
    assert proxy_status(first) == 'brain; error=http_request_denied; details="quota_exceeded"'
    assert proxy_status(Problem(500, "odd", "Odd.")) == 'brain; details="odd"'


@pytest.mark.parametrize("code", ["credentials_expired", "token_revoked", "claim_missing"])
def test_who_is_not_authenticated_gets_401_whatever_the_code(code: str) -> None:
    error = Unauthenticated(code)
    assert (error.code, error.status, error.side) == (code, 401, Side.CLIENT)
    if code in CODES:
        assert error.detail == CODES[code].detail


@pytest.mark.parametrize("code", ["secret_unavailable", "no_route", "upstream_saturated"])
def test_what_is_away_answers_503_whatever_the_code(code: str) -> None:
    error = Unavailable("sealed", code=code).refusal()
    assert (error.code, error.status, error.retryable) == (code, 503, True)
    assert error.headers["Retry-After"] == "1"
    assert "sealed" not in problem_body(error, request_id="", service=None).decode()


def test_the_type_is_the_code_behind_a_urn_and_the_title_that_of_the_status() -> None:
    body = json.loads(problem_body(GatewayError("uri_too_long"), request_id="", service=None))
    assert body["type"] == "urn:brain-gateway:error:uri_too_long"
    assert body["title"] == "URI Too Long"
