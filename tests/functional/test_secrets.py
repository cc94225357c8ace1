"""Secrets of the stores `file` and `env`, in a gateway that serves."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.ports.secrets import Keeping
from proxy.secrets.files import FileStore
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream
from tests.functional.plugins_for_tests import HERE

OLD, NEW = "s3same-0ld", "s3same-n3w"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileStore, "keeping", Keeping(fresh=0.02))


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def routes(url: str, secrets: str = "{file: {path: kept}}", more: str = "") -> str:
    return f"""
        version: 1
        secrets: {secrets}
        services:
          echo:
            upstream: "{url}"
            public: true
            plugins:
              - use: "{HERE}:Sealed"
                with: {{key: {{secret: platform/redis, field: url{more}}}}}
    """


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + "~")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)
    return path


@pytest.fixture
def redis(tmp_path: Path) -> Path:
    return put(tmp_path / "kept/platform/redis.yaml", f"url: {OLD}\n")


async def sent(running: Gateway, upstream: RecordingUpstream) -> str | None:
    """Return what the plugin sends, None where the route answers 503."""
    reply = await running.get("/api/brain/echo/")
    if reply.status == 503:
        assert json.loads(reply.body)["code"] == "secret_unavailable"
        assert json.loads(reply.body)["retryable"] is True
        assert b"redis" not in reply.body
        return None
    return upstream.last.header("x-key")


async def until(running: Gateway, upstream: RecordingUpstream, wanted: str | None) -> None:
    async with asyncio.timeout(3):
        while await sent(running, upstream) != wanted:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("platform/redis.yaml", f"url: {OLD}\n"),
        ("platform/redis.json", json.dumps({"url": OLD})),
        ("platform/redis/url", f"{OLD}\n"),
    ],
)
async def test_a_plugin_gets_what_stands_in_a_file(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path, name: str, text: str
) -> None:
    put(tmp_path / "kept" / name, text)
    assert await sent(await gateway(routes(upstream.url)), upstream) == f"{OLD} 1"


async def test_a_plugin_gets_what_stands_in_the_environment(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    text = routes(upstream.url, "{env: {prefix: OWN_}}")
    running = await gateway(text, OWN_PLATFORM_REDIS_URL=OLD)
    assert await sent(running, upstream) == f"{OLD} 1"


async def test_of_two_stores_a_reference_names_one(
    gateway: MakeGateway, upstream: RecordingUpstream, redis: Path
) -> None:
    text = routes(upstream.url, "{file: {path: kept}, env: {}}", ", store: env")
    running = await gateway(text, BRAIN_SECRET_PLATFORM_REDIS_URL=NEW)
    assert await sent(running, upstream) == f"{NEW} 1"


async def test_a_new_value_is_used_without_a_reload(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    redis: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await gateway(routes(upstream.url))
    put(redis, f"url: {NEW}\n")
    await until(running, upstream, f"{NEW} 2")
    assert caplog.text.count("a new value, version 2") == 1
    assert OLD not in caplog.text
    assert NEW not in caplog.text


async def test_what_is_taken_back_is_not_used_any_more_until_it_returns(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    redis: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await gateway(routes(upstream.url))
    assert await sent(running, upstream) == f"{OLD} 1"
    redis.unlink()
    await until(running, upstream, None)
    ready = json.loads((await running.admin("/ready")).body)
    assert ready["status"] == "degraded"
    assert "there is no secret 'platform/redis'" in ready["checks"]["secret platform/redis#url"]
    put(redis, f"url: {OLD}\n")
    await until(running, upstream, f"{OLD} 3")
    assert json.loads((await running.admin("/ready")).body)["status"] == "ok"
    assert caplog.text.count("it is not used any more") == 1
    assert OLD not in caplog.text


@pytest.mark.parametrize(
    ("text", "mode"), [("url: x\n", 0o640), ("url: x\n", 0o604), ("other: x\n", 0o600)]
)
async def test_a_file_that_others_may_read_or_without_the_field_is_the_same(
    gateway: MakeGateway, upstream: RecordingUpstream, redis: Path, text: str, mode: int
) -> None:
    running = await gateway(routes(upstream.url))
    put(redis, text, mode)
    await until(running, upstream, None)


async def test_a_file_in_trouble_leaves_its_last_value_in_use_for_a_while(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    redis: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FileStore, "keeping", Keeping(fresh=0.02, stale_if_error=1.0))
    running = await gateway(routes(upstream.url))
    put(redis, f"url: [{NEW}")
    async with asyncio.timeout(3):
        while "its last value stays in use" not in caplog.text:
            await asyncio.sleep(0.01)
    assert await sent(running, upstream) == f"{OLD} 1"
    await until(running, upstream, None)
    assert caplog.text.count("its last value stays in use") == 1
    assert NEW not in caplog.text


async def test_a_secret_that_is_missing_refuses_the_load_with_the_place_and_a_remedy(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    with pytest.raises(ConfigError, match="there is no secret 'platform/redis'") as refused:
        await gateway(routes(upstream.url))
    assert "routes0.yaml:9:" in str(refused.value)
    assert "platform/redis.yaml" in (refused.value.hint or "")


async def test_a_reload_that_misses_a_secret_leaves_what_runs(
    gateway: MakeGateway, upstream: RecordingUpstream, redis: Path
) -> None:
    running = await gateway(routes(upstream.url))
    running.path.write_text(running.path.read_text().replace("field: url", "field: uri"))
    said = await running.reload()
    assert said is not None
    assert "the store 'file' has no such field" in said
    assert await sent(running, upstream) == f"{OLD} 1"


async def test_config_shows_where_a_secret_is_kept_and_never_what_it_is(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    text = routes(upstream.url, "{env: {}}")
    running = await gateway(text, BRAIN_SECRET_PLATFORM_REDIS_URL=OLD)
    page = (await running.admin("/config")).body.decode()
    assert OLD not in page
    (entry,) = json.loads(page)["effective"]["services"]["echo"]["plugins"]
    assert entry["with"]["key"] == {"secret": "platform/redis", "field": "url"}
