"""The control socket: its owner's alone, one gateway's at a time."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from proxy.cli.socket_client import ask
from proxy.control import bind_control
from proxy.errors import ConfigError
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream


def plain(upstream: RecordingUpstream) -> str:
    return f'version: 1\nservices:\n  echo: {{upstream: "{upstream.url}", public: true}}\n'


async def test_the_socket_is_its_owners_alone_and_goes_with_the_gateway(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(plain(upstream))
    path = Path(str(running.host.config.gateway.control))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await running.stop()
    assert not path.exists()


async def test_status_and_reload_answer_on_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(plain(upstream))
    path = str(running.host.config.gateway.control)
    await running.get("/api/brain/echo/")
    code, status = await asyncio.to_thread(ask, path, "GET", "/status")
    assert (code, status["status"], status["snapshots"]) == (200, "serving", 1)
    code, answer = await asyncio.to_thread(ask, path, "POST", "/reload")
    assert (code, answer["revision"]) == (200, status["revision"])
    running.path.write_text("version: 1\nservces: {}\n")
    code, answer = await asyncio.to_thread(ask, path, "POST", "/reload")
    assert (code, answer["reloaded"]) == (409, False)
    assert "routes0.yaml:2" in str(answer["error"])


async def test_a_second_gateway_on_the_same_socket_is_refused_and_harms_nothing(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(plain(upstream))
    path = str(running.host.config.gateway.control)
    with pytest.raises(ConfigError, match="another gateway listens"):
        await asyncio.to_thread(bind_control, path)
    code, _ = await asyncio.to_thread(ask, path, "GET", "/status")
    assert code == 200


def test_what_a_dead_gateway_left_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with bind_control(path) as fresh, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        assert fresh.getsockname() == path


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="is no socket"):
        bind_control(str(path))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("path", ["/no/such/folder/c.sock", "/tmp/" + "x" * 120])
def test_a_path_that_can_not_be_is_told(path: str) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.control"):
        bind_control(path)
