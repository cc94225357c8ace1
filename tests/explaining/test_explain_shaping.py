"""Which of several upstreams a request would go to, and whether a copy would be sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxy.cli.explained import as_text
from tests.explaining.kit import Asked

Of = Callable[..., Asked]

KEY = "0" * 64
TEXT = f"""\
version: 1
gateway: {{base_path: /api}}
plugins: [api-key: {{keys: [{{name: ada, sha256: "{KEY}"}}]}}]
services:
  shop:
    upstream: http://shop:8000/v1
    split:
      - upstream: {{targets: [http://next-1:8000, http://next-2:8000], path: /v2}}
        share: 40%
        header: {{X-Canary: "1"}}
      - {{upstream: service/late, share: 10%}}
    mirror: {{upstream: http://copy.example.com, share: 1%, compare: json}}
    routes:
      - {{match: {{path: /open}}, public: true}}
  late: {{upstream: "https://late.example.com", public: true}}
  whole: {{upstream: "http://whole:8000", public: true}}
"""
NEXT = "shop to next-1:8000/v2"


async def told(of: Of, asked: str, *headers: str, **more: Any) -> dict[str, Any]:
    return await of(TEXT).told(asked, *headers, **more)


async def test_a_request_that_asks_for_an_upstream_is_shown_as_that_one_gets_it(of: Of) -> None:
    found = await told(of, "GET /api/shop/x?a", "X-Canary: 1", claims={"sub": "ada"})
    assert found["split"]["upstream"] == NEXT
    assert found["split"]["reason"] == "request"
    assert found["outgoing"]["target"] == "/v2/x?a"
    targets = found["outgoing"]["targets"]
    assert [(one["url"], one["host"], one["place"]) for one in targets] == [
        (f"http://next-{n}:8000", f"next-{n}:8000", "routes.yaml:8") for n in (1, 2)
    ]
    assert [(one["name"], one["place"]) for one in found["split"]["upstreams"]] == [
        (NEXT, "routes.yaml:8"),
        ("late", "routes.yaml:11"),
        ("shop", "routes.yaml:6"),
    ]
    assert found["split"]["upstreams"][0]["headers"] == [{"name": "x-canary", "asked": "1"}]
    assert [one["share"] for one in found["split"]["upstreams"]] == pytest.approx([0.4, 0.1, 0.5])


async def test_the_share_decides_by_who_calls(of: Of) -> None:
    seen = {}
    for name in range(40):
        found = (await told(of, "GET /api/shop/x", claims={"sub": f"u{name}"}))["split"]
        point = found["point"]
        expected = NEXT if point < 0.4 else "late" if point >= 0.9 else "shop"
        assert found["upstream"] == expected
        assert found["by"] == "principal"
        seen[expected] = found["reason"]
    assert seen == {NEXT: "share", "late": "share", "shop": "rest"}


async def test_without_a_caller_that_is_needed_the_shares_say_nothing(of: Of) -> None:
    found = (await told(of, "GET /api/shop/x"))["split"]
    assert (found["reason"], found["point"], found["upstream"]) == ("caller", None, "shop")


async def test_on_a_public_route_the_clients_address_decides(of: Of) -> None:
    found = (await told(of, "GET /api/shop/open", address="192.0.2.7"))["split"]
    assert found["by"] == "address"
    assert found["point"] is not None


async def test_a_far_upstream_is_shown_without_the_cookies_of_a_near_one(of: Of) -> None:
    for name in range(40):
        claims = {"sub": f"u{name}"}
        found = await told(of, "GET /api/shop/x", "Cookie: a=b", "X-A: 1", claims=claims)
        sent = [one["name"] for one in found["outgoing"]["headers"] if one["from"] == "client"]
        dropped = [one["name"] for one in found["outgoing"]["dropped"]]
        far = found["split"]["upstream"] == "late"
        assert sent == (["X-A"] if far else ["Cookie", "X-A"])
        assert dropped == ["Host", *(["Cookie"] if far else [])]


@pytest.mark.parametrize(
    ("asked", "headers", "never"),
    [
        ("GET /api/shop/x", (), None),
        ("POST /api/shop/x", (), "method"),
        (
            "GET /api/shop/x",
            ("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
             "Sec-WebSocket-Version: 13"),
            "upgrade",
        ),
    ],
)  # fmt: skip
async def test_it_is_told_whether_copies_are_sent(
    of: Of, asked: str, headers: tuple[str, ...], never: str | None
) -> None:
    found = await told(of, asked, *headers, claims={"sub": "ada"})
    assert found["mirror"] == {
        "upstream": "shop to copy.example.com",
        "share": 0.01,
        "compare": "json",
        "never": never,
        "place": "routes.yaml:12",
    }


async def test_what_a_mirrors_own_upstream_gets_is_not_copied(of: Of) -> None:
    text = TEXT.replace("upstream: http://copy.example.com", "upstream: service/late")
    found = await of(text.replace("10%", "60%").replace("40%", "40.0%")).told(
        "GET /api/shop/x", claims={"sub": "ada"}
    )
    assert (found["split"]["upstream"] == "late") == (found["mirror"]["never"] == "same")


async def test_a_route_without_either_says_nothing_of_them(of: Of) -> None:
    found = await told(of, "GET /api/whole/x")
    assert found["split"] is None
    assert found["mirror"] is None
    assert "split" not in as_text(found).splitlines()


async def test_people_read_it_in_words(of: Of) -> None:
    text = as_text(await told(of, "GET /api/shop/x", "X-Canary: 1", claims={"sub": "ada"}))
    assert f"  goes to '{NEXT}': the request asks for it\n" in text
    assert f"  40%  {NEXT}  routes.yaml:8\n       - and all with header x-canary: 1\n" in text
    assert "  copied     1% of such requests, once the upstream has answered\n" in text
