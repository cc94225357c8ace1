"""Several processes as one gateway: pages, reloads, deaths and the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.kit import brain, free_port
from tests.functional.kit import RecordingUpstream, request
from tests.workers.conftest import Start, Workers, services


async def asked(running: Workers, times: int) -> list[str]:
    """Send requests on connections of their own and return which worker answered each."""
    replies = [await running.get("/api/brain/echo/") for _ in range(times)]
    assert {reply.status for reply in replies} == {200}
    return [reply.header("X-Worker") or "" for reply in replies]


def counted(page: bytes, name: str) -> float:
    """Return the sum of a metric's samples; `name` is a pattern, its labels may be left out."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page.decode(), re.MULTILINE)
    return sum(map(float, found))


def requests_to_echo(page: bytes) -> float:
    return counted(page, r'brain_requests_total{[^}]*route="echo"[^}]*}')


async def replaced(running: Workers, index: int = 0) -> None:
    """Kill a worker and wait until another serves in its place."""
    before = (await running.status())["workers"][index]
    os.kill(before["pid"], signal.SIGKILL)
    async with asyncio.timeout(10):
        while True:
            now = (await running.status())["workers"][index]
            if now["state"] == "serving" and now["pid"] != before["pid"]:
                return
            await asyncio.sleep(0.05)


async def test_all_workers_answer_on_one_address(start: Start, upstream: RecordingUpstream) -> None:
    running = await start(services(upstream.url), workers=3)
    assert set(await asked(running, 40)) == {"0", "1", "2"}
    told = (await running.status())["workers"]
    assert [one["worker"] for one in told] == [0, 1, 2]
    assert len({one["pid"] for one in told} - {running.process.process.pid}) == 3
    assert {one["state"] for one in told} == {"serving"}


async def test_one_process_has_no_workers(start: Start, upstream: RecordingUpstream) -> None:
    text = f'services:\n  echo: {{upstream: "{upstream.url}", public: true}}\n'
    running = await start(text, workers=1)
    status = await running.status()
    assert status["workers"] == []
    children = Path(f"/proc/{status['pid']}/task/{status['pid']}/children").read_text()
    assert children == ""
    await running.get("/api/brain/echo/")
    assert len((await running.status())["upstreams"]) == 1


async def test_metrics_are_those_of_all_workers_wherever_they_are_read(
    start: Start, upstream: RecordingUpstream
) -> None:
    running = await start(services(upstream.url, "metrics"))
    assert set(await asked(running, 30)) == {"0", "1"}
    inside, outside = (await running.admin("/metrics")).body, (await running.get("/metrics")).body
    for page in (inside, outside):
        assert requests_to_echo(page) == 30
        assert counted(page, "brain_workers") == 2
        bucket = r'brain_request_duration_seconds_bucket{le="\+Inf",route="echo",service="echo"}'
        assert counted(page, bucket) == 30
        assert counted(page, "brain_config_revision_info") == 1
        assert counted(page, "brain_snapshots") == 1
        assert counted(page, "brain_config_stale") == 0
        assert counted(page, "process_start_time_seconds") < 2e9, "no sum of two"


async def test_a_dead_workers_counts_stay_in_the_sums(
    start: Start, upstream: RecordingUpstream
) -> None:
    running = await start(services(upstream.url, "metrics"))
    await asked(running, 30)
    before = (await running.admin("/metrics")).body
    for index in (0, 1):
        await replaced(running, index)
    page = (await running.admin("/metrics")).body
    assert requests_to_echo(page) == requests_to_echo(before) == 30
    assert counted(page, "brain_worker_restarts_total") == 2
    assert counted(page, "brain_client_connections") == 0, "gauges go with their process"
    await asked(running, 5)
    assert requests_to_echo((await running.admin("/metrics")).body) == 35


async def test_readiness_is_that_of_all_workers_wherever_it_is_read(
    start: Start, upstream: RecordingUpstream
) -> None:
    running = await start(services(upstream.url))
    for reply in (await running.admin("/ready"), await running.get("/ready")):
        assert (reply.status, json.loads(reply.body)["status"]) == (200, "ok")
    assert (await running.get("/health")).status == 200
    first, second = await running.pids()
    os.kill(second, signal.SIGSTOP)
    try:
        checks = json.loads((await running.admin("/ready")).body)["checks"]
    finally:
        os.kill(second, signal.SIGCONT)
    assert checks["worker 1"] == "does not answer"
    assert "worker 0" not in checks
    assert first != second


