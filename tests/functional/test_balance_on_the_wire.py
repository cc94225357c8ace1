"""Which target a client gets: weights, hashes and sticky cookies, over the wire (row 27)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import (
    PATH,
    Backend,
    nothing_is_held,
    service,
    states,
)
from tests.functional.kit import Gateway, Reply
from tests.functional.plugins_for_tests import HERE


async def shares(running: Gateway, times: int, *headers: str) -> Counter[str]:
    replies = [await running.get(PATH, *headers) for _ in range(times)]
    assert {reply.status for reply in replies} == {200}
    return Counter(reply.body.decode() for reply in replies)


def weighted(three: list[Backend], *weights: int, balance: str = "round-robin") -> str:
    text = service(three, f"balance: {balance}")
    for one, weight in zip(three, weights, strict=True):
        text = text.replace(f"- {one.url}\n", f"- {{url: {one.url}, weight: {weight}}}\n")
    return text


@pytest.mark.parametrize("balance", ["round-robin", "least-requests"])
async def test_weights_are_honoured_exactly(
    gateway: MakeGateway, three: list[Backend], balance: str
) -> None:
    """One request at a time: nobody has anything in flight, so all are in turn."""
    running = await gateway(weighted(three, 5, 3, 0, balance=balance))
    found = await shares(running, 80)
    assert found == {"a": 50, "b": 30}


async def test_random_two_spreads_over_all(gateway: MakeGateway, three: list[Backend]) -> None:
    running = await gateway(service(three, "balance: random-two"))
    found = await shares(running, 150)
    assert min(found[one.name] for one in three) > 25


# -- hash


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("{header: X-Tenant}", "X-Tenant: {}"),
        ("{cookie: session}", "Cookie: a=b; session={}"),
        ("address", "X-Forwarded-For: 10.1.2.{}"),
        ("{claim: subject}", "X-Name: {}"),
    ],
)
async def test_who_has_the_same_key_gets_the_same_target(
    gateway: MakeGateway, three: list[Backend], key: str, header: str
) -> None:
    text = service(three, f"balance: {{hash: {key}}}")
    if "claim" in key:
        text = text.replace("public: true", f'plugins: [{{use: "{HERE}:Named", as: named}}]')
    running = await gateway(text + "gateway: {trusted_proxies: [127.0.0.1]}\n")
    homes = {}
    for number in range(30):
        found = await shares(running, 4, header.format(number))
        assert len(found) == 1, "always the same"
        (homes[number],) = found
    assert set(homes.values()) == {"a", "b", "c"}, "and not all the same"


async def test_when_a_target_goes_only_its_keys_move_and_they_come_back_with_it(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(
        service(
            three,
            "balance: {hash: {header: X-Tenant}}\n"
            "health: {path: /health, interval: 50ms, timeout: 50ms, unhealthy: 1, healthy: 1}\n"
            "outliers: false",
        )
    )

    async def homes() -> dict[int, str]:
        found = {}
        for number in range(40):
            (found[number],) = await shares(running, 1, f"X-Tenant: {number}")
        return found

    before = await homes()
    three[1].health = 500
    await until(lambda: states(running) == "ok unhealthy ok")
    without = await homes()
    assert all(without[n] == home for n, home in before.items() if home != "b")
    assert {without[n] for n, home in before.items() if home == "b"} == {"a", "c"}
    three[1].health = 200
    await until(lambda: states(running) == "ok ok ok")
    assert await homes() == before


async def test_another_gateway_gives_a_key_the_same_target(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    one = await gateway(service(three, "balance: {hash: {header: X-Tenant}}"))
    other = await gateway(service(three[::-1], "balance: {hash: {header: X-Tenant}}"))
    for number in range(20):
        header = f"X-Tenant: {number}"
        assert await shares(one, 1, header) == await shares(other, 1, header)


# -- sticky


def cookie(reply: Reply) -> tuple[str, list[str]]:
    (given,) = reply.all("Set-Cookie")
    pair, *attributes = [part.strip() for part in given.split(";")]
    return pair, attributes


async def test_a_client_keeps_the_target_that_it_was_given_first(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(service(three, "balance: {sticky: at}", forward_cookies="all"))
    seen = set()
    for _ in range(3):
        first = await running.get(PATH)
        pair, attributes = cookie(first)
        assert attributes == ["Path=/api/brain/s", "HttpOnly", "SameSite=Lax"]
        assert str(three[0].port) not in pair
        for _ in range(4):
            again = await running.get(PATH, f"Cookie: theirs=1; {pair}; more=2")
            assert again.body == first.body
            assert again.all("Set-Cookie") == [], "once"
        seen.add(first.body)
    assert seen == {b"a", b"b", b"c"}
    heads = b"".join(head for one in three for head in one.heads)
    assert b"at=" not in heads, "it is the gateway's own"
    assert b"theirs=1; more=2" in heads


async def test_an_upstreams_own_cookies_stay_beside_it(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].fields = ("Set-Cookie: session=1; Path=/",)
    running = await gateway(service(three[:1], "balance: {sticky: at}"))
    given = (await running.get(PATH)).all("Set-Cookie")
    assert len(given) == 2
    assert given[0].startswith("session=1")
    assert given[1].startswith("at=")


async def test_it_is_secure_when_the_client_came_by_https(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(
        service(three, "balance: {sticky: at}") + "gateway: {trusted_proxies: [127.0.0.1]}\n"
    )
    _, attributes = cookie(await running.get(PATH, "X-Forwarded-Proto: https"))
    assert attributes == ["Path=/api/brain/s", "HttpOnly", "SameSite=Lax", "Secure"]


async def test_a_client_whose_target_is_gone_gets_another_and_is_told_so(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(
        service(
            three,
            "balance: {sticky: at}\noutliers: false\n"
            "health: {path: /health, interval: 50ms, timeout: 50ms, unhealthy: 1, healthy: 1}",
        )
    )
    first = await running.get(PATH)
    pair, _ = cookie(first)
    home = next(one for one in three if one.name.encode() == first.body)
    await home.kill()
    moved = await running.get(PATH, f"Cookie: {pair}")
    assert moved.status == 200
    assert moved.body != first.body
    new, _ = cookie(moved)
    assert new != pair
    await until(lambda: "unhealthy" in states(running))
    stays = await running.get(PATH, f"Cookie: {new}")
    assert (stays.body, stays.all("Set-Cookie")) == (moved.body, [])
    await home.start()
    await until(lambda: "unhealthy" not in states(running))
    assert (await running.get(PATH, f"Cookie: {new}")).body == moved.body, "and is not moved back"
    nothing_is_held(running)


@pytest.mark.parametrize(
    "value", ["at=", "at=0000000000000000", 'at="x"', "at=é", "at=" + "x" * 3000]
)
async def test_a_cookie_that_names_nobody_is_replaced(
    gateway: MakeGateway, three: list[Backend], value: str
) -> None:
    running = await gateway(service(three, "balance: {sticky: at}"))
    reply = await running.get(PATH, f"Cookie: {value}")
    assert reply.status == 200
    assert len(cookie(reply)[0]) == len("at=") + 16
