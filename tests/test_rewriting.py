"""An upstream's own addresses, told in the client's terms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rewriting import Bases, cookies, location, set_cookie

CRM = Bases("/v2", "/api/brain/crm", ("crm.internal", "crm.internal:8000"))
ROOT = Bases("", "/api/brain/shop", ("shop",))
BARE = Bases("/v2", "", ("bare",))


@pytest.mark.parametrize(
    ("bases", "sent", "told"),
    [
        (CRM, "/v2/x?y#z", "/api/brain/crm/x?y#z"),
        (CRM, "/v2", "/api/brain/crm"),
        (CRM, "/v2?y", "/api/brain/crm?y"),
        (CRM, "/v22/x", "/v22/x"),
        (CRM, "/other", "/other"),
        (CRM, "http://crm.internal/v2/x", "/api/brain/crm/x"),
        (CRM, "HTTPS://CRM.internal:8000/v2/", "/api/brain/crm/"),
        (CRM, "http://crm.internal:80/v2/x", "/api/brain/crm/x"),
        (CRM, "https://crm.internal:443/v2/x", "/api/brain/crm/x"),
        (CRM, "//crm.internal/v2/x", "/api/brain/crm/x"),
        (CRM, "http://crm.internal/login", "http://crm.internal/login"),
        (CRM, "http://user@crm.internal/v2/x", "http://user@crm.internal/v2/x"),
        (CRM, "http://crm.internal.evil/v2/x", "http://crm.internal.evil/v2/x"),
        (CRM, "http://crm.internal\\@evil/v2/x", "http://crm.internal\\@evil/v2/x"),
        (CRM, "http://crm\t.internal/v2/x", "http://crm\t.internal/v2/x"),
        (CRM, "https://elsewhere.example/v2/x", "https://elsewhere.example/v2/x"),
        (CRM, "x/y", "x/y"),
        (CRM, "?x", "?x"),
        (CRM, "", ""),
        (CRM, "/v2/\udce9", "/api/brain/crm/\udce9"),
        (CRM, "/api/brain/crm/x", "/api/brain/crm/x"),
        (ROOT, "/x", "/api/brain/shop/x"),
        (ROOT, "/", "/api/brain/shop/"),
        (ROOT, "http://shop", "/api/brain/shop/"),
        (ROOT, "http://shop?x", "/api/brain/shop/?x"),
        (ROOT, "/api/brain/shop/x", "/api/brain/shop/x"),
        (ROOT, "http://shop/api/brain/shop/x", "/api/brain/shop/x"),
        (ROOT, "/api/brain/shopping", "/api/brain/shop/api/brain/shopping"),
        (ROOT, "//evil.example/x", "//evil.example/x"),
        (ROOT, "/\\evil.example/x", "/\\evil.example/x"),
        (BARE, "/v2/x", "/x"),
        (BARE, "/v2", "/"),
        (BARE, "/v2?x", "/?x"),
        (BARE, "/v2//evil.example", "/v2//evil.example"),
        (BARE, "/v2/\\evil.example", "/v2/\\evil.example"),
        (BARE, "http://bare/v2//evil.example", "http://bare/v2//evil.example"),
    ],
)
def test_a_location_that_names_the_upstream_is_told_under_the_public_prefix(
    bases: Bases, sent: str, told: str
) -> None:
    assert location(sent, bases) == told


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("a=b", "a=b; Path=/api/brain/crm"),
        ("a=b; Path=/", "a=b; Path=/api/brain/crm"),
        ("a=b; Path=/v2", "a=b; Path=/api/brain/crm"),
        ("a=b; Path=/v2/admin", "a=b; Path=/api/brain/crm/admin"),
        ("a=b; path=/v2/; HttpOnly", "a=b; HttpOnly; Path=/api/brain/crm/"),
        ("a=b; Domain=.internal; Secure", "a=b; Secure; Path=/api/brain/crm"),
        ("a=b; DOMAIN = x ;Path=/v2/y", "a=b; Path=/api/brain/crm/y"),
        ("a=b; Path=/; Path=/v2/z", "a=b; Path=/api/brain/crm/z"),
        ("a=b; Path=relative", "a=b; Path=/api/brain/crm"),
        ("a=b; Path=/api/brain/crm/x", "a=b; Path=/api/brain/crm/x"),
        ("__Host-a=b; Path=/; Secure", "__Host-a=b; Path=/; Secure"),
        ("__host-a=b; Path=/; Secure", "__host-a=b; Path=/; Secure"),
        ("__Secure-a=b; Secure", "__Secure-a=b; Secure; Path=/api/brain/crm"),
        (
            "a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT; SameSite=Lax",
            "a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT; SameSite=Lax; Path=/api/brain/crm",
        ),
        ("domain=x; Path=/v2", "domain=x; Path=/api/brain/crm"),
    ],
)
def test_a_cookie_is_told_under_the_public_prefix_and_without_its_domain(
    sent: str, told: str
) -> None:
    assert set_cookie(sent, CRM) == told


def test_a_cookie_of_a_route_without_prefix_gets_the_root() -> None:
    assert set_cookie("a=b; Path=/v2/x; Domain=d", BARE) == "a=b; Path=/x"
    assert set_cookie("a=b", BARE) == "a=b; Path=/"


LINES = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)))


@given(LINES, st.sampled_from([CRM, ROOT, BARE]))
def test_rewriting_adds_no_line_and_names_no_other_host(value: str, bases: Bases) -> None:
    told = location(value, bases)
    assert told == value or (told.startswith("/") and not told.startswith(("//", "/\\")))
    for text in (told, set_cookie(value, bases)):
        assert not {"\r", "\n", "\0"} & set(text)


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ("a=1; b=2; c=3", "a=1; c=3"),
        ("b=2", ""),
        ("a=1;c=3", "a=1; c=3"),
        ("A=1", ""),
        ("a", "a"),
        ('a="x; b=2"', 'a="x'),
        (" a = 1 ;;", "a = 1"),
    ],
)
def test_only_the_listed_cookies_are_sent_on(sent: str, left: str) -> None:
    assert cookies(sent, ("a", "c")) == left
