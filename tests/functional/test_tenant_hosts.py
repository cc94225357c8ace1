"""Requests that a plugin sends to a host that a tenant has named: where they go, and as what."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from pathlib import Path

import pytest
import trustme

from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream, request
from tests.functional.plugins_for_tests import NOTES
from tests.functional.tenantkit import (
    ACME,
    BETA,
    PATH,
    TenantNames,
    TenantServer,
    answer,
    code,
    hides,
    pools,
    shop,
)
from tests.functional.test_websocket_tunnel import HANDSHAKE, SWITCH

# -- where, and as what


@pytest.mark.parametrize(
    ("base", "target", "sent"),
    [
        ("", "/x", "/x"),
        ("/", "/x", "/x"),
        ("", "", "/"),
        ("", "/", "/"),
        ("/admin/api", "/x", "/admin/api/x"),
        ("/admin/api/", "/x/", "/admin/api/x/"),
        ("/admin/api", "", "/admin/api"),
        ("/admin/api", "/", "/admin/api/"),
        ("/a%20b", "/c%20d;e?q=%41&q=+&&", "/a%20b/c%20d;e?q=%41&q=+&&"),
        ("/v1", "/v1/x?", "/v1/v1/x?"),
    ],
)
async def test_the_base_urls_path_takes_the_place_of_the_upstreams(
    gateway: MakeGateway,
    tenant: TenantServer,
    tenant_ca: Path,
    base: str,
    target: str,
    sent: str,
) -> None:
    running = await gateway(shop(tenant, tenant_ca))
    reply = await running.get(PATH + target, tenant.base(base))
    assert (reply.status, tenant.last.target) == (200, sent)


@pytest.mark.parametrize("written", ["", "    host: preserve\n", "    host: fixed.example\n"])
async def test_the_tenants_host_is_who_is_asked_for_whatever_the_route_says(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path, written: str
) -> None:
    running = await gateway(shop(tenant, tenant_ca, more=written))
    for host in (ACME, BETA):
        assert (await running.get(f"{PATH}/x", tenant.base(host=host))).status == 200
        assert tenant.named[-1] == host
        assert tenant.last.all("Host") == [f"{host}:{tenant.port}"]
        assert tenant.last.header("X-Key") == "tenants-own"


async def test_what_nobody_sends_elsewhere_goes_to_the_routes_own_upstream(
    gateway: MakeGateway, tenant: TenantServer, upstream: RecordingUpstream, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca, url=f"{upstream.url}/v1"))
    assert (await running.get(f"{PATH}/a", tenant.base("/t"))).status == 200
    assert (await running.get(f"{PATH}/b")).status == 200
    assert [one.target for one in tenant.seen] == ["/t/a"]
    assert [one.target for one in upstream.seen] == ["/v1/b"]


async def test_a_second_call_goes_where_the_plugin_says_then(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path, tenant_authority: trustme.CA
) -> None:
    other = TenantServer()
    await other.serve(tenant_authority.issue_cert(BETA))
    try:
        text = shop(tenant, tenant_ca).replace("ports: [443", f"ports: [{other.port}, 443")
        running = await gateway(text)
        tenant.answer = answer("401 Unauthorized")
        again = f"X-Again: https://{BETA}:{other.port}/new"
        reply = await running.get(
            f"{PATH}/x?y", tenant.base("/old"), again, method="POST", body=b"z"
        )
        assert reply.status == 200
        assert [one.target for one in (tenant.last, other.last)] == ["/old/x?y", "/new/x?y"]
        assert tenant.last.body == other.last.body == b"z"
        assert [one.target for one in NOTES[0].attempts] == [tenant.alias(), other.alias(BETA)]
    finally:
        await other.close()


async def test_links_and_cookies_that_come_back_are_told_in_the_clients_terms(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca))
    own = f"https://{ACME}:{tenant.port}"
    for location, told in {
        f"{own}/admin/api/x?y=1": f"{PATH}/x?y=1",
        "/admin/api/x": f"{PATH}/x",
        "https://elsewhere.example/x": "https://elsewhere.example/x",
        # The path is the tenant's own outside of what is served here: nothing is made up.
        f"{own}/login": f"{own}/login",
    }.items():
        tenant.answer = answer(
            "302 Found", f"Location: {location}", f"Set-Cookie: a=b; Domain={ACME}; Path=/admin/api"
        )
        reply = await running.get(f"{PATH}/x", tenant.base("/admin/api"))
        assert (reply.status, reply.header("Location")) == (302, told)
        assert reply.header("Set-Cookie") == f"a=b; Path={PATH}"
    assert len(tenant.seen) == 4, "a redirect is the client's to follow"


async def test_uploads_streams_and_upgrades_work_as_anywhere(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca))
    client = await running.client()
    client.send(
        request(f"{PATH}/up", tenant.base(), "Transfer-Encoding: chunked", method="POST")
        + b"5\r\nhello\r\n"
    )
    await asyncio.sleep(0.02)
    client.send(b"6\r\n world\r\n0\r\n\r\n")
    assert (await client.reply()).status == 200
    assert tenant.last.body == b"hello world"
    tenant.answer = SWITCH + b"early"
    client.send(request(f"{PATH}/chat", *HANDSHAKE, tenant.base("/ws")))
    assert (await client.head()).status == 101
    assert await client.reader.readexactly(5) == b"early"
    assert tenant.last.target == "/ws/chat"
    assert [one.in_flight for one in pools(running)] == [0, 1]
    client.close()


async def test_a_status_that_the_route_tries_again_is_tried_again_there(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(
        shop(tenant, tenant_ca, more="    retry: {attempts: 3, statuses: [503], floor: 100}\n")
    )
    tenant.answer = answer("503 Service Unavailable")
    assert (await running.get(f"{PATH}/x", tenant.base())).status == 503
    assert [one.again for one in NOTES[0].attempts] == ["status", "status", "attempts"]
    retries = running.host.gateway.status().retries
    assert retries == {("shop", "status"): 2}


# -- with split, mirror and cache


async def test_a_tenants_host_wins_over_a_split(
    gateway: MakeGateway, tenant: TenantServer, upstream: RecordingUpstream, tenant_ca: Path
) -> None:
    split = f'    split: [{{upstream: "{upstream.url}/v2", share: 100%}}]\n'
    running = await gateway(shop(tenant, tenant_ca, more=split))
    assert (await running.get(f"{PATH}/x", tenant.base("/t"))).status == 200
    assert tenant.last.target == "/t/x"
    assert (await running.get(f"{PATH}/x")).status == 200
    assert upstream.last.target == "/v2/x"
    counted = running.host.gateway.status().split
    assert sum(counted.values()) == 1, "of two requests one had a way of the split"


async def test_a_mirror_never_sees_a_tenants_credentials(
    gateway: MakeGateway, tenant: TenantServer, upstream: RecordingUpstream, tenant_ca: Path
) -> None:
    mirror = f'    mirror: {{upstream: "{upstream.url}/m", share: 100%%, credentials: %s}}\n'
    running = await gateway(shop(tenant, tenant_ca, more=mirror % "false"))
    assert (await running.get(f"{PATH}/x", tenant.base("/t"), "X-Kind: y")).status == 200
    async with asyncio.timeout(2):
        while not upstream.seen:
            await asyncio.sleep(0.005)
    copied = upstream.last
    assert (copied.target, copied.header("X-Kind")) == ("/m/x", "y")
    assert copied.header("X-Key") is None
    assert "shops.example" not in (copied.header("Host") or "")
    await running.stop()
    trusted = await gateway(shop(tenant, tenant_ca, more=mirror % "true"))
    assert (await trusted.get(f"{PATH}/x", tenant.base("/t"))).status == 200
    assert trusted.host.gateway.status().mirrored == {("shop", "skipped-tenant"): 1}
    assert len(upstream.seen) == 1


async def test_what_one_tenants_host_calls_public_is_kept_for_no_other(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca, above=", cache"))
    tenant.answer = answer("200 OK", "Cache-Control: public, max-age=60", body=b"acme")
    assert (await running.get(f"{PATH}/x", tenant.base())).body == b"acme"
    tenant.answer = answer("200 OK", "Cache-Control: public, max-age=60", body=b"beta")
    assert (await running.get(f"{PATH}/x", tenant.base(host=BETA))).body == b"beta"


# -- what is refused


async def test_a_certificate_is_verified_for_the_tenants_name_whatever_the_file_says(
    gateway: MakeGateway,
    tenant_names: TenantNames,
    tenant_ca: Path,
    tenant_authority: trustme.CA,
    notes: list[object],
) -> None:
    tenant_names.answers["gamma.shops.example"] = [["127.0.0.1"]]
    wrong = TenantServer()
    await wrong.serve(tenant_authority.issue_cert(ACME))
    stranger = TenantServer()
    await stranger.serve(trustme.CA().issue_cert(ACME))
    try:
        for url, tls in (
            ("https://shop.invalid", ""),
            ("https://shop.invalid", f", verify: false, server_name: {ACME}"),
            ("http://shop.invalid", ", verify: false"),
        ):
            for server, host in ((wrong, "gamma.shops.example"), (stranger, ACME)):
                running = await gateway(shop(server, tenant_ca, url=url, tls=tls))
                reply = await running.get(f"{PATH}/x", server.base(host=host))
                assert (reply.status, code(reply)) == (502, "upstream_tls_failed"), (url, tls)
                assert hides(reply)
                note = NOTES[-1].attempts[0].note
                assert note.startswith(f"{server.alias(host)}: ")
                assert "certificate" in note.lower() or "mismatch" in note
                assert "shops.example" not in note
                await running.stop()
            running = await gateway(shop(wrong, tenant_ca, url=url, tls=tls))
            assert (await running.get(f"{PATH}/x", wrong.base())).status == 200
            await running.stop()
        assert stranger.seen == []
    finally:
        await wrong.close()
        await stranger.close()


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["10.0.0.1", "192.168.1.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%lo"],
    ],
)
async def test_a_name_with_no_public_address_is_refused(
    gateway: MakeGateway,
    tenant: TenantServer,
    tenant_names: TenantNames,
    tenant_ca: Path,
    found: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tenant_names.answers[ACME] = [found]
    retry = "    retry: {attempts: 3}\n"
    running = await gateway(
        shop(tenant, tenant_ca, networks="10.9.0.0/16", above=", access-log", more=retry)
    )
    reply = await running.get(f"{PATH}/x", tenant.base())
    assert (reply.status, code(reply)) == (502, "tenant_address_refused")
    assert "error=destination_ip_prohibited" in (reply.header("Proxy-Status") or "")
    assert hides(reply)
    (attempt,) = NOTES[0].attempts
    assert (attempt.target, attempt.code) == (tenant.alias(), "tenant_address_refused")
    assert tenant.connections == 0
    assert tenant.named == []
    await asyncio.sleep(0.01)
    assert "shops.example" not in caplog.text


async def test_of_a_mixed_answer_only_what_is_allowed_is_connected_to(
    gateway: MakeGateway, tenant: TenantServer, tenant_names: TenantNames, tenant_ca: Path
) -> None:
    """10.255.255.1 would hang, and the loopback address that is no server's would refuse."""
    tenant_names.answers[ACME] = [["10.255.255.1", "127.0.0.7", "::1", "127.0.0.1"]]
    running = await gateway(shop(tenant, tenant_ca, networks="127.0.0.1/32"))
    assert (await running.get(f"{PATH}/x", tenant.base())).status == 200
    assert len(NOTES[0].attempts) == 1


