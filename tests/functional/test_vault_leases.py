"""Secrets that are made for the gateway, on their way to an upstream that takes them at their word."""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, Gateway, RawUpstream, RecordingUpstream
from tests.functional.loadkit import load
from tests.functional.valkeykit import Server
from tests.functional.vaultkit import Entry, ask, calling, routes

EVERYTHING = 'path "*" { capabilities = ["create", "read", "update"] }'
BASIC = 'basic: {user: "${secret.username}", password: "${secret.password}"}'
PASSWORD = "of-the-server-itself"


class LogsIn(RawUpstream):
    """Logs in to Valkey with what it is sent, for each request, and says how that went."""

    def __init__(self, port: int) -> None:
        super().__init__(self._serve)
        self._port = port
        self.users: dict[str, int] = {}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line = next(
                one for one in head.split("\r\n") if one.startswith("Authorization: Basic ")
            )
            user, _, password = b64decode(line.split()[-1]).decode().partition(":")
            self.users[user] = self.users.get(user, 0) + 1
            good = await self._logged_in(user, password)
            writer.write(OK if good else b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async def _logged_in(self, user: str, password: str) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"AUTH {user} {password}\r\n".encode())
        told = await reader.readline()
        writer.close()
        return told.startswith(b"+OK")


@pytest.fixture
async def valkey() -> AsyncIterator[Server]:
    server = await Server(PASSWORD).start()
    yield server
    await server.kill()


@pytest.fixture
async def door(valkey: Server) -> AsyncIterator[LogsIn]:
    server = LogsIn(valkey.port)
    await server.start()
    yield server
    await server.close()


async def users_of(gateway: MakeGateway, door: LogsIn, section: str, path: str) -> Gateway:
    return await gateway(routes(section, door.url, f"secret: {path}, {BASIC}"))


def counted(bao: Bao, path: str) -> int:
    return sum(one == path for _, one in bao.requests())


async def test_a_users_lease_is_renewed_then_replaced_before_its_end_and_given_back_at_the_last(
    gateway: MakeGateway, bao: Bao, valkey: Server, door: LogsIn, tmp_path: Path
) -> None:
    """Leases of two seconds that can be renewed up to four."""
    path = await asyncio.to_thread(
        bao.database, valkey.port, PASSWORD, role="short", ttl="2s", max_ttl="4s"
    )
    entry = Entry.made(bao, tmp_path, EVERYTHING)
    running = await users_of(
        gateway, door, entry.section(more="mounts: {database: {engine: dynamic}}"), path
    )
    bao.forget_requests()
    async with load(running, clients=4, rate=40, make=lambda _: calling("acme")) as seen:
        await asyncio.sleep(5.0)
    assert seen.failures() == []
    assert len(door.users) >= 2
    assert 1 <= counted(bao, path) <= 4
    assert 1 <= counted(bao, "sys/leases/renew") <= 5
    assert max(one.seconds for one in seen.outcomes) < 0.5
    began = time.monotonic()
    await running.stop()
    assert time.monotonic() - began < 2.5
    assert bao.leases(path) == []
    assert counted(bao, "sys/leases/revoke") >= 1


async def test_what_was_leased_with_a_token_is_replaced_before_that_token_ends(
    gateway: MakeGateway, bao: Bao, valkey: Server, door: LogsIn, tmp_path: Path
) -> None:
    """The leases would last an hour: the server ends them with the token that they were made with."""
    path = await asyncio.to_thread(bao.database, valkey.port, PASSWORD, role="long", mount="db2")
    entry = Entry.made(bao, tmp_path, EVERYTHING, ttl="2s", max_ttl="2s")
    section = entry.section(more="mounts: {db2: {engine: dynamic}}")
    running = await users_of(gateway, door, section, path)
    async with load(running, clients=4, rate=40, make=lambda _: calling("acme")) as seen:
        await asyncio.sleep(3.0)
    assert seen.failures() == []
    assert len(door.users) >= 2


