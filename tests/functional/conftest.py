"""A real gateway, real upstreams and raw sockets, all on loopback and free ports."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from proxy.config.load import load_or_raise
from proxy.config.models import Config
from proxy.hosting import Host
from proxy.plugin.catalog import Catalog
from proxy.server import listener
from tests.functional import plugins_for_tests, probe
from tests.functional.baokit import Bao
from tests.functional.doctorkit import Answers, Doctor, Make, Service
from tests.functional.faultkit import Backend, backends
from tests.functional.keykit import KeyServer, rsa
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Script
from tests.functional.plugins_for_tests import Behaviour, Setup
from tests.functional.tenantkit import ACME, BETA, TenantNames, TenantServer
from tests.functional.valkeykit import Server, serving

MakeGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture(autouse=True)
def _near_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback a handshake is over at once: a thousand gateways need not wait for it."""
    monkeypatch.setattr(listener, "HANDSHAKE", 0.01)


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    """An HTTP/1.1 server that records each request as raw bytes and answers as it is told."""
    server = RecordingUpstream()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def raw_upstream() -> AsyncIterator[Callable[[Script], Awaitable[RawUpstream]]]:
    """Make servers that play a script over a raw connection: `await raw_upstream(script)`."""
    servers: list[RawUpstream] = []

    async def make(script: Script) -> RawUpstream:
        server = RawUpstream(script)
        await server.start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        await server.close()


@pytest.fixture
async def service() -> AsyncIterator[Make]:
    """Make services for `brain doctor`: `await service(answers, idle=seconds, tls=context)`."""
    made: list[Service] = []

    async def make(
        answers: Answers, idle: float | None = None, tls: ssl.SSLContext | None = None
    ) -> Service:
        one = Service(answers, idle)
        await one.start(tls)
        made.append(one)
        return one

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Looks at the upstreams of files in a folder of its own."""
    return Doctor(tmp_path)


@pytest.fixture
async def three() -> AsyncIterator[list[Backend]]:
    """Run three targets that misbehave on command: a, b and c."""
    async with backends(3) as made:
        yield made


@pytest.fixture
async def valkey() -> AsyncIterator[Server]:
    """Run a Valkey server that several gateways share."""
    async with serving() as server:
        yield server


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    """Run an OpenBao server for the tests of a module, each of which has paths of its own.

    Who seals, kills or pauses it leaves it as it was: what it has in memory is gone with `kill`.
    """
    with Bao() as server:
        yield server


@pytest.fixture(scope="module")
def lasting_bao() -> Iterator[Bao]:
    """Run one that has all again after `kill` and `start`; it takes two seconds."""
    with Bao(persistent=True) as server:
        yield server


@pytest.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    """Run an issuer of tokens that misbehaves on command; it has one RSA key."""
    server = KeyServer(rsa("one"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def tenant_authority() -> trustme.CA:
    """Sign the certificates of tenants' hosts."""
    return trustme.CA()


@pytest.fixture
def tenant_ca(tenant_authority: trustme.CA, tmp_path: Path) -> Path:
    """Return the file that `tls.ca` names."""
    path = tmp_path / "ca.pem"
    tenant_authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def tenant_names(monkeypatch: pytest.MonkeyPatch) -> TenantNames:
    """Say what tenants' names mean: the system's resolver is asked for all others."""
    made = TenantNames()
    monkeypatch.setattr("socket.getaddrinfo", made.getaddrinfo)
    return made


@pytest.fixture
async def tenant(
    tenant_names: TenantNames, tenant_authority: trustme.CA, notes: list[Any]
) -> AsyncIterator[TenantServer]:
    """Run a server that two tenants' names lead to."""
    made = TenantServer()
    await made.serve(tenant_authority.issue_cert(ACME, BETA))
    yield made
    await made.close()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[MakeGateway]:
    """Run gateways through the production runner: `await gateway(yaml, NAME="environment value")`.

    The YAML needs no `gateway:` section; listeners get free ports. Upstreams see no connection but
    those of requests, unless `probe`. Afterwards nothing may be left:
    no request in flight, no old snapshot, no task.
    """
    running: list[Gateway] = []
    before = asyncio.all_tasks()

    async def make(
        text: str,
        *,
        control: bool = False,
        watch: bool = False,
        probe: bool = False,
        grace: str = "0s",
        drain: str = "2s",
        **environment: str,
    ) -> Gateway:
        path = tmp_path / f"routes{len(running)}.yaml"
        own = tmp_path / f"own{len(running)}.yaml"
        path.write_text(textwrap.dedent(text))
        socket = str(tmp_path / f"c{len(running)}.sock")
        own.write_text(
            "version: 1\ngateway:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:0\n"
            f"  control: {socket}\n  shutdown: {{grace: {grace}, drain: {drain}}}\n"
        )
        files = [str(path), str(own)]
        config, catalog = await asyncio.to_thread(_load, files, environment)
        host = Host(
            config, files, environment, catalog, lambda found: found, watch=watch, probe=probe
        )
        await host.start()
        made = Gateway(host, path)
        running.append(made)
        return made

    yield make
    for one in running:
        await one.stop()
        assert one.host.gateway.in_flight == 0
    await _settle(before)
    gc.collect()


def _load(files: list[str], environment: dict[str, str]) -> tuple[Config, Catalog]:
    loaded = load_or_raise(files, environment=environment, catalog=Catalog())
    assert loaded.config is not None
    return loaded.config, loaded.catalog


async def _settle(before: set[asyncio.Task[object]]) -> None:
    """Fail when a task outlives its gateway; ends that are under way get a moment."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while asyncio.all_tasks() - before - {asyncio.current_task()}:
                await asyncio.sleep(0.01)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks are left: {left}"


@pytest.fixture
def behave() -> Iterator[Callable[[Behaviour], Behaviour]]:
    """Say what a plugin of this test does: `@behave` under the function's name in the chain."""

    def register(function: Behaviour) -> Behaviour:
        plugins_for_tests.BEHAVIOURS[function.__name__] = function
        return function

    yield register
    plugins_for_tests.BEHAVIOURS.clear()


@pytest.fixture
def at_setup() -> Iterator[Callable[[Setup], Setup]]:
    """Say what a plugin of this test does at setup: `@at_setup` under the function's name."""

    def register(function: Setup) -> Setup:
        plugins_for_tests.SETUPS[function.__name__] = function
        return function

    yield register
    plugins_for_tests.SETUPS.clear()
    plugins_for_tests.READY.clear()


@pytest.fixture
def notes() -> Iterator[list[Any]]:
    """What the plugins of this test wrote down."""
    plugins_for_tests.NOTES.clear()
    yield plugins_for_tests.NOTES
    plugins_for_tests.NOTES.clear()


@pytest.fixture(autouse=True)
def forgotten_exchanges() -> None:
    """Begin with nothing that another test's probe saw."""
    probe.RUNNING.clear()
    probe.FINISHED.clear()
