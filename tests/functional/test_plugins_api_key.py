"""api-key with digests of a store and of a watched file, on a real gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from pathlib import Path

import pytest

from plugins.api_key import watched
from proxy.errors import ConfigError
from proxy.ports.secrets import Keeping
from proxy.secrets.files import FileStore
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream

OLD, NEW, OTHER = "old-key-of-portal", "new-key-of-portal", "key-of-globex"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileStore, "keeping", Keeping(fresh=0.02))
    monkeypatch.setattr(watched, "LOOK_EVERY", 0.02)


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + "~")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)
    return path


def routes(url: str, options: str, more: str = "") -> str:
    return f"""
        version: 1
        secrets: {{file: {{path: kept}}}}
        plugins: [{{api-key: {{{options}}}}}]
        services:
          echo: {{upstream: "{url}"{more}}}
          open: {{upstream: "{url}", public: true}}
    """


async def asked(running: Gateway, key: str, path: str = "/api/brain/echo/x") -> str:
    """Return "ok", or the code of the refusal."""
    reply = await running.get(path, f"X-Api-Key: {key}")
    return "ok" if reply.status == 200 else str(json.loads(reply.body)["code"])


async def until(running: Gateway, key: str, wanted: str) -> None:
    async with asyncio.timeout(3):
        while await asked(running, key) != wanted:
            await asyncio.sleep(0.01)


async def ready(running: Gateway) -> str:
    return (await running.admin("/ready")).body.decode()


# -- a store


REFERENCE = "keys: [{name: portal, tenant: acme, sha256: {secret: portal, field: sha256}}]"


async def test_a_digest_of_a_store_lets_in_and_a_new_one_needs_no_reload(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    kept = put(tmp_path / "kept/portal.yaml", f"sha256: {digest(OLD)}\n")
    running = await gateway(routes(upstream.url, REFERENCE))
    assert await asked(running, OLD) == "ok"
    assert upstream.last.header("X-Api-Key") is None
    put(kept, f"sha256: {digest(NEW)}\n")
    await until(running, NEW, "ok")
    assert await asked(running, OLD) == "credentials_invalid"


async def test_a_digest_that_is_taken_back_closes_and_is_told(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    kept = put(tmp_path / "kept/portal.yaml", f"sha256: {digest(OLD)}\n")
    running = await gateway(routes(upstream.url, REFERENCE))
    kept.unlink()
    await until(running, OLD, "secret_unavailable")
    assert "key 'portal'" in await ready(running)
    put(kept, f"sha256: {digest(OLD)}\n")
    await until(running, OLD, "ok")


async def test_a_key_where_its_digest_belongs_is_refused_and_never_shown(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(tmp_path / "kept/portal.yaml", f"sha256: {OLD}\n")
    with pytest.raises(ConfigError, match="64 hexadecimal digits") as refused:
        await gateway(routes(upstream.url, REFERENCE))
    assert OLD not in str(refused.value) + caplog.text


# -- a watched file


def listed(*keys: str, name: str = "portal", more: str = "") -> str:
    digests = ", ".join(map(digest, keys))
    return f"- {{name: {name}, tenant: acme, sha256: [{digests}]{more}}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return put(tmp_path / "keys.yaml", listed(OLD))


async def test_a_file_of_keys_rotates_without_a_reload(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await gateway(routes(upstream.url, f"keys_file: {file}"))
    assert await asked(running, OLD) == "ok"
    assert await asked(running, NEW) == "credentials_invalid"
    put(file, listed(OLD, NEW))
    await until(running, NEW, "ok")
    assert await asked(running, OLD) == "ok"
    put(file, listed(NEW))
    await until(running, OLD, "credentials_invalid")
    assert await asked(running, NEW) == "ok"
    put(file, listed(NEW, more=", expires: 2020-01-01"))
    await until(running, NEW, "credentials_expired")
    put(file, "[]\n")
    await until(running, NEW, "credentials_invalid")
    for key in (OLD, NEW):
        assert key not in caplog.text
        assert digest(key) not in caplog.text


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (listed(NEW) + listed(NEW), 0o600, ":2:10: two keys are named 'portal'"),
        (listed(NEW) + "- {name: b, sha256: s3same}\n", 0o600, ":2:21: "),
        (listed(NEW, name="ci"), 0o600, ":1:10: the option 'keys' has a key named 'ci' too"),
        (listed("key-of-ci"), 0o600, ": the option 'keys' has this digest too"),
        ("- {name: b, sha256: {secret: portal, field: x}}\n", 0o600, ":1:21: "),
        ("- {name: b", 0o600, ":1:3: a '{' is opened here"),
        ("", 0o600, "the file is empty"),
        (listed(NEW), 0o644, "open to others"),
        (" " * (1024 * 1024 + 1), 0o600, "larger than 1024 KiB"),
    ],
)
async def test_a_bad_file_of_keys_leaves_those_of_before_and_is_told(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    file: Path,
    caplog: pytest.LogCaptureFixture,
    content: str,
    mode: int,
    said: str,
) -> None:
    own = f"keys: [{{name: ci, sha256: {digest('key-of-ci')}}}]"
    running = await gateway(routes(upstream.url, f"{own}, keys_file: {file}"))
    put(file, content, mode)
    async with asyncio.timeout(3):
        while said not in await ready(running):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert await asked(running, OLD) == "ok"
    assert await asked(running, "key-of-ci") == "ok"
    assert await asked(running, NEW) == "credentials_invalid"
    assert caplog.text.count("the keys of before stay in use") == 1
    assert str(file) in caplog.text
    assert "s3same" not in caplog.text
    put(file, listed(NEW))
    await until(running, NEW, "ok")
    assert "degraded" not in await ready(running)


async def test_a_file_of_keys_that_is_gone_leaves_those_of_before(
    gateway: MakeGateway, upstream: RecordingUpstream, file: Path
) -> None:
    running = await gateway(routes(upstream.url, f"keys_file: {file}"))
    file.unlink()
    async with asyncio.timeout(3):
        while "No such file" not in await ready(running):
            await asyncio.sleep(0.01)
    assert await asked(running, OLD) == "ok"


@pytest.mark.parametrize("content", [None, "- {name: b, sha256: x}\n"])
async def test_a_bad_file_of_keys_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        put(tmp_path / "keys.yaml", content)
    with pytest.raises(ConfigError, match=r"keys\.yaml"):
        await gateway(routes(upstream.url, f"keys_file: {tmp_path / 'keys.yaml'}"))


# -- places, and whose a key is


async def test_a_key_of_the_query_reaches_no_upstream_on_any_route(
    gateway: MakeGateway, upstream: RecordingUpstream, file: Path
) -> None:
    running = await gateway(routes(upstream.url, f"keys_file: {file}, query: key"))
    target = f"/x?a=%41&key={OLD}&b"
    for service in ("echo", "open"):
        assert (await running.get(f"/api/brain/{service}{target}")).status == 200
        assert upstream.last.target == "/x?a=%41&b"
    twice = await running.get(f"/api/brain/echo{target}&key={OLD}")
    assert json.loads(twice.body)["code"] == "credentials_invalid"


async def test_a_route_that_forwards_tokens_sends_a_key_on_where_it_stood(
    gateway: MakeGateway, upstream: RecordingUpstream, file: Path
) -> None:
    text = routes(upstream.url, f"keys_file: {file}, query: key", ", forward_token: true")
    running = await gateway(text)
    assert (await running.get(f"/api/brain/echo/x?key={OLD}")).status == 200
    assert upstream.last.target == f"/x?key={OLD}"
    assert upstream.last.header("X-Api-Key") is None
    assert await asked(running, OLD) == "ok"
    assert upstream.last.header("X-Api-Key") == OLD


async def test_another_tenants_key_never_gives_this_tenant(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    keys = ", ".join(
        f"{{name: at-{tenant}, tenant: {tenant}, sha256: {digest(key)}}}"
        for tenant, key in (("acme", OLD), ("globex", OTHER))
    )
    running = await gateway(
        f"""
        version: 1
        plugins:
          - api-key: {{keys: [{keys}]}}
          - identity-headers: {{}}
        services:
          echo: {{upstream: "{upstream.url}"}}
        """
    )
    forged = ("X-Tenant-Id: acme", "X_Tenant_Id: acme", "Cookie: tenant=acme")
    reply = await running.get("/api/brain/echo/x?tenant=acme", f"X-Api-Key: {OTHER}", *forged)
    assert reply.status == 200
    assert upstream.last.all("X-Tenant-Id") == ["globex"]
    for value in (f"{OTHER}, {OLD}", f"{OTHER} {OLD}", f"{OLD}\t{OTHER}", digest(OLD)):
        assert await asked(running, value) == "credentials_invalid"
    both = await running.get("/api/brain/echo/x", f"X-Api-Key: {OTHER}", f"X-Api-Key: {OLD}")
    assert json.loads(both.body)["code"] == "credentials_invalid"
