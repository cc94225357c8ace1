"""The shared store: its client against a real server that is well, away, or hung."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from proxy import EXCHANGE, Answer, Handler, PluginContext, Store, Unavailable
from proxy.plugin import valkey as client_module
from proxy.plugin.once import OnceShared
from proxy.plugin.stores import StoreAddress, address_of
from proxy.plugin.valkey import Valkey
from proxy.ports.secrets import SecretRef
from proxy.runtime import store_address
from proxy.runtime.shared import Shared
from proxy.testing.making import context_of
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.plugins_for_tests import Behaviour, Setup, public
from tests.functional.valkeykit import Server, serving

ECHO = "return {KEYS[1], ARGV[1], 7}"
SOON = 0.2


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[Valkey]:
    made = Valkey(await client_module.library(), address_of(url), **options)
    try:
        yield made
    finally:
        await made.close()


async def well(store: Store) -> None:
    async with asyncio.timeout(5):
        while store.away is not None:
            await asyncio.sleep(0.01)


async def refused(store: Store) -> float:
    """Return the seconds after which a call said that the store is away."""
    begun = time.perf_counter()
    with pytest.raises(Unavailable) as caught:
        await store.once("key", 1)
    assert caught.value.code == "store_unavailable"
    return time.perf_counter() - begun


async def test_a_script_is_sent_once_and_then_known_by_its_digest(valkey: Server) -> None:
    async with client(valkey.url) as store:
        assert await store.run(ECHO, ["key"], ["value"]) == [b"key", b"value", 7]
        await valkey.forget_calls()
        for _ in range(10):
            assert await store.run(ECHO, ["key"], ["value"]) == [b"key", b"value", 7]
        calls = await valkey.calls()
    assert calls["evalsha"] == 10
    assert "eval" not in calls
    assert "ping" not in calls


async def test_once_is_true_once_until_it_ends(valkey: Server) -> None:
    async with client(valkey.url) as store, client(valkey.url) as other:
        assert await store.once("ticket", 0.2)
        assert not await other.once("ticket", 0.2)
        assert await other.once("another", 30)
        await asyncio.sleep(0.25)
        assert await other.once("ticket", 0.2)


async def test_what_one_gateway_forgets_another_may_use(valkey: Server) -> None:
    async with client(valkey.url) as store, client(valkey.url) as other:
        one, two = OnceShared(store, "hooks"), OnceShared(other, "hooks")
        assert await one.first(b"a", 30)
        assert not await two.first(b"a", 30)
        await one.forget(b"a")
        assert await two.first(b"a", 30)
        assert await OnceShared(other, "tickets").first(b"a", 30)


async def test_connections_are_bounded_and_used_again(valkey: Server) -> None:
    async with client(valkey.url, most=3) as store:
        await asyncio.gather(*(store.run(ECHO, ["key"], [one]) for one in range(200)))
        clients = (await valkey.ask("CLIENT", "LIST")).decode().splitlines()
    assert len(clients) == 3 + 1


async def test_a_caller_that_leaves_takes_no_answer_of_another(valkey: Server) -> None:
    async with client(valkey.url, most=1) as store:
        for number in range(30):
            task = asyncio.create_task(store.run(ECHO, ["key"], [f"left {number}"]))
            await asyncio.sleep(0.0001 * (number % 5))
            task.cancel()
            assert await store.run(ECHO, ["key"], [number]) == [b"key", str(number).encode(), 7]
        assert store.away is None


async def test_a_server_that_dies_is_away_at_once_and_found_again(
    valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="brain.store")
    async with client(valkey.url) as store:
        assert await store.once("one", 30)
        await valkey.kill()
        assert await refused(store) < SOON
        assert max([await refused(store) for _ in range(100)]) < SOON / 10
        await asyncio.sleep(0.5)
        assert store.away is not None
        await valkey.start()
        await well(store)
        assert await store.once("two", 30)
        assert await store.run(ECHO, ["key"], [1]) == [b"key", b"1", 7]
    told = [record.message for record in caplog.records if record.name == "brain.store"]
    assert [text.rpartition(f"{valkey.port}/0 is ")[2][:4] for text in told] == ["away", "back"]


async def test_a_server_that_hangs_holds_nobody_for_long(valkey: Server) -> None:
    async with client(valkey.url, timeout=0.2, most=4) as store:
        assert await store.once("one", 30)
        valkey.hang()
        waited = await asyncio.gather(*(refused(store) for _ in range(50)))
        assert max(waited) < 0.2 + SOON
        assert max([await refused(store) for _ in range(20)]) < SOON / 10
        valkey.resume()
        await well(store)
        assert await store.once("two", 30)


async def test_a_restarted_server_is_met_with_new_connections(valkey: Server) -> None:
    async with client(valkey.url) as store:
        assert await store.once("one", 30)
        await valkey.kill()
        await valkey.start()
        assert await store.once("one", 30)  # the first call of a process that knows nothing of it


async def test_what_can_not_be_written_is_told_once_and_not_at_every_ping(
    valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(valkey.url) as store:
        await valkey.ask("CONFIG", "SET", "min-replicas-to-write", "1")
        for _ in range(3):
            await refused(store)
            await well(store)
        assert len([one for one in caplog.records if one.name == "brain.store"]) == 1
        await valkey.ask("CONFIG", "SET", "min-replicas-to-write", "0")
        assert await store.once("one", 30)


async def test_user_and_password_of_an_address_are_sent_and_never_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(password="s3cret-word/@") as server:
        right = f"redis://:s3cret-word%2F%40@127.0.0.1:{server.port}/2"
        async with client(right) as store:
            assert await store.once("one", 30)
            assert "s3cret" not in repr(store)
        assert "s3cret" not in repr(address_of(right)) + str(address_of(right))
        async with client(f"redis://me:wr0ng-word@127.0.0.1:{server.port}") as store:
            with pytest.raises(Unavailable) as caught:
                await store.once("one", 30)
            assert "wr0ng" not in str(caught.value) + str(store.away) + caplog.text


async def test_a_name_that_is_not_known_makes_the_store_away() -> None:
    async with client("redis://store.invalid", timeout=2.0) as store:
        await refused(store)
        assert "store.invalid" in repr(store)


async def test_tls_is_spoken_and_the_certificate_checked(
    valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminating proxy stands before the server, which speaks no TLS itself."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", valkey.port)
        await asyncio.gather(_pump(reader, to_server), _pump(from_server, writer))

    terminator = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = terminator.sockets[0].getsockname()[1]
    async with client(f"rediss://localhost:{port}", timeout=2.0) as store:
        await refused(store)
        assert "CERTIFICATE_VERIFY_FAILED" in str(store.away)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with client(f"rediss://localhost:{port}", timeout=2.0) as store:
        assert await store.once("one", 30)
    async with client(f"rediss://127.0.0.1:{port}", timeout=2.0) as store:
        await refused(store)
        assert "CERTIFICATE_VERIFY_FAILED" in str(store.away)
    terminator.close()
    await terminator.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
    except OSError:
        pass
    writer.close()


# -- by the context of a plugin


def option(server: Server) -> dict[str, Any]:
    return {"valkey": address_of(server.url), "timeout": 1.0}


async def test_one_client_serves_all_plugins_of_a_process_and_outlives_a_reload(
    valkey: Server,
) -> None:
    shared = Shared()
    first, second = (context_of(name, shared, Kept()) for name in ("limit", "ticket"))
    store = await first.store(option(valkey))
    assert await second.store(option(valkey)) is store
    assert await second.store({**option(valkey), "timeout": 2.0}) is not store
    first.release()
    assert await store.once("one", 30)
    second.release()
    await shared.close()
    assert len((await valkey.ask("CLIENT", "LIST")).splitlines()) == 1


async def test_without_redis_py_the_load_is_refused_and_the_extra_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(client_module, "import_module", absent)
    with pytest.raises(client_module.ConfigError) as caught:
        await context_of("limit", Shared(), Kept()).store({"valkey": StoreAddress("store", 6379)})
    assert "brain-gateway[valkey]" in str(caught.value.hint)


USED = "/api/brain/echo/"


def using(at_setup: Callable[[Setup], Setup], behave: Callable[[Behaviour], Behaviour]) -> None:
    """A plugin that lets each value of `X-Ticket` pass once."""
    lists: list[Any] = []

    @at_setup
    async def ticket(context: PluginContext) -> None:
        lists.append(await context.once(STORES.get("ticket")))

    @behave
    async def ticket(request: web.BaseRequest, handler: Handler) -> Answer:  # noqa: F811
        if await lists[-1].first(request.headers["X-Ticket"], 30):
            return await handler(request)
        return Answer.json({"used": request[EXCHANGE].path}, status=409)


STORES: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _no_store() -> None:
    STORES.clear()


async def test_what_is_used_at_one_gateway_is_used_at_the_other(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    valkey: Server,
    at_setup: Callable[[Setup], Setup],
    behave: Callable[[Behaviour], Behaviour],
) -> None:
    using(at_setup, behave)
    STORES["ticket"] = option(valkey)
    one = await gateway(public(upstream.url, "ticket"))
    other = await gateway(public(upstream.url, "ticket"))
    assert (await one.get(USED, "X-Ticket: a")).status == 200
    assert (await other.get(USED, "X-Ticket: a")).status == 409
    assert (await other.get(USED, "X-Ticket: b")).status == 200
    keys = await valkey.ask("KEYS", "*")
    assert len(keys) == 2
    assert all(key.startswith(b"brain:once:services.echo/ticket:") for key in keys)

    await valkey.kill()
    reply = await one.get(USED, "X-Ticket: c")
    assert (reply.status, json.loads(reply.body)["code"]) == (503, "store_unavailable")


async def test_in_one_process_what_was_used_stays_used_over_a_reload(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    at_setup: Callable[[Setup], Setup],
    behave: Callable[[Behaviour], Behaviour],
) -> None:
    using(at_setup, behave)
    running = await gateway(public(upstream.url, "ticket"))
    assert (await running.get(USED, "X-Ticket: a")).status == 200
    assert await running.reload() is None
    assert (await running.get(USED, "X-Ticket: a")).status == 409


# -- an address that a secret store keeps


class Kept:
    """A secret store's value, at the port that plugins see."""

    def __init__(self, *addresses: str) -> None:
        self.values = list(addresses)
        self.version = 0
        self.away = not addresses

    async def bind(self, reference: SecretRef) -> Kept:
        if self.away:
            raise Unavailable("sealed", code="secret_unavailable")
        return self

    @property
    def current(self) -> str:
        return self.values[self.version]


