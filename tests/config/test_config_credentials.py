"""Names that tell of a credential, and credentials inside of values: what is hidden and what not."""

from typing import Any

import pytest

from proxy.config.masking import MASK, masked, without_credentials, without_literals
from proxy.config.telling import is_telling_field, is_telling_name

TELLING = """
    Authorization Proxy-Authorization Cookie Set-Cookie X-Api-Key
    apikey apiKey APIKey secret_id api_id
    X-CSRF X-CSRF-Token csrf x-xsrf XSRF-TOKEN csrfToken X-Pass pass db_pass dbPass passphrase
    pass-phrase PassWord passwd pin X-Pin card.pin
    otp X-OTP mfa mfa_code X-Upstream-Auth upstream_auth
    proxyAuth x-oauth sig signature X-Signature
    X-Hub-Signature-256 hmac X-HMAC request_hmac access.token
    accessToken ACCESS_TOKEN PaSsWoRd token2 sha256 signing-key access_key x-token-value
"""
HARMLESS = """
    X-Author author authority X-Authority pinned pins passenger compass bypass passed authors
    authenticate auth auth-url token_url tokens cookies
    design signal signed X-Signed-In opinion spin option
    mfa-enabled forward_token Sec-WebSocket-Key Idempotency-Key
    idempotency_key X-Request-Id page passthrough
    Signature-Input hmac_algorithm 1 - _ .
"""


OF_REQUESTS = """
    code key JWT x-session sessionId session_id PHPSESSID DPoP Authentication X-Bearer
    X-Amzn-Oidc-Data X-Amzn-Oidc-Accesstoken X-Goog-Iap-Jwt-Assertion Cf-Access-Jwt-Assertion
"""


@pytest.mark.parametrize("name", TELLING.split())
def test_a_name_tells_of_a_credential_by_its_last_words(name: str) -> None:
    assert is_telling_name(name)
    assert is_telling_field(name)


@pytest.mark.parametrize("name", [*HARMLESS.split(), ""])
def test_a_name_that_only_looks_like_one_tells_nothing(name: str) -> None:
    assert not is_telling_name(name)
    assert not is_telling_field(name)


@pytest.mark.parametrize("name", OF_REQUESTS.split())
def test_a_header_or_a_parameter_opens_doors_that_an_option_does_not(name: str) -> None:
    assert is_telling_field(name)
    assert not is_telling_name(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Basic c2VjcmV0", f"Basic {MASK}"),
        ("basic hunter", f"basic {MASK}"),
        ("BEARER  abc.def-ghi~jkl+mno/pqr==", f"BEARER  {MASK}"),
        ("via Token hunter, then", f"via Token {MASK}, then"),
        ("sets X: apikey k1 on the request", f"sets X: apikey {MASK} on the request"),
        ("a: 'negotiate YII='", f"a: 'negotiate {MASK}'"),
        ("proxy bearer c2VjcmV0 here", f"proxy bearer {MASK} here"),
        ('Digest username="a b", realm=r, response="c"', f"Digest {MASK}"),
        ("Token token=abc, id=x", f"Token {MASK}"),
        ("?a=Basic%20c2VjcmV0", f"?a={MASK}"),
        ("Basic x, Bearer y", f"Basic {MASK}, Bearer {MASK}"),
        ("Bearer ${TOKEN}", "Bearer ${TOKEN}"),
        ("Bearer ${TOKEN:-literal}", f"Bearer ${{TOKEN:-{MASK}}}"),
        ("Bearer a${TOKEN}b", f"Bearer {MASK}${{TOKEN}}{MASK}"),
        ("https://u:p@h/?token=REF&page=2", f"https://{MASK}@h/?token={MASK}&page=2"),
        (
            "see 'https://h/?page=2&access%5Ftoken=REF', x",
            f"see 'https://h/?page=2&access%5Ftoken={MASK}', x",
        ),
        ("/login?code=1#id_token=2", f"/login?code={MASK}#id_token={MASK}"),
        ("/x?a=1;pin=1234&b=2", f"/x?a=1;pin={MASK}&b=2"),
        ("/x?token=it's;all&b=2", f"/x?token={MASK}&b=2"),
        ("/x?a=1&amp;sig=2", f"/x?a=1&amp;sig={MASK}"),
        ("/x?next=https%3A%2F%2Fh%2F%3Ftoken%3DREF&b=2", f"/x?next={MASK}&b=2"),
        ("/x?next=https%253A%252F%252Fu%253Ap%2540h", f"/x?next={MASK}"),
        ("/x?next=https://h/?token=REF", f"/x?next=https://h/?token={MASK}"),
        ("/x?token=${request.query.t}", "/x?token=${request.query.t}"),
        ("/x?token=${T:-literal}", f"/x?token=${{T:-{MASK}}}"),
    ],
)
def test_a_credential_in_a_text_is_hidden(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/a?author=ada&pinned=1&page=2#top",
        "asks for a Bearer token, or Basic authentication",
        "the basic idea of a token that is a token of trust",
        'Bearer realm="api"',
        "X-Basic y",
        "tokens abc12345",
        "/x?token=&next=%2Fhome%3Fa%3D1",
        "token=1 stands in no URL",
        "",
    ],
)
def test_what_is_no_credential_is_left_as_it_is(text: str) -> None:
    assert without_credentials(text) == text


def test_a_url_in_a_parameter_is_looked_into_a_few_times_only() -> None:
    text = "/x?a=" + "%25" * 50_000 + "3D"
    assert without_credentials(text) == text


@pytest.mark.parametrize("text", ["Digest ${A}", "ApiKey ${A}", "basic ${A}", "Negotiate ${A}"])
def test_a_scheme_before_a_reference_is_no_secret(text: str) -> None:
    assert without_literals(text) == text


def test_an_excerpt_hides_them_and_keeps_its_caret() -> None:
    line = "  X-A: Basic c2VjcmV0, nope: 5"
    shown, column, length = masked(line, [], line.index("nope"), 4)
    assert shown == f"  X-A: Basic {MASK}, nope: 5"
    assert shown[column : column + length] == "nope"


@pytest.mark.parametrize(
    "option",
    [
        "X-Upstream-Auth: hunter22",
        "X-Plain: Basic hunter22",
        "X-Plain: 'https://h/?sig=hunter22'",
        "door.pin: hunter22",
    ],
)
def test_a_diagnostic_of_its_line_shows_none(write: Any, option: str) -> None:
    text = f"version: 1\nplugins:\n  - headers: {{request: {{set: {{{option}}}, nope: 5}}}}\n"
    shown = write.text(text).render()
    assert "hunter22" not in shown
    assert MASK in shown


def test_a_message_shows_none(write: Any) -> None:
    text = "version: 1\nservices: {a: {upstream: http://a, routes: ['GET /x?sig=hunter22']}}\n"
    shown = write.text(text).render()
    assert "hunter22" not in shown
