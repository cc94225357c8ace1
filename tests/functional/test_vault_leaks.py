"""Canaries in all that Vault gives are searched for wherever a gateway writes or sends anything."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from aiohttp import web

from proxy import EXCHANGE, Answer, Handler, Plugin
from proxy.cli.socket_client import ask as ask_control
from proxy.secrets.vault import entering
from proxy.secrets.vault.token import Token, of_login
from tests.cli.kit import GatewayProcess, brain
from tests.functional.baokit import Bao
from tests.functional.collector import Collector, exporting
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawClient, RecordingUpstream, Reply, request
from tests.functional.vaultkit import Entry, bearer

CANARY = "s3same-canary"
"""What each value of the tests begins with."""

VALUES = {
    "crm": {"key": f"{CANARY}-key", "user": "ada", "password": f"{CANARY}-password/+ü"},
    "broken": {"key": f"{CANARY}-broken\r\nX-Admin: 1"},
    "number": {"key": f"{CANARY}-beside", "list": [f"{CANARY}-in-a-list"]},
}


CALLERS = (*VALUES, "nobody", "../crm")


class Breaks(Plugin):
    """Fails behind the upstream's answer, with the whole request in its hands."""

    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(request)
        sent = request[EXCHANGE].outgoing
        if "break" in request.path:
            raise RuntimeError("it broke", sent, answer)
        return answer


def spellings(text: str) -> list[str]:
    """Return a value as any part may spell it."""
    raw = text.encode()
    return [
        text,
        quote(text, safe=""),
        json.dumps(text)[1:-1],
        repr(text)[1:-1],
        b64encode(raw).decode().rstrip("="),
        b64encode(b"ada:" + raw).decode().rstrip("="),
        raw.hex(),
    ]


def nothing_of(secrets: list[str], told: Mapping[str, str]) -> None:
    """Fail where something that was told holds a secret, in any spelling."""
    for where, text in told.items():
        for secret in secrets:
            for spelt in spellings(secret):
                assert spelt not in text, f"{spelt} of {secret} stands in: {where}"
    for where, text in told.items():
        assert CANARY not in text, where


def file(section: str, url: str, other: str, log: str = "", top: str = "") -> str:
    both = '{secret: "tenants/${principal.tenant}/crm", headers: {Authorization: "Token ${secret.key}"}}'
    here = "tests.functional.test_vault_leaks"
    return f"""
{log}
secrets: {section}
plugins:
  - request-id
  - access-log: {{request_headers: [X-Asked], response_headers: [X-Echo, Location], query: [q]}}
{top}
  - {{use: "tests.functional.test_plugins_access:Unsigned", as: tokens}}
  - {{use: "{here}:Breaks"}}
services:
  crm:
    upstream: "{url}"
    plugins: [{{credentials: {both}}}]
  basic:
    upstream: "{url}"
    plugins:
      - credentials:
          secret: "tenants/${{principal.tenant}}/crm"
          basic: {{user: "${{secret.user}}", password: "${{secret.password}}"}}
  query:
    upstream: "{url}"
    plugins:
      - credentials:
          secret: "tenants/${{principal.tenant}}/crm"
          query: {{q: "${{secret.key}}"}}
  path:
    upstream: "{url}"
    plugins:
      - credentials:
          secret: "tenants/${{principal.tenant}}/crm"
          path: "/bot${{secret.key}}"
  away:
    upstream: "http://127.0.0.1:1"
    plugins:
      - credentials:
          secret: "tenants/${{principal.tenant}}/crm"
          path: "/bot${{secret.key}}"
          query: {{q: "${{secret.key}}"}}
  shared:
    upstream: "{url}"
    public: true
    plugins: [{{credentials: {{secret: platform/shared, headers: {{X-Key: "${{secret.key}}"}}}}}}]
  other:
    upstream: "{other}"
"""


def write(bao: Bao) -> list[str]:
    """Write the canaries, and return all values that nobody may see."""
    for tenant, fields in VALUES.items():
        bao.put(f"tenants/{tenant}/crm", **fields)
    bao.put("platform/shared", key=f"{CANARY}-of-all")
    texts = [f"{CANARY}-of-all", f"{CANARY}-in-a-list"]
    return [
        *texts,
        *(str(v) for f in VALUES.values() for k, v in f.items() if k in {"key", "password"}),
    ]


SERVICES = ("crm", "basic", "query", "path", "away", "shared", "other")