WHERE = {"valkey": SecretRef("platform/redis", "url"), "timeout": 1.0}


async def test_a_new_address_in_the_secret_store_is_used_at_once(valkey: Server) -> None:
    shared = Shared()
    async with serving(password="n3w-word") as second:
        kept = Kept(valkey.url, second.url)
        context = context_of("limit", shared, kept)
        store = await context.store(WHERE)
        assert await store.once("one", 30)
        kept.version = 1
        assert await store.once("one", 30)
        assert not await store.once("one", 30)
        assert store.away is None
        assert "n3w-word" not in repr(store)
        context.release()
        await shared.close()


async def test_an_address_that_is_not_to_be_had_yet_refuses_no_start(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_address, "AGAIN_FIRST", 0.02)
    shared, kept = Shared(), Kept()
    context = context_of("limit", shared, kept)
    store = await context.store(WHERE)
    await refused(store)
    assert store.away == (
        "the address of the store (platform/redis#url) is not known: the secret store is away"
    )
    kept.values, kept.away = [valkey.url], False
    await well(store)
    assert await store.once("one", 30)
    await context.stop_tasks()
    context.release()
    await shared.close()


async def test_what_is_no_address_in_the_secret_store_is_told_without_its_value() -> None:
    shared = Shared()
    context = context_of("limit", shared, Kept("http://user:hidden-word@store"))
    store = await context.store(WHERE)
    await refused(store)
    assert "is no address" in str(store.away)
    assert "hidden" not in str(store.away)
    context.release()
    await shared.close()