async def test_several_addresses_are_as_many_targets_and_no_log_has_them(
    gateway: MakeGateway, tenant: TenantServer, tenant_names: TenantNames, tenant_ca: Path
) -> None:
    """At the second address nothing listens: what goes there is sent to the first one."""
    tenant_names.answers[ACME] = [["127.0.0.1", "127.0.0.2", "10.0.0.1"]]
    running = await gateway(shop(tenant, tenant_ca, upstream=", keepalive: 1ms"))
    for _ in range(4):
        assert (await running.get(f"{PATH}/x", tenant.base())).status == 200
        await asyncio.sleep(0.005)
    (pool,) = pools(running)
    assert len(pool.targets) == 2, "10.0.0.1 is none"
    tries = [attempt for exchange in NOTES[1:] for attempt in exchange.attempts]
    own = tenant.alias().removeprefix("https://")
    assert {one.target for one in tries} == {target.label for target in pool.targets}
    assert all(re.fullmatch(rf"https://[0-9a-f]{{6}}\.{own}", one.target) for one in tries)
    assert {one.code for one in tries} == {None, "upstream_connect_refused"}
    assert {one.note for one in tries if one.code} < {one.target for one in tries}


async def test_what_was_checked_is_what_is_connected_to(
    gateway: MakeGateway, tenant: TenantServer, tenant_names: TenantNames, tenant_ca: Path
) -> None:
    """A name that means another address each time that it is asked: it is asked once."""
    tenant_names.answers[ACME] = [["127.0.0.1"], ["127.0.0.2"]]
    running = await gateway(
        shop(
            tenant,
            tenant_ca,
            networks="127.0.0.1/32",
            upstream=", resolve_ttl: 50ms, keepalive: 50ms",
        )
    )
    assert (await running.get(f"{PATH}/x", tenant.base())).status == 200
    assert tenant_names.asked == [ACME]
    await asyncio.sleep(0.15)
    reply = await running.get(f"{PATH}/x", tenant.base())
    assert code(reply) == "tenant_address_refused", "the next connection asks again, and is checked"
    assert tenant.connections == 1


