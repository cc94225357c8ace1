"""What the store `vault` makes of a server that misbehaves, and what that costs whoever asks."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from proxy.config.models import VaultAuth, VaultMount
from proxy.ports.secrets import (
    SecretAway,
    SecretError,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
)
from proxy.secrets.vault.answers import Call
from proxy.secrets.vault.outages import Outage
from proxy.secrets.vault.store import VaultStore
from tests.functional.baokit import Bao
from tests.secrets.cachekit import Clock
from tests.secrets.conftest import MakeStore
from tests.secrets.fake_vault import SECRET, FakeVault, answer, faking

CANARY = "canary-5e1f"
TOKEN = "s.canary-5e1f"
WRITTEN = "write it: vault kv put -mount=secret a/b key=-"


@pytest.fixture
async def fake() -> AsyncIterator[FakeVault]:
    async with faking() as server:
        yield server


@pytest.fixture
async def store(fake: FakeVault, vault: MakeStore) -> VaultStore:
    """A store that has its token, so that what a test scripts is the next answer."""
    made = vault(fake.address, TOKEN, timeout=0.3)
    assert (await made.get("x")).fields == {"a": "1"}
    fake.paths.clear()
    return made


async def refused(store: VaultStore, path: str = "x") -> SecretError:
    with pytest.raises(SecretError) as raised:
        await store.get(path)
    assert CANARY not in f"{raised.value!r} {raised.value} {raised.value.hint}"
    return raised.value


# -- what answers mean


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (answer(404, {"errors": []}), SecretMissing, "there is no secret/data/x"),
        (answer(403, {"errors": [CANARY]}), SecretForbidden, "forbids secret/data/x"),
        (answer(400, {"errors": [CANARY]}), SecretMalformed, "takes no such request"),
        (answer(405, {"errors": [CANARY]}), SecretMalformed, "takes no such request"),
        (
            answer(400, {"errors": ["Upgrading. It will be unavailable for a brief period."]}),
            SecretAway,
            "is making secret/data/x ready",
        ),
        (answer(404, b"<html>not found"), SecretAway, "did not answer as a store (404)"),
        (answer(403, {"message": CANARY}), SecretAway, "did not answer as a store (403)"),
        (answer(401, {"errors": [CANARY]}), SecretAway, "did not answer as a store (401)"),
        (answer(418, b""), SecretAway, "did not answer as a store (418)"),
        (answer(412, {"errors": [CANARY]}), SecretAway, "is behind the active server"),
        (answer(429, {"errors": [CANARY]}), SecretAway, "has too many requests"),
        (answer(500, {"errors": [CANARY]}), SecretAway, "failed at secret/data/x (500)"),
        (answer(502, b"<html>"), SecretAway, "has nobody behind it (502)"),
        (answer(503, {"errors": ["Vault is sealed"]}), SecretAway, "is sealed (503)"),
        (answer(503, b""), SecretAway, "can't be asked (503)"),
        (answer(473, b""), SecretAway, "stands by, and another server is active (473)"),
        (answer(200, b"<html>" + CANARY.encode()), SecretAway, "something that is not JSON"),
        (answer(200, [CANARY]), SecretAway, "JSON that is no object"),
        (answer(200, b"[" * 100_000), SecretAway, "something that is not JSON"),
        (answer(200, b""), SecretAway, "something that is not JSON"),
        (answer(204, b""), SecretMalformed, "is not of KV version 2"),
        (answer(200, {"data": [CANARY]}), SecretMalformed, "is not of KV version 2"),
        (
            answer(200, {"data": {"data": {"a": "b"}, "metadata": {}}}),
            SecretMalformed,
            "no version",
        ),
        (answer(200, b'"' + b"x" * 2_000_000 + b'"'), SecretMalformed, "more than 1024 KiB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", SecretAway, "did not answer"),
        (b"SSH-2.0-OpenSSH\r\n", SecretAway, "closed the connection without an answer"),
        (answer(200, SECRET, {"Content-Encoding": "gzip"}), SecretAway, "broke off its answer"),
        ("closed", SecretAway, "closed the connection without an answer"),
    ],
)
async def test_each_answer_has_a_meaning_and_is_not_repeated(
    store: VaultStore, fake: FakeVault, said: bytes | str, kind: type[SecretError], words: str
) -> None:
    fake.script = said
    error = await refused(store)
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    ("field", "seconds"),
    [("3", 3.0), ("0", None), ("-1", None), ("nan", None), ("soon", None), (None, None)],
)
async def test_how_long_to_wait_is_handed_on_where_the_server_says_it(
    store: VaultStore, fake: FakeVault, field: str | None, seconds: float | None
) -> None:
    fake.script = answer(429, {"errors": []}, {"Retry-After": field} if field else {})
    error = await refused(store)
    assert isinstance(error, SecretAway)
    assert error.retry_after == seconds


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_never_followed(
    store: VaultStore, fake: FakeVault, vault: MakeStore, status: int
) -> None:
    async with faking() as other:
        fake.script = answer(status, b"", {"Location": f"{other.address}/v1/secret/data/x"})
        error = await refused(store)
        assert isinstance(error, SecretAway)
        assert f"answered with a redirect ({status})" in str(error)
        assert other.connections == 0


# -- bounds


async def test_silence_costs_each_caller_one_wait_and_those_after_nothing(
    store: VaultStore, fake: FakeVault
) -> None:
    fake.script = "silent"
    begun = time.monotonic()
    errors = await asyncio.gather(*(refused(store, f"x{n}") for n in range(50)))
    assert time.monotonic() - begun < 2.0
    assert {type(error) for error in errors} == {SecretAway}
    begun = time.monotonic()
    for n in range(50):
        await refused(store, f"y{n}")
    assert time.monotonic() - begun < 0.2
    assert len(fake.paths) <= 8
    assert "did not answer" in (await store.ready() or "")


async def test_a_body_that_drips_is_given_up(store: VaultStore, fake: FakeVault) -> None:
    fake.script = "drip"
    begun = time.monotonic()
    assert isinstance(await refused(store), SecretAway)
    assert time.monotonic() - begun < 1.6
    await asyncio.sleep(0.3)
    busy = [each for each in threading.enumerate() if each.name.startswith("vault")]
    assert len(busy) <= 8


async def test_who_stops_waiting_keeps_no_thread_for_long(
    store: VaultStore, fake: FakeVault
) -> None:
    fake.script = "silent"
    for _ in range(12):
        with pytest.raises((TimeoutError, SecretAway)):
            await asyncio.wait_for(store.get("x"), 0.01)
    fake.script = answer(200, SECRET)
    await recovered(store, 3)


async def recovered(store: VaultStore, seconds: float) -> float:
    """Ask until there is an answer, and return how long that took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            await store.get("x")
        except SecretAway:
            await asyncio.sleep(0.01)
        else:
            return time.monotonic() - begun
    raise AssertionError


