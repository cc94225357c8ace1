"""The fixtures `backend` and `brain`, as an author's test uses them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from proxy import ConfigError
from proxy.testing import Backend


def routes(url: str, more: str = "") -> str:
    return f"""
    version: 1
    {more}
    services:
      echo: {{upstream: "{url}", public: true}}
    """


def test_a_gateway_stands_before_a_backend(brain: Any, backend: Backend) -> None:
    gateway = brain(routes(backend.url))
    reply = gateway.get("/api/brain/echo/a%20b?x=1", X_A="1")
    assert (reply.status, reply.json()) == (200, {"ok": True})
    assert (backend.last.method, backend.last.target) == ("GET", "/a%20b?x=1")
    assert backend.last.headers["x-a"] == "1"
    assert backend.last.headers["X-Forwarded-Prefix"] == "/api/brain/echo"


def test_a_backend_answers_as_it_is_told(brain: Any, backend: Backend) -> None:
    gateway = brain(routes(backend.url))
    backend.answer(503, body="later", once=True)
    backend.answer(418, headers={"X-Pot": "tea"}, body=[b"a", b"b"])
    assert gateway.get("/api/brain/echo/").body == b"later"
    reply = gateway.request("POST", "/api/brain/echo/", body=b"sent", headers={"X-A": "1"})
    assert (reply.status, reply.header("x-pot"), reply.body) == (418, "tea", b"ab")
    assert backend.last.body == b"sent"
    assert [seen.method for seen in backend.seen] == ["GET", "POST"]


def test_pieces_come_one_by_one(backend: Backend) -> None:
    import http.client

    backend.answer(body=[b"first", b"last"], delay=0.2)
    connection = http.client.HTTPConnection(backend.url.removeprefix("http://"))
    connection.request("GET", "/")
    answer = connection.getresponse()
    began = time.monotonic()
    assert answer.read(5) == b"first"
    assert answer.read() == b"last"
    assert time.monotonic() - began > 0.1
    connection.close()


def test_a_reload_brings_another_file_and_a_bad_one_is_refused(
    brain: Any, backend: Backend
) -> None:
    gateway = brain(routes(backend.url))
    gateway.reload(routes(backend.url).replace("echo", "other"))
    assert gateway.get("/api/brain/other/").status == 200
    with pytest.raises(ConfigError, match="BG103"):
        gateway.reload(routes(backend.url, "servces: {}"))
    assert gateway.get("/api/brain/other/").status == 200


def test_a_file_that_can_not_be_served_is_told_at_once(brain: Any) -> None:
    with pytest.raises(ConfigError, match="BG210"):
        brain("version: 1\nservices: {a: {upstream: http://a}}")


def test_the_environment_is_the_tests_own(brain: Any, backend: Backend) -> None:
    gateway = brain(routes("${UPSTREAM}"), UPSTREAM=backend.url)
    assert gateway.get("/api/brain/echo/").status == 200
    with pytest.raises(ConfigError, match="UPSTREAM"):
        brain(routes("${UPSTREAM}"))


def test_a_folder_of_ones_own_has_what_the_file_names(
    brain: Any, backend: Backend, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    (own / "more").mkdir(parents=True)
    (own / "more" / "a.yaml").write_text(
        f"services: {{b: {{upstream: '{backend.url}', public: true}}}}"
    )
    gateway = brain(routes(backend.url, "include: [more/*.yaml]"), folder=own)
    assert gateway.get("/api/brain/b/").status == 200


def test_the_admin_listener_is_there_too(brain: Any, backend: Backend) -> None:
    gateway = brain(routes(backend.url))
    assert gateway.admin("/ready").json()["status"] == "ok"


async def test_an_async_test_may_use_them(brain: Any, backend: Backend) -> None:
    assert brain(routes(backend.url)).get("/api/brain/echo/").status == 200