def questions(*tenants: str) -> list[bytes]:
    """Return requests that end in all the ways that there are."""
    paths = [(f"/api/brain/{one}/x?q=mine", tenant) for one in SERVICES for tenant in tenants]
    paths += [(f"/api/brain/{one}/break", "crm") for one in SERVICES]
    return [request(path, bearer(tenant=tenant)) for path, tenant in paths]


TOKEN = re.compile(r"\b(?:s|hvs|b)\.[A-Za-z0-9]{20,}")
"""What the server's own tokens look like."""


class Echo(RecordingUpstream):
    """Says in a header and in the reason what it got, as careless servers do."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            sent = [line for line in head.split("\r\n") if CANARY in line]
            said = sent[0].encode("latin-1") if sent else b"nothing"
            self.seen.append(head)  # type: ignore[arg-type]
            answer = b"HTTP/1.1 200 OK " + said + b"\r\nX-Echo: " + said + b"\r\n"
            writer.write(
                answer
                + b"Location: /there?"
                + said.split()[-1]
                + b"\r\nContent-Length: 2\r\n\r\nok"
            )


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    server = Echo()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    await made.start()
    yield made
    await made.stop()


def given(bao: Bao, folder: Path) -> tuple[Entry, list[str]]:
    """Return a role of the server, and all that nobody may see."""
    secrets = write(bao)
    entry = Entry.made(bao, folder)
    return entry, [*secrets, entry.file.read_text()]


def alive(reply: Reply) -> None:
    """Fail where an answer tells of what is kept: the upstream's body is its own."""
    assert CANARY not in reply.raw_head.decode("latin-1")
    if reply.status >= 400:
        assert CANARY not in reply.body.decode()
        assert "tenants" not in reply.body.decode()