async def test_a_server_that_is_back_is_noticed_and_asked_little_before(
    store: VaultStore, fake: FakeVault
) -> None:
    fake.script = answer(503, {"errors": ["Vault is sealed"]})
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        await refused(store)
        await asyncio.sleep(0.005)
    assert 2 <= len(fake.paths) <= 8
    assert "is sealed (503)" in (await store.ready() or "")
    fake.script = answer(200, SECRET)
    assert await recovered(store, 3) < 2.5
    assert await store.ready() is None


async def test_the_trouble_of_one_path_is_not_that_of_all(
    store: VaultStore, fake: FakeVault
) -> None:
    for said in (answer(500, {"errors": []}), answer(429, {"errors": []}), answer(412, b"")):
        fake.script = said
        await refused(store)
        fake.script = answer(200, SECRET)
        assert (await store.get("x")).fields == {"a": "1"}


async def test_an_engine_that_hangs_keeps_nobody_from_another_or_the_token(
    fake: FakeVault, vault: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = VaultMount("database", "dynamic")
    store = vault(fake.address, TOKEN, timeout=0.3, mounts=(database,))
    await store.get("x")
    fake.scripts["database/"] = "silent"
    for _ in range(3):
        assert isinstance(await refused(store, "database/creds/a"), SecretAway)
        assert (await store.get("x")).fields == {"a": "1"}
    assert "did not answer" in (await store.ready() or "")
    monkeypatch.setattr(store._transport._standing._part(_of_database()), "_forget", 0.05)
    await asyncio.sleep(0.1)
    assert await store.ready() is None


def _of_database() -> Call:
    return Call("database/creds/a", lambda _: None, mount="database")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(503, {"errors": ["Vault is sealed"]}), "is sealed (503); what it gave"),
        (answer(502, b""), "has nobody behind it (502); what it gave"),
        (answer(500, {"errors": []}), "failed at secret/data/x (500) (mount 'secret'); what"),
        ("closed", "closed the connection without an answer; what"),
        ("silent", "did not answer in time (mount 'secret'); what"),
    ],
)
async def test_trouble_is_told_when_it_begins_and_when_it_ends(
    store: VaultStore,
    fake: FakeVault,
    caplog: pytest.LogCaptureFixture,
    said: bytes | str,
    words: str,
) -> None:
    caplog.set_level(logging.INFO, "brain.secrets.vault")
    fake.script = said
    for _ in range(5):
        await refused(store)
    fake.script = answer(200, SECRET)
    await recovered(store, 3)
    await store.get("x")
    began, ended = [one for one in caplog.records if one.name == "brain.secrets.vault"]
    assert (began.levelname, ended.levelname) == ("WARNING", "INFO")
    assert began.getMessage().startswith(f"Vault at {fake.address} ")
    assert words in began.getMessage()
    assert "answers again, after " in ended.getMessage()


