"""The stand-in shop speaks GraphQL, the stand-in billing plain JSON."""

from collections.abc import Callable

import pytest
from aiohttp import ClientSession


@pytest.fixture
def credential() -> dict[str, str]:
    return {"Authorization": "Bearer lago-key-of-the-platform"}


@pytest.fixture
def graphql(address: Callable[[str], str]) -> str:
    return address("SALEOR") + "/graphql/"


async def test_the_shop_tells_its_name(client: ClientSession, graphql: str) -> None:
    async with client.post(graphql, json={"query": "{ shop { name } }"}) as response:
        assert await response.json() == {"data": {"shop": {"name": "Demo shop"}}}


async def test_products_come_as_edges(client: ClientSession, graphql: str) -> None:
    query = "query Some($n: Int) { products(first: $n) { edges { node { name } } } }"
    body = {"query": query, "variables": {"n": 2}}
    async with client.post(graphql, json=body) as response:
        products = (await response.json())["data"]["products"]
    assert [edge["node"]["name"] for edge in products["edges"]] == ["Apple juice", "Carrot juice"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"query": 1}', b'{"query": "{ x }"}'])
async def test_a_query_that_makes_no_sense_is_400_with_errors(
    client: ClientSession, graphql: str, body: bytes
) -> None:
    async with client.post(graphql, data=body) as response:
        assert response.status == 400
        assert (await response.json())["errors"][0]["message"]


async def test_a_browser_gets_a_page(client: ClientSession, graphql: str) -> None:
    async with client.get(graphql) as response:
        assert (response.status, response.content_type) == (200, "text/html")


@pytest.mark.parametrize("name", ["customers", "invoices"])
async def test_billing_lists_with_its_meta(
    client: ClientSession, address: Callable[[str], str], name: str
) -> None:
    async with client.get(f"{address('LAGO')}/{name}") as response:
        listed = await response.json()
    assert len(listed[name]) == listed["meta"]["total_count"] == 2


async def test_a_customer_is_found_by_its_external_id(
    client: ClientSession, address: Callable[[str], str]
) -> None:
    async with client.get(address("LAGO") + "/customers/acme") as response:
        assert (await response.json())["customer"]["name"] == "Acme"
    async with client.get(address("LAGO") + "/customers/nobody") as response:
        assert response.status == 404
        assert (await response.json())["code"] == "customer_not_found"


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer demo-key", "lago-key-of-the-platform"])
async def test_billing_answers_401_without_its_key(
    client: ClientSession, address: Callable[[str], str], sent: str
) -> None:
    url = address("LAGO") + "/invoices"
    async with client.get(url, headers={"Authorization": sent}) as response:
        assert response.status == 401
        assert await response.json() == {"status": 401, "error": "Unauthorized"}