async def test_a_host_that_is_an_address_is_connected_to_where_it_is_allowed(
    gateway: MakeGateway,
    tenant_names: TenantNames,
    tenant_ca: Path,
    tenant_authority: trustme.CA,
    notes: list[object],
) -> None:
    server = TenantServer()
    await server.serve(tenant_authority.issue_cert("127.0.0.1"))
    try:
        running = await gateway(shop(server, tenant_ca))
        assert (await running.get(f"{PATH}/x", server.base(host="127.0.0.1"))).status == 200
        assert server.last.header("Host") == f"127.0.0.1:{server.port}"
        assert tenant_names.asked == []
    finally:
        await server.close()


async def test_a_name_that_is_not_found_says_nothing_of_it(
    gateway: MakeGateway, tenant: TenantServer, tenant_names: TenantNames, tenant_ca: Path
) -> None:
    tenant_names.answers[ACME] = [[]]
    running = await gateway(shop(tenant, tenant_ca))
    replies = await asyncio.gather(*(running.get(f"{PATH}/x", tenant.base()) for _ in range(3)))
    assert {code(one) for one in replies} == {"upstream_unresolved"}
    assert all(map(hides, replies))
    note = f"{tenant.alias()}: Temporary failure in name resolution"
    assert {one.attempts[0].note for one in NOTES} == {note}


async def test_names_that_hang_keep_no_other_upstream_from_being_found(
    gateway: MakeGateway, tenant: TenantServer, tenant_names: TenantNames, tenant_ca: Path
) -> None:
    tenant_names.hanging = threading.Event()
    running = await gateway(shop(tenant, tenant_ca, more="    timeouts: {resolve: 100ms}\n"))
    for number in range(12):
        tenant_names.answers[f"t{number}.shops.example"] = [["127.0.0.1"]]
    try:
        asked = [
            running.get(f"{PATH}/x", tenant.base(host=f"t{number}.shops.example"))
            for number in range(12)
        ]
        replies = await asyncio.gather(*asked)
        assert {code(one) for one in replies} == {"upstream_resolve_timeout"}
        async with asyncio.timeout(1):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    finally:
        tenant_names.hanging.set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while len(tenant_names.asked) < 12:
                await asyncio.sleep(0.01)