async def test_the_configuration_is_shown_without_what_plugins_call_private(
    start: Start, upstream: RecordingUpstream
) -> None:
    key = f'api-key: {{keys: [{{name: portal, sha256: "{"0" * 64}"}}]}}'
    running = await start(services(upstream.url, f"{{{key}}}"))
    shown = await running.admin("/config")
    assert shown.status == 200
    assert b"0" * 64 not in shown.body
    assert json.loads(shown.body)["overridden"] == ["gateway.workers"]


async def test_a_reload_is_in_force_in_all_workers_when_it_is_acknowledged(
    start: Start, upstream: RecordingUpstream
) -> None:
    running = await start(services(upstream.url))
    more = f'  more: {{upstream: "{upstream.url}", public: true}}\n'
    code, answer = await running.reload(services(upstream.url, more=more))
    assert (code, answer["changed"]) == (200, True)
    replies = [await running.get("/api/brain/more/") for _ in range(20)]
    assert {reply.status for reply in replies} == {200}
    assert {reply.header("X-Worker") for reply in replies} == {"0", "1"}
    status = await running.status()
    assert (status["reloads"], status["services"]) == ({"ok": 1, "refused": 0}, 2)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("refuse", "plugin 'odd': not in this worker"),
        ("fail", "RuntimeError: a bug"),
        ("die", "worker 1 died over 'prepare': signal SIGKILL"),
    ],
)
async def test_what_one_worker_refuses_none_serves(
    start: Start, upstream: RecordingUpstream, what: str, told: str
) -> None:
    running = await start(services(upstream.url, "metrics"))
    odd = f'{{use: "tests.workers.plugins:InOne", as: odd, with: {{what: {what}}}}}'
    more = f'  more: {{upstream: "{upstream.url}", public: true}}\n'
    code, answer = await running.reload(services(upstream.url, odd, more=more))
    assert code == 409
    assert told in answer["error"]
    if what == "die":
        await running.until("serves again")
    replies = [await running.get("/api/brain/more/") for _ in range(20)]
    assert {reply.status for reply in replies} == {404}, "aborted everywhere"
    assert set(await asked(running, 20)) == {"0", "1"}
    ready = json.loads((await running.admin("/ready")).body)
    assert ready["checks"]["config"] == "the last reload was refused"
    metrics = (await running.admin("/metrics")).body
    assert counted(metrics, "brain_config_stale") == 1
    assert counted(metrics, 'brain_reloads_total{result="refused"}') == 1
    # What was prepared in the other worker has left nothing in the way of the next one.
    code, _ = await running.reload(services(upstream.url, more=more))
    assert code == 200
    assert (await running.get("/api/brain/more/")).status == 200
    assert (await running.status())["snapshots"] <= 4
    running.has_bugs = what == "fail"


async def test_who_takes_a_dead_ones_place_has_the_accepted_configuration(
    start: Start, upstream: RecordingUpstream
) -> None:
    """Not the one that it began with, and not what the file says now."""
    running = await start(services(upstream.url))
    more = f'  more: {{upstream: "{upstream.url}", public: true}}\n'
    assert (await running.reload(services(upstream.url, more=more)))[0] == 200
    refused = services(upstream.url, more="  bad: 1\n")
    assert (await running.reload(refused))[0] == 409
    for index in (0, 1):
        await replaced(running, index)
    replies = [await running.get("/api/brain/more/") for _ in range(20)]
    assert [reply.status for reply in replies] == [200] * 20
    assert {reply.header("X-Worker") for reply in replies} == {"0", "1"}


