"""The printed lines, before any gateway runs: they must survive a paste and lead to a service."""

import re
import shlex

import pytest

from proxy.demo import curl_lines

BASE = "http://127.0.0.1:8080"
KEY = "it's a key"
ISSUER = "http://127.0.0.1:9000/application/o/brain/"
SERVICES = {"django-crm", "crm", "wagtail", "saleor", "lago", "agents", "tasks"}


@pytest.fixture(params=curl_lines(BASE, KEY, ISSUER), ids=lambda pair: pair[0])
def words(request: pytest.FixtureRequest) -> list[str]:
    return shlex.split(request.param[1])


def test_a_line_is_one_line() -> None:
    assert not [line for _, line in curl_lines(BASE, KEY, ISSUER) if "\n" in line]


def test_a_line_leads_to_the_gateway(words: list[str]) -> None:
    urls = [word for word in words if word.startswith("http")]
    assert urls
    assert all(url.startswith(BASE + "/") for url in urls)


def test_a_line_sends_the_key_as_it_is_or_none(words: list[str]) -> None:
    assert [word for word in words if "X-Api-Key" in word] in (
        [],
        [f"X-Api-Key: {KEY}"],
        [f"X-Api-Key: {KEY}"] * 2,
    )


def test_every_service_has_a_line() -> None:
    text = "\n".join(line for _, line in curl_lines(BASE, KEY, ISSUER))
    assert set(re.findall(r"/api/brain/([a-z-]+)", text)) == SERVICES


def test_no_comment_stands_twice() -> None:
    comments = [comment for comment, _ in curl_lines(BASE, KEY, ISSUER)]
    assert len(set(comments)) == len(comments)