async def test_no_value_and_no_token_stands_in_logs_answers_pages_traces_or_tracebacks(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    echo: Echo,
    collector: Collector,
    bao: Bao,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With a wrapped secret id, and with all loggers telling everything."""
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []

    def noted(*given: Any) -> Token:
        tokens.append((token := of_login(*given)).value)
        return token

    monkeypatch.setattr(entering, "of_login", noted)
    entry, secrets = given(bao, tmp_path)
    wrapped = bao.wrapped_secret_id(tmp_path.name.replace("_", "-"))
    entry.file.write_text(wrapped)
    section = entry.section("{fresh: 1s}").replace(
        f"secret_id_file: {entry.file}", f"secret_id_file: {entry.file}, wrapped: true"
    )
    tracing = f"  - tracing: {{{exporting(collector)}}}"
    text = "version: 1" + file(section, echo.url, upstream.url, top=tracing)
    running = await gateway(text, control=True)
    replies = [await running.ask(raw) for raw in questions(*CALLERS)]
    assert {reply.status for reply in replies} >= {200, 403, 424, 500, 502}
    echo.script = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
    bao.seal()
    try:
        replies += [await running.ask(raw) for raw in questions(*CALLERS, "stranger")]
    finally:
        bao.unseal()
    assert 503 in {reply.status for reply in replies}
    for reply in replies:
        alive(reply)
    told = {
        page: (await running.admin(page)).body.decode()
        for page in ("/config", "/ready", "/metrics", "/health")
    }
    assert tokens
    await running.stop()
    out, err = capfd.readouterr()
    async with asyncio.timeout(5):
        while not collector.spans:
            await asyncio.sleep(0.05)
    told |= {"log": caplog.text, "stdout": out, "stderr": err}
    told |= {"spans": str(collector.spans) + str(collector.resources)}
    told |= {f"record {at}": str(vars(record)) for at, record in enumerate(caplog.records)}
    told |= {"the other upstream": "".join(str(one) for one in upstream.seen)}
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    assert "it broke" in caplog.text
    assert len(upstream.seen) > 3
    nothing_of([*secrets, *tokens, wrapped], told)
    assert not TOKEN.search("".join(told.values()))


def processes(parent: int) -> dict[int, str]:
    """Return what everybody sees of a process and of those that it has started."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                told = [(folder / name).read_bytes() for name in ("cmdline", "environ")]
            except OSError:
                continue
            found[int(folder.name)] = (above, b"\0".join(told).decode(errors="replace"))
    family, size = {parent}, 0
    while len(family) != size:
        size = len(family)
        family |= {pid for pid, (above, _) in found.items() if above in family}
    return {pid: found[pid][1] for pid in family if pid in found}


class Watch(threading.Thread):
    """Looks at the arguments and environments of a gateway's processes all the time."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid = pid
        self._ended = threading.Event()
        self.seen: dict[int, str] = {}

    def run(self) -> None:
        while not self._ended.wait(0.05):
            for pid, told in processes(self._pid).items():
                self.seen[pid] = told

    def end(self) -> dict[int, str]:
        self._ended.set()
        self.join()
        return self.seen


async def asked(port: int, raw: bytes) -> Reply:
    client = RawClient(*await asyncio.open_connection("127.0.0.1", port), timeout=10.0)
    client.send(raw)
    try:
        return await client.reply()
    finally:
        client.close()


async def test_no_value_and_no_token_leaves_the_processes_of_a_gateway_with_workers(
    upstream: RecordingUpstream, echo: Echo, bao: Bao, tmp_path: Path
) -> None:
    """Files, arguments, environments, commands, the control socket, a worker's death."""
    entry, secrets = given(bao, tmp_path)
    section, log = entry.section(), "log: {level: debug}"
    text = file(section, echo.url, upstream.url, log)
    settings = f"  state_dir: {tmp_path / 'state'}\n  shutdown: {{grace: 0s, drain: 1s}}\n"
    running = await asyncio.to_thread(
        GatewayProcess, tmp_path, text, "--no-watch", "--workers", "2", settings=settings
    )
    watch = Watch(running.process.pid)
    watch.start()
    told: dict[str, str] = {}
    try:
        replies = [await asked(running.port, raw) for raw in questions(*CALLERS) * 2]
        running.write(text + f"  more: {{upstream: '{upstream.url}', public: true}}\n")
        control = str(running.control)
        for method, target in (
            ("POST", "/reload"),
            ("GET", "/status"),
            ("GET", "/recent"),
            ("GET", "/secrets?most=100"),
            ("POST", "/secrets/refresh?path=platform/shared"),
            ("GET", "/revisions"),
        ):
            told[f"control {target}"] = str(
                await asyncio.to_thread(ask_control, control, method, target, 30.0)
            )
        assert "platform/shared" in told["control /secrets?most=100"]
        assert "'reloaded': True" in told["control /reload"]
        replies += [await asked(running.port, raw) for raw in questions(*CALLERS)]
        ids = {reply.header("X-Request-Id") for reply in replies[-60:]}
        for request_id in sorted(filter(None, ids))[::6]:
            answer = await asyncio.to_thread(ask_control, control, "GET", f"/why/{request_id}", 9.0)
            told[f"why {request_id}"] = str(answer)
        claims = tmp_path / "claims.json"
        claims.write_text(json.dumps({"sub": "ada", "tenant": "crm"}))
        to_crm = ("GET", "/api/brain/crm/x", running.file, "--claims", claims)
        for command in (
            ("why", "--last", "--control", running.control),
            ("secrets", "status", "--control", running.control),
            ("explain", *to_crm),
            ("secrets", "check", running.file, "--tenant", "crm"),
        ):
            done = await asyncio.to_thread(brain, *command, cwd=tmp_path)
            told[" ".join(map(str, command))] = done.stdout + done.stderr
            assert "tenants/" in done.stdout or "why" in command, command
        for page in ("/config", "/ready", "/metrics", "/health"):
            reply = await asked(
                running.admin_port,
                request(page, "Host: localhost").replace(b"Host: gateway.test\r\n", b""),
            )
            told[page] = reply.body.decode()
            assert reply.status == 200, page
    finally:
        code = await asyncio.to_thread(running.end)
        told |= {f"process {pid}": text for pid, text in watch.end().items()}
    assert code == 0
    assert len(watch.seen) > 3
    for reply in replies:
        alive(reply)
    told |= {"stderr": running.log, "stdout": (tmp_path / "out").read_text()}
    own = {entry.file, tmp_path / "log", tmp_path / "out"}
    for path in tmp_path.rglob("*"):
        if path.is_file() and path not in own:
            told[str(path)] = path.read_bytes().decode(errors="replace")
    assert any("state" in where for where in told)
    assert "it broke" in running.log
    told |= {"the other upstream": "".join(str(one) for one in upstream.seen)}
    nothing_of(secrets, told)
    assert not TOKEN.search("".join(told.values()))
