"""A container's life: its checks before, while and after it serves, by the image's own commands.

The process has the image's environment and that of compose.yaml, nothing else; its root is
read-only, and it runs as the image's user where the tests may become another one.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.kit import free_port
from tests.image import composefile
from tests.image.dockerfile import stages
from tests.image.kit import NEEDED, ROOT, Container
from tests.image.root import Root

UNREACHABLE, DRAINING = 4, 1
EDGE = "127.0.0.1"  # who asks here stands in the place of Traefik


class Running:
    """The gateway as `docker compose up` starts it, on free ports."""

    def __init__(self, image: Root, log: Path) -> None:
        self._image = image
        self._log = log
        self.public, self.admin = free_port(), free_port()
        text = (ROOT / "compose.yaml").read_text()
        service = composefile.read(text, NEEDED)["services"]["gateway"]
        self.container = Container(
            image,
            stages((ROOT / "Dockerfile").read_text())[-1],
            {
                **{name: image.here(value) for name, value in service["environment"].items()},
                "BRAIN_TRUSTED_PROXIES": EDGE,
                "BRAIN_LISTEN": f"127.0.0.1:{self.public}",
                "BRAIN_ADMIN": f"{EDGE}:{self.admin}",
            },
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        self.process = self.container.start(self._log)
        self.wait(lambda: self.container.health() == 0)

    def wait(self, true: Callable[[], bool], within: float = 15.0) -> None:
        until = time.monotonic() + within
        while not true():
            assert time.monotonic() < until, self.log
            time.sleep(0.05)

    def get(self, port: int, path: str, **headers: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    def replace_routes(self, text: str) -> None:
        """Put another file in the place of routes.yaml, as the host does: its folder is writable."""
        folder = self._image.path("/etc/brain")
        folder.chmod(0o755)
        fresh = folder / "fresh.tmp"
        fresh.write_text(text)
        fresh.chmod(0o444)
        fresh.rename(folder / "routes.yaml")
        folder.chmod(0o555)


@pytest.fixture
def running(image: Root, tmp_path: Path) -> Iterator[Running]:
    # An engine mounts these anew for each container.
    for place in ("/run/brain", "/var/lib/brain"):
        image.path(place).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(image.path("/var/lib/brain") / "revisions", ignore_errors=True)
    found = Running(image, tmp_path / "log")
    yield found
    if found.process is not None and found.process.poll() is None:
        found.process.kill()
        found.process.wait(10)
    shipped = (ROOT / "routes.yaml").read_text()
    if image.path("/etc/brain/routes.yaml").read_text() != shipped:
        found.replace_routes(shipped)


def files(image: Root) -> set[str]:
    return {str(path) for top in ("usr", "opt", "etc") for path in (image.folder / top).rglob("*")}


def test_the_shipped_routes_are_good_where_it_is_installed(running: Running) -> None:
    done = running.container.execute(["brain", "check"])
    assert done.returncode == 0, done.stdout
    assert running.container.execute(["brain", "routes"]).returncode == 0


def test_a_life_from_unreachable_to_healthy_to_draining_to_ended(
    running: Running, image: Root
) -> None:
    before = files(image)
    assert running.container.health() == UNREACHABLE
    running.start()
    assert running.process is not None
    assert running.get(running.public, "/ready")[0] == 200
    assert running.get(running.public, "/api/brain/lago/")[0] == 401
    running.process.send_signal(signal.SIGTERM)
    running.wait(lambda: running.get(running.public, "/ready")[0] == 503)
    assert running.container.health() == DRAINING
    assert running.process.wait(40) == 0
    assert running.container.health() == UNREACHABLE
    assert "Traceback" not in running.log
    assert files(image) == before, "all it writes goes to the folders that are mounted for it"


def test_prometheus_is_let_in_by_the_host_that_it_names_and_strangers_are_not(
    running: Running,
) -> None:
    running.start()
    job = yaml.safe_load((ROOT / "ops/prometheus.yml").read_text())["scrape_configs"][0]
    (target,) = job["static_configs"][0]["targets"]
    status, page = running.get(running.admin, job["metrics_path"], Host=target)
    assert status == 200
    assert "\nbrain_build_info{" in page
    assert running.get(running.admin, "/metrics", Host="gateway.example.com")[0] == 403


def test_who_comes_through_the_edge_is_no_private_address(running: Running) -> None:
    running.start()
    for page in ("/ready", "/metrics"):
        told = {"X-Forwarded-For": "8.8.8.8"}
        assert running.get(running.public, page, **told)[0] == 404
        assert running.get(running.public, page)[0] == 200, "the edge's own check"


def test_a_file_that_is_replaced_on_the_host_is_loaded(running: Running) -> None:
    running.start()
    text = (ROOT / "routes.yaml").read_text()
    running.replace_routes(
        text.replace("\nservices:\n", '\nservices:\n  echo: {upstream: "http://127.0.0.1:9"}\n')
    )
    running.wait(lambda: "reloaded (files changed)" in running.log)
    done = running.container.execute(["brain", "status", "--json"])
    status: dict[str, Any] = json.loads(done.stdout)
    assert status["reloads"] == {"ok": 1, "refused": 0}
    again = running.container.execute(["brain", "reload"])
    assert again.returncode == 0, again.stderr
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)
    running.wait(lambda: "(SIGHUP)" in running.log)


def test_a_container_that_starts_with_a_bad_file_serves_what_the_last_one_accepted(
    running: Running,
) -> None:
    running.start()
    assert running.process is not None
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(10) == 0
    text = (ROOT / "routes.yaml").read_text()
    running.replace_routes(text + "services: [\n")
    running.start()
    assert running.get(running.public, "/api/brain/lago/")[0] == 401
    checks = json.loads(running.get(running.admin, "/ready")[1])["checks"]
    assert "the files are refused: " in checks["config"]
    listed = running.container.execute(["brain", "revisions"])
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 2)
    running.replace_routes(text)
    running.wait(lambda: "nothing changed (files changed)" in running.log)
    assert running.container.execute(["brain", "diff"]).returncode == 0


def test_it_runs_as_the_images_user_with_no_privilege(running: Running) -> None:
    running.start()
    assert running.process is not None
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["Uid"].split() == [str(running.container.user)] * 4
    assert running.container.user != 0
    assert int(fields["CapEff"], 16) == 0
