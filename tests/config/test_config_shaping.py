"""`split` and `mirror` as they are compiled; what is refused stands in shaping.yaml."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from proxy.cli.reach import with_reachability
from proxy.cli.routes import routes, table
from proxy.config.models import Compare, Config, MirrorSpec, RouteSpec, SplitSpec, ValueTest

TEXT = """version: 1
services:
  shop:
    public: true
    upstream: {url: http://shop:8000/api, concurrent: 7}
    split:
      - {upstream: http://next:8000, share: 5%, header: {X-Canary: "1*"}, cookie: {canary: true}}
      - {upstream: service/other, share: "${SHARE:-0%}"}
    mirror: {upstream: http://next:8000, share: 0.5%}
    routes:
      - {match: {path: /own}, upstream: http://own:8000}
      - {match: {path: /none}, split: [], mirror: false}
      - match: {path: /more}
        split: [{upstream: http://next:8000, share: 100%}]
        forward_cookies: [a]
  other: {upstream: https://other.example.com, public: true, split: [{upstream: http://x, share: 1%}]}
"""


def config(write: Any, text: str = TEXT, **environment: str) -> Config:
    loaded = write.text(text, **environment)
    assert loaded.config is not None, loaded.render()
    found: Config = loaded.config
    return found


def named(found: Config, name: str) -> RouteSpec:
    return next(route for route in found.routes if route.name == name)


def test_a_service_is_compiled_with_the_upstreams_beside_its_own(write: Any) -> None:
    found = config(write, SHARE="12.5%")
    shop = named(found, "shop")
    canary = found.upstreams[shop.split[0].upstream]
    assert (canary.name, canary.path, canary.concurrent) == ("shop to next:8000", "", 7)
    assert shop.split == (
        SplitSpec(
            shop.split[0].upstream,
            0.05,
            (ValueTest("x-canary", "1", prefix=True),),
            (ValueTest("canary"),),
        ),
        SplitSpec(named(found, "other").upstream, 0.125, keeps_cookies=False),
    )
    assert shop.mirror == MirrorSpec(shop.split[0].upstream, 0.005), "one pool for one place"
    assert shop.mirror.compare is Compare.STATUS


def test_routes_take_their_services_unless_they_have_an_upstream_or_say_otherwise(
    write: Any,
) -> None:
    found = config(write)
    for name in ("shop/own", "shop/none"):
        assert (named(found, name).split, named(found, name).mirror) == ((), None)
    more = named(found, "shop/more")
    assert [one.share for one in more.split] == [1.0]
    assert more.mirror == named(found, "shop").mirror


def test_the_cookies_of_each_upstream_follow_its_own_name_unless_somebody_says(write: Any) -> None:
    found = config(write)
    assert [one.keeps_cookies for one in named(found, "shop").split] == [True, False]
    said = config(write, TEXT.replace("http://next:8000, share: 100%", "https://a.b, share: 1%"))
    assert named(said, "shop/more").split[0].keeps_cookies


def test_credentials_that_leave_by_a_split_or_a_mirror_are_warned_of(write: Any) -> None:
    text = """version: 1
services:
  shop:
    public: true
    upstream: http://shop:8000
    forward_token: true
    forward_cookies: all
    split: [{upstream: https://split.example.com, share: 1%}]
    mirror: {upstream: https://mirror.example.com, share: 1%, credentials: true}
    routes: [{match: {path: /x}, mirror: {upstream: https://quiet.example.com, share: 1%}}]
"""
    assert [line.partition(" ")[0] for line in write.errors(text)].count("BG303") == 3
    told = "\n".join(write.errors(text))
    assert "'shop' sends all cookies to split.example.com" in told
    assert "'shop' sends callers' credentials to mirror.example.com" in told
    assert "quiet" not in told


def test_an_upstream_that_is_balanced_by_a_caller_nobody_knows_is_refused(write: Any) -> None:
    text = """version: 1
services:
  shop:
    public: true
    upstream: http://shop:8000
    split:
      - {upstream: {targets: [http://a, http://b], balance: {hash: {claim: sub}}}, share: 1%}
"""
    assert len([line for line in write.errors(text) if "claim" in line]) == 1


def test_another_policy_leaves_the_claim_of_the_defaults_behind(write: Any) -> None:
    text = """version: 1
defaults: {upstream: {balance: {hash: {claim: tenant}}}}
services:
  a: {public: true, upstream: {targets: [http://a, http://b], balance: round-robin}}
"""
    assert write.errors(text) == []
    (spec,) = config(write, text).upstreams
    assert spec.balance.hash is None


def test_cookies_of_the_gateways_own_are_hidden_from_all_upstreams(write: Any) -> None:
    sticky = "{targets: [http://a, http://b], balance: {sticky: kept}}"
    found = config(
        write, TEXT.replace("upstream: http://next:8000, share: 5%", f"upstream: {sticky}")
    )
    assert named(found, "shop").hidden_cookies == ("kept",)


def test_the_table_shows_where_else_requests_go(write: Any) -> None:
    shop = next(row for row in table(config(write)) if row["name"] == "shop")
    assert shop["upstream"] == "http://shop:8000/api"
    assert shop["split"] == [
        "5% header:x-canary cookie:canary http://next:8000",
        "0% https://other.example.com",
    ]
    assert shop["mirror"] == "0.5% http://next:8000"
    from click.testing import CliRunner

    shown = CliRunner().invoke(routes, []).stdout
    assert "http://shop:8000/api, 5% header:x-canary" in shown
    assert "copies 0.5% http://next:8000" in shown


async def test_connect_asks_for_those_upstreams_too(write: Any) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    up = server.sockets[0].getsockname()[1]
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        down = one.getsockname()[1], other.getsockname()[1]
        text = (
            f"version: 1\nservices:\n  a:\n    upstream: http://127.0.0.1:{up}\n    public: true\n"
            f"    split: [{{upstream: 'http://127.0.0.1:{down[0]}', share: 1%}}]\n"
            f"    mirror: {{upstream: 'http://127.0.0.1:{down[1]}', share: 1%}}\n"
        )
        found = await asyncio.to_thread(with_reachability, write.text(text))
    server.close()
    await server.wait_closed()
    assert [each.message.partition(" of ")[0] for each in found.diagnostics] == [
        f"http://127.0.0.1:{port}" for port in down
    ]