async def test_a_worker_that_can_not_start_is_tried_again_and_told(
    start: Start, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    file = tmp_path / "broken"
    odd = (
        '{use: "tests.workers.plugins:InOne", as: odd, '
        f'with: {{what: refuse, worker: 0, file: "{file}"}}}}'
    )
    running = await start(services(upstream.url, odd))
    file.touch()
    os.kill((await running.pids())[0], signal.SIGKILL)
    await running.until("worker 0 can't start: ", 2)
    ready = await running.admin("/ready")
    checks = json.loads(ready.body)["checks"]
    assert ready.status == 200, "the other worker serves"
    assert checks["worker 0"].startswith(("dead", "starting"))
    file.unlink()
    await running.until("worker 0 serves again")
    assert set(await asked(running, 20)) == {"0", "1"}


async def test_the_queue_of_a_killed_worker_is_served_by_the_next(
    start: Start, upstream: RecordingUpstream
) -> None:
    running = await start(services(upstream.url))
    victim, _ = await running.pids()
    os.kill(victim, signal.SIGSTOP)  # what comes from now on waits in the kernel
    clients = [await running.client() for _ in range(60)]
    for client in clients:
        client.timeout = 20.0
        client.send(request("/api/brain/echo/"))
    await asyncio.sleep(0.5)
    os.kill(victim, signal.SIGKILL)
    replies = await asyncio.gather(*(client.reply() for client in clients))
    assert [reply.status for reply in replies] == [200] * 60
    assert {reply.header("X-Worker") for reply in replies} == {"0", "1"}


async def test_sigterm_drains_all_workers(start: Start, upstream: RecordingUpstream) -> None:
    upstream.hold = asyncio.Event()
    running = await start(services(upstream.url))
    clients = [await running.client() for _ in range(20)]
    for client in clients:
        client.send(request("/api/brain/echo/"))
    await until_seen(upstream, 20)
    pids = await running.pids()
    running.process.signal(signal.SIGTERM)
    await running.until("draining")
    await asyncio.sleep(0.3)
    upstream.hold.set()
    replies = await asyncio.gather(*(client.reply() for client in clients))
    assert [reply.status for reply in replies] == [200] * 20
    assert {reply.header("X-Worker") for reply in replies} == {"0", "1"}
    assert await running.ended() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def until_seen(upstream: RecordingUpstream, count: int) -> None:
    async with asyncio.timeout(5):
        while len(upstream.seen) < count:
            await asyncio.sleep(0.01)


async def test_asked_twice_all_workers_are_cut(start: Start, upstream: RecordingUpstream) -> None:
    upstream.hold = asyncio.Event()
    settings = "  shutdown: {grace: 0s, drain: 30s}\n"
    running = await start(services(upstream.url), settings=settings)
    clients = [await running.client() for _ in range(10)]
    for client in clients:
        client.send(request("/api/brain/echo/"))
    await until_seen(upstream, 10)
    running.process.signal(signal.SIGINT)
    await running.until("10 requests in flight")
    running.process.signal(signal.SIGINT)
    assert await running.ended(5.0) == 0
    assert all([await client.closed() for client in clients])


async def test_workers_end_when_their_parent_is_killed(
    start: Start, upstream: RecordingUpstream
) -> None:
    running = await start(services(upstream.url))
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    assert (await client.reply()).status == 200
    pids = await running.pids()
    running.process.process.kill()
    async with asyncio.timeout(5):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.05)
    assert await running.ended() == -signal.SIGKILL
    running.exit_code = -signal.SIGKILL


def alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def test_a_worker_takes_no_signal_for_itself(
    start: Start, upstream: RecordingUpstream
) -> None:
    """A service manager tells every process of a group: the parent decides what it means."""
    running = await start(services(upstream.url))
    pids = await running.pids()
    for pid in pids:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
    assert set(await asked(running, 20)) == {"0", "1"}
    assert await running.pids() == pids


async def test_a_start_that_one_worker_refuses_says_why_and_leaves_nothing(
    tmp_path: Path, upstream: RecordingUpstream
) -> None:
    odd = '{use: "tests.workers.plugins:InOne", as: odd, with: {what: refuse}}'
    file = tmp_path / "routes.yaml"
    own = f"gateway: {{listen: 127.0.0.1:{free_port()}, admin: off, control: c.sock}}\n"
    file.write_text("version: 1\n" + own + services(upstream.url, odd))
    done = await asyncio.to_thread(brain, "run", "--workers", "2", file, cwd=tmp_path)
    assert done.returncode == 1
    assert "error[BG220]: plugin 'odd': not in this worker" in done.stderr or (
        "plugin 'odd': not in this worker" in done.stderr and "--> " in done.stderr
    )
    assert "Traceback" not in done.stderr