def test_trouble_that_comes_and_goes_is_told_three_times_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "brain.secrets.vault")
    clock = Clock()
    outage = Outage("Vault", "", clock)
    for _ in range(10):
        outage.trouble("Vault is sealed")
        clock.now += 1.0
        outage.well()
    assert caplog.text.count("is sealed") == caplog.text.count("answers again") == 3
    outage.trouble("Vault is sealed")
    clock.now += 60.0
    outage.trouble("Vault is sealed")
    assert caplog.messages[-1].endswith("; 8 times since that was last told")


async def test_a_connection_is_used_again(store: VaultStore, fake: FakeVault) -> None:
    before = fake.connections
    for _ in range(10):
        await store.get("x")
    assert fake.connections == before


async def test_nothing_is_there_before_the_first_question(vault: MakeStore) -> None:
    before = threading.active_count()
    store = vault("http://127.0.0.1:9", TOKEN)
    assert await store.ready() is None
    assert threading.active_count() == before
    await store.close()


def test_its_libraries_are_imported_where_it_is_used() -> None:
    code = "import sys, proxy.secrets.vault.store; print({'hvac', 'requests'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


async def test_a_server_that_is_not_there_is_told_with_its_address(vault: MakeStore) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = await refused(vault(f"http://127.0.0.1:{port}", TOKEN))
        assert str(error) == f"Vault at http://127.0.0.1:{port} can't be connected to"
    error = await refused(vault("http://nowhere.invalid:8200", TOKEN))
    assert str(error) == "Vault at http://nowhere.invalid:8200 has a name that can't be resolved"


# -- what is sent


