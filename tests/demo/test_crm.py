"""The stand-in CRM has the habits of a Django REST service."""

import json
from collections.abc import Callable

import pytest
from aiohttp import ClientSession
from yarl import URL


@pytest.fixture
def credential() -> dict[str, str]:
    return {"Authorization": "Token crm-key-of-acme"}


@pytest.fixture
def contacts(address: Callable[[str], str]) -> str:
    return address("DJANGO_CRM") + "/contacts/"


async def test_contacts_come_in_pages(client: ClientSession, contacts: str) -> None:
    async with client.get(contacts) as response:
        first = await response.json()
    async with client.get(first["next"]) as response:
        second = await response.json()
    assert first["count"] == second["count"] == 3
    assert [row["id"] for row in first["results"] + second["results"]] == [1, 2, 3]
    assert first["previous"] is None
    assert second["next"] is None


async def test_links_between_pages_are_those_of_the_client(
    client: ClientSession, contacts: str
) -> None:
    forwarded = {
        "X-Forwarded-Host": "shop.example:8443",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/api/brain/crm",
    }
    async with client.get(contacts, headers=forwarded) as response:
        first = await response.json()
    assert first["next"] == "https://shop.example:8443/api/brain/crm/contacts/?page=2"


@pytest.mark.parametrize("page", ["0", "9", "x", "-1", "²"])
async def test_a_page_that_is_not_there_is_404(
    client: ClientSession, contacts: str, page: str
) -> None:
    async with client.get(contacts, params={"page": page}) as response:
        assert response.status == 404
        assert await response.json() == {"detail": "Invalid page."}


async def test_json_is_indented_when_accept_asks_for_it(
    client: ClientSession, contacts: str
) -> None:
    accept = {"Accept": "application/json; indent=4"}
    async with client.get(contacts + "1/", headers=accept) as response:
        text = await response.text()
    assert text.startswith('{\n    "id": 1,')
    assert json.loads(text)["name"] == "Ada Lovelace"


async def test_a_contact_is_made_changed_replaced_and_deleted(
    client: ClientSession, contacts: str
) -> None:
    new = {"name": "Bo", "email": "bo@example.com"}
    async with client.post(contacts, json=new) as response:
        assert response.status == 201
        place = response.headers["Location"]
    assert place == f"{contacts}4/"
    async with client.patch(place, json={"company": "Engines"}) as response:
        assert await response.json() == {"id": 4, "company": "Engines", **new}
    async with client.put(place, json={**new, "name": "Bob"}) as response:
        assert (await response.json())["name"] == "Bob"
    async with client.delete(place) as response:
        assert (response.status, await response.read()) == (204, b"")
    async with client.get(place) as response:
        assert response.status == 404


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"name": "Bo"}'])
async def test_a_bad_contact_is_refused_with_a_detail(
    client: ClientSession, contacts: str, body: bytes
) -> None:
    async with client.post(contacts, data=body) as response:
        assert response.status == 400
        assert (await response.json())["detail"]


async def test_head_has_the_length_of_the_body_that_it_leaves_out(
    client: ClientSession, contacts: str
) -> None:
    async with client.get(contacts) as whole, client.head(contacts) as head:
        assert head.headers["Content-Length"] == str(len(await whole.read()))
        assert await head.read() == b""


async def test_options_is_answered_by_the_service(client: ClientSession, contacts: str) -> None:
    async with client.options(contacts) as response:
        assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"
        assert (await response.json())["name"] == "Contact List"
    async with client.options(contacts + "1/") as response:
        assert "PATCH" in response.headers["Allow"]


async def test_a_wrong_method_is_405_with_allow(client: ClientSession, contacts: str) -> None:
    async with client.delete(contacts) as response:
        assert response.status == 405
        assert "POST" in response.headers["Allow"]
        assert await response.json() == {"detail": "Method Not Allowed"}


async def test_a_path_that_lacks_its_slash_is_redirected_to_the_services_own_host(
    client: ClientSession, contacts: str
) -> None:
    url = URL(contacts.rstrip("/") + "?page=2&q=a%27b", encoded=True)
    async with client.get(url, allow_redirects=False) as response:
        assert response.status == 301
        assert response.headers["Location"] == contacts + "?page=2&q=a%27b"


async def test_a_path_that_is_nowhere_is_not_redirected(
    client: ClientSession, address: Callable[[str], str]
) -> None:
    async with client.get(address("DJANGO_CRM") + "/nowhere") as response:
        assert response.status == 404


async def test_login_sets_two_cookies_in_two_headers(
    client: ClientSession, address: Callable[[str], str]
) -> None:
    async with client.post(address("DJANGO_CRM") + "/auth/login/") as response:
        cookies = response.headers.getall("Set-Cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == ["sessionid", "csrftoken"]
    assert all("Path=/" in cookie for cookie in cookies)


async def test_cookies_that_come_back_are_named(
    client: ClientSession, address: Callable[[str], str]
) -> None:
    sent = {"Cookie": "sessionid=a; csrftoken=b"}
    async with client.get(address("DJANGO_CRM") + "/auth/me/", headers=sent) as response:
        assert await response.json() == {"cookies": ["csrftoken", "sessionid"]}


@pytest.mark.parametrize("tenant", ["acme", "globex"])
async def test_a_key_opens_its_own_account_alone(
    client: ClientSession, address: Callable[[str], str], tenant: str
) -> None:
    own = {"Authorization": f"Token crm-key-of-{tenant}"}
    async with client.get(address("DJANGO_CRM") + "/account/", headers=own) as response:
        assert await response.json() == {"account": tenant}


async def test_what_one_account_deletes_the_other_still_has(
    client: ClientSession, contacts: str
) -> None:
    async with client.delete(contacts + "1/") as response:
        assert response.status == 204
    async with client.get(contacts + "1/") as response:
        assert response.status == 404
    other = {"Authorization": "Token crm-key-of-globex"}
    async with client.get(contacts + "1/", headers=other) as response:
        assert response.status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ("", "Authentication credentials were not provided."),
        ("Bearer crm-key-of-acme", "Authentication credentials were not provided."),
        ("Token", "Invalid token."),
        ("Token crm-key-of-nobody", "Invalid token."),
        ("Token ${secret.api_key}", "Invalid token."),
    ],
)
async def test_without_a_key_of_its_own_it_answers_401(
    client: ClientSession, contacts: str, method: str, sent: str, detail: str
) -> None:
    async with client.request(method, contacts, headers={"Authorization": sent}) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Token"
        assert await response.json() == {"detail": detail}