async def test_a_port_that_another_gateway_has_is_refused_to_workers_too(
    start: Start, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    running = await start(services(upstream.url))
    file = tmp_path / "second.yaml"
    file.write_text(
        f"version: 1\ngateway: {{listen: 127.0.0.1:{running.process.port}, admin: off, "
        f"control: d.sock, workers: 2}}\n" + services(upstream.url)
    )
    done = await asyncio.to_thread(brain, "run", file, cwd=tmp_path)
    assert done.returncode == 1
    assert "can't listen on" in done.stderr
    assert "the port is in use" in done.stderr


async def test_every_line_of_a_workers_log_is_whole_and_tells_which_it_is(
    start: Start, upstream: RecordingUpstream
) -> None:
    said = ", ".join(
        f'{{use: "tests.workers.plugins:InOne", as: say{index}{worker}, '
        f"with: {{what: say, worker: {worker}}}}}"
        for index in range(20)
        for worker in (0, 1)
    )
    running = await start(services(upstream.url, said))
    lines = [json.loads(line) for line in running.process.log.splitlines()]
    long = [line for line in lines if line["message"].startswith("said xxx")]
    assert len(long) == 40
    assert sorted(line["worker"] for line in long) == [0] * 20 + [1] * 20
    assert {len(line["message"]) for line in long} == {9005}


async def test_status_is_for_people_too(start: Start, upstream: RecordingUpstream) -> None:
    running = await start(services(upstream.url))
    pids = await running.pids()
    shown = (await asyncio.to_thread(running.process.ask, "status")).stdout
    for index, pid in enumerate(pids):
        assert re.search(rf"^worker {index} +serving, pid {pid}, ", shown, re.MULTILINE)


async def test_whichever_worker_had_an_exchange_tells_why(
    start: Start, upstream: RecordingUpstream
) -> None:
    running = await start(services(upstream.url, "request-id"))
    replies = []
    for _ in range(12):
        replies.append(await running.get("/api/brain/echo/"))
        await asyncio.sleep(0.005)  # the workers' own are put in order by the millisecond
    assert {reply.header("X-Worker") for reply in replies} == {"0", "1"}
    ids = [reply.header("X-Request-Id") for reply in replies]
    for each in ids:
        code, found = await running.ask("GET", f"/why/{each}")
        assert (code, found["exchange"]["request_id"]) == (200, each)
    code, found = await running.ask("GET", "/why/nobodys")
    assert (code, found["exchange"]) == (404, None)
    assert found["kept"]["last"]["count"] == 12
    _, listed = await running.ask("GET", "/recent?last=5")
    assert [one["request_id"] for one in listed["exchanges"]] == ids[:-6:-1], (
        "the last to end first"
    )
    assert (await running.ask("GET", "/recent?last=none"))[0] == 400


async def test_a_rollback_is_in_force_in_all_workers(
    start: Start, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    options = ("--state-dir", str(tmp_path / "state"))
    running = await start(services(upstream.url), *options)
    first = (await running.status())["revision"]
    more = f'  more: {{upstream: "{upstream.url}", public: true}}\n'
    assert (await running.reload(services(upstream.url, more=more)))[0] == 200
    assert (await running.get("/api/brain/more/")).status == 200
    done = await asyncio.to_thread(running.process.ask, "rollback", first[:12])
    assert done.returncode == 0, done.stderr
    replies = [await running.get("/api/brain/more/") for _ in range(20)]
    assert {reply.status for reply in replies} == {404}
    assert set(await asked(running, 20)) == {"0", "1"}
    await replaced(running)
    assert (await running.get("/api/brain/more/")).status == 404


async def test_all_workers_know_the_secrets_of_their_parents_environment_and_files(
    start: Start, upstream: RecordingUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [hashlib.sha256(key.encode()).hexdigest() for key in ("of-env", "of-file", "new")]
    monkeypatch.setenv("OWN_CI_SHA256", digests[0])
    file = tmp_path / "keys.yaml"
    file.write_text(f"- {{name: portal, sha256: {digests[1]}}}\n")
    file.chmod(0o600)
    keys = "[{name: ci, sha256: {secret: ci, field: sha256}}]"
    running = await start(
        "secrets: {env: {prefix: OWN_}}\nplugins:\n"
        f"  - api-key: {{keys: {keys}, keys_file: {file}, query: key}}\n"
        f'services:\n  echo: {{upstream: "{upstream.url}"}}\n',
        workers=2,
    )

    async def statuses(key: str) -> set[int]:
        replies = [await running.get(f"/api/brain/echo/?key={key}") for _ in range(12)]
        return {reply.status for reply in replies}

    assert [await statuses(key) for key in ("of-env", "of-file", "new")] == [{200}, {200}, {401}]
    file.write_text(f"- {{name: portal, sha256: {digests[2]}}}\n")
    async with asyncio.timeout(20):
        while await statuses("new") != {200}:
            await asyncio.sleep(0.2)