async def test_nothing_of_the_environment_is_sent_or_asked(
    fake: FakeVault, vault: MakeStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".vault-token").write_text("s.ambient")
    (home / ".netrc").write_text("machine 127.0.0.1 login ambient password ambient\n")
    (home / ".netrc").chmod(0o600)
    ambient = {"HOME": str(home), "NETRC": str(home / ".netrc"), "VAULT_TOKEN": "s.ambient"}
    for name in ("VAULT_ADDR", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        ambient[name] = "http://127.0.0.1:9"
    ambient |= {
        "VAULT_NAMESPACE": "ambient",
        "VAULT_CACERT": "/none",
        "REQUESTS_CA_BUNDLE": "/none",
    }
    for name, value in ambient.items():
        monkeypatch.setenv(name, value)
    store = vault(fake.address, TOKEN)
    assert (await store.get("x")).fields == {"a": "1"}
    assert b"ambient" not in b"".join(fake.heads)
    assert all(f"X-Vault-Token: {TOKEN}".encode() in head for head in fake.heads)
    assert b"cookie" not in b"".join(fake.heads).lower()


async def test_cookies_of_the_server_are_not_sent_back(store: VaultStore, fake: FakeVault) -> None:
    fake.script = answer(200, SECRET, {"Set-Cookie": "a=b; Path=/"})
    await store.get("x")
    await store.get("x")
    assert b"cookie" not in fake.heads[-1].lower()


async def test_a_path_before_the_api_is_kept(fake: FakeVault, vault: MakeStore) -> None:
    store = vault(f"{fake.address}/store", TOKEN)
    await store.get("a/b")
    assert fake.paths == ["/store/v1/auth/token/lookup-self", "/store/v1/secret/data/a/b"]


async def test_a_certificate_is_always_checked(vault: MakeStore, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    fake = FakeVault()
    server = await asyncio.start_server(fake.connected, "127.0.0.1", 0, ssl=context)
    address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        assert (await vault(address, TOKEN, ca=str(ca)).get("x")).fields == {"a": "1"}
        error = await refused(vault(address, TOKEN))
        assert "has no certificate that could be verified" in str(error)
    finally:
        fake.stop()
        server.close()


async def test_an_address_of_something_else_is_told_as_that(bao: Bao, vault: MakeStore) -> None:
    role_id, secret_id = bao.approle("addresses", "default")
    auth = VaultAuth("approle", "approle", role_id, credential=secret_id)
    plain = bao.address.replace("http:", "https:")
    assert "speaks no TLS at this port" in str(await refused(vault(plain, TOKEN)))
    for given in (auth, TOKEN):
        error = await refused(vault(f"{bao.address}/v1", given))
        assert error.hint == "see whether 'address' is that of the API, without /v1"


async def test_a_login_that_gives_no_token_is_not_of_the_api(
    fake: FakeVault, vault: MakeStore
) -> None:
    fake.script = answer(200, {"hello": "world"})
    error = await refused(vault(fake.address, VaultAuth("approle", "a", "r", credential="s")))
    assert str(error) == "the login gave no token"
    assert "'address'" in (error.hint or "")


@pytest.mark.parametrize(
    ("engine", "written", "added"),
    [
        (
            "kv2",
            f"{WRITTEN} (or, where 'secret' is of KV version 1, say 'engine: kv1')",
            "add it: vault kv patch -mount=secret a/b key=-",
        ),
        (
            "kv1",
            WRITTEN,
            "write it with all fields that are there: vault kv put -mount=secret a/b key=-",
        ),
    ],
)
def test_remedies_show_no_value_and_take_no_other_field_away(
    vault: MakeStore, engine: str, written: str, added: str
) -> None:
    store = vault("http://127.0.0.1:9", TOKEN, mount=VaultMount(engine=engine))
    assert store.remedy("a/b", "key") == written
    assert store.remedy_of_field("a/b", "key") == added


# -- a real server in trouble


async def test_a_sealed_server_is_away_and_noticed_when_it_is_opened(
    bao: Bao, vault: MakeStore
) -> None:
    bao.put("x", a="1")
    store = vault(bao.address, bao.root)
    await store.get("x")
    await asyncio.to_thread(bao.seal)
    try:
        error = await refused(store)
        assert isinstance(error, SecretAway)
        assert "is sealed (503)" in str(error)
    finally:
        await asyncio.to_thread(bao.unseal)
    assert await recovered(store, 5) < 3


async def test_a_server_that_hangs_is_away_and_noticed_when_it_goes_on(
    bao: Bao, vault: MakeStore
) -> None:
    bao.put("x", a="1")
    store = vault(bao.address, bao.root, timeout=0.5)
    await store.get("x")
    bao.pause()
    try:
        assert isinstance(await refused(store), SecretAway)
    finally:
        bao.resume()
    assert await recovered(store, 5) < 3


async def test_no_log_has_a_token_or_a_value_or_the_servers_words(
    bao: Bao, fake: FakeVault, vault: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("hvac", "urllib3", "urllib3.connectionpool", "requests", "brain.secrets.vault"):
        caplog.set_level(logging.DEBUG, logger=name)
    bao.put("leaks", a=CANARY)
    bao.policy("leaks", 'path "secret/data/leaks" { capabilities = ["read", "update"] }')
    given = bao.token("leaks")
    store = vault(bao.address, given)
    read = await store.get("leaks")
    await store.put("leaks", {"a": CANARY + "2"}, read.version or 0)
    for path in ("forbidden", "../x"):
        with pytest.raises(SecretError):
            await store.get(path)
    with pytest.raises(SecretError):
        await store.put("leaks", {"a": CANARY}, 1)
    hostile = vault(fake.address, TOKEN, timeout=0.3)
    for said in (answer(500, {"errors": [CANARY]}), answer(200, b"x" + CANARY.encode()), "closed"):
        fake.script = said
        await refused(hostile)
    await store.close()
    assert "secret/data/leaks" in caplog.text  # urllib3 did log
    assert CANARY not in caplog.text
    assert given not in caplog.text
    assert TOKEN not in caplog.text