async def test_who_logs_in_anew_gets_new_users_where_the_token_was_taken_away(
    gateway: MakeGateway, bao: Bao, valkey: Server, door: LogsIn, tmp_path: Path
) -> None:
    path = await asyncio.to_thread(bao.database, valkey.port, PASSWORD, role="taken", mount="db3")
    bao.put("tenants/acme/crm", key="of-acme")
    entry = Entry.made(bao, tmp_path, EVERYTHING)
    section = entry.section(more="mounts: {db3: {engine: dynamic}}")
    options = f"secret: {path}, {BASIC}, on_status: [401, 403]"
    running = await gateway(routes(section, door.url, options))
    assert (await ask(running, "acme")).status == 200
    for accessor in bao.call("LIST", "auth/token/accessors")["data"]["keys"]:
        found = bao.write("auth/token/lookup-accessor", accessor=accessor)["data"]
        if found["path"] == "auth/approle/login":
            bao.write("auth/token/revoke-accessor", accessor=accessor)
    async with asyncio.timeout(5):
        while bao.leases(path):
            await asyncio.sleep(0.05)
    assert (await ask(running, "acme")).status == 200
    assert len(door.users) == 2


async def test_certificates_are_replaced_before_they_end_and_given_back(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    path = bao.pki(ttl="2s")
    entry = Entry.made(bao, tmp_path, EVERYTHING)
    more = "mounts: {pki: {engine: pki, parameters: {common_name: gateway.test, ttl: 2s}}}"
    options = f'secret: {path}, headers: {{X-Serial: "${{secret.serial_number}}"}}'
    running = await gateway(routes(entry.section(more=more), upstream.url, options))
    bao.forget_requests()
    async with load(running, clients=2, rate=20, make=lambda _: calling("acme")) as seen:
        await asyncio.sleep(3.0)
    assert seen.failures() == []
    serials = list(dict.fromkeys(one.header("X-Serial") for one in upstream.seen))
    assert 2 <= len(serials) <= 4
    assert counted(bao, path) == len(serials) - 1
    await running.stop()
    assert bao.leases(path) == []


async def test_namespaces_and_version_one_of_kv_stand_side_by_side(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    """The same path in two namespaces is two secrets."""
    team = bao.namespace("team-a")
    team.put("tenants/acme/crm", key="key-of-the-team")
    team.kv1("old")
    team.write("old/acme", key="key-of-the-old")
    bao.put("tenants/acme/crm", key="key-of-the-root")
    entry = Entry.made(bao, tmp_path, EVERYTHING + '\npath "team-a/*" { capabilities = ["read"] }')
    more = "mounts: {old: {engine: kv1, namespace: team-a}}"
    for options, key in (
        ('secret: "tenants/${principal.tenant}/crm"', "key-of-the-root"),
        ('secret: "old/${principal.tenant}"', "key-of-the-old"),
    ):
        use = 'headers: {Authorization: "Token ${secret.key}"}'
        text = routes(entry.section(more=more), upstream.url, f"{options}, {use}")
        running = await gateway(text)
        reply = await ask(running, "acme")
        assert reply.status == 200
        assert upstream.last.header("Authorization") == f"Token {key}"
    own = Entry.made(team, tmp_path)  # type: ignore[arg-type]
    text = routes(own.section(more="namespace: team-a"), upstream.url)
    running = await gateway(text)
    assert (await ask(running, "acme")).status == 200
    assert upstream.last.header("Authorization") == "Token key-of-the-team"


async def test_the_end_waits_two_seconds_for_a_vault_that_hangs_and_no_longer(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    path = bao.pki("other", mount="pki2")
    entry = Entry.made(bao, tmp_path, EVERYTHING)
    more = "mounts: {pki2: {engine: pki, parameters: {common_name: gateway.test}}}"
    options = f'secret: {path}, headers: {{X-Serial: "${{secret.serial_number}}"}}'
    running = await gateway(routes(entry.section(more=more), upstream.url, options))
    assert (await ask(running, "acme")).status == 200
    bao.pause()
    try:
        began = time.monotonic()
        await running.stop()
        assert time.monotonic() - began < 2.6
    finally:
        bao.resume()
