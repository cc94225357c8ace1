"""The control socket: what changes or reveals, for whoever may open a file of mode 0600."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from proxy.errors import ConfigError
from proxy.plugin.context import UpstreamStatus
from proxy.revisions.accepted import Revisions
from proxy.revisions.pages import add_pages
from proxy.runtime.crew import Asked, Crew, Question
from proxy.runtime.gateway import Gateway
from proxy.runtime.reload import Reloader
from proxy.runtime.sums import summed
from proxy.runtime.why import asked_for, recent, recent_of_all, why, why_of_all
from proxy.secrets import operating
from proxy.version import VERSION

LONGEST = 107
"""Bytes that a unix socket's path may have (unix(7))."""


def bind_control(path: str) -> socket.socket:
    """Return a listening socket that its owner alone may open.

    A socket that a dead gateway left is replaced. Raises ConfigError when another gateway listens
    there, when something else stands there, or when it can't be made.
    """
    if len(os.fsencode(path)) > LONGEST:
        raise ConfigError(f"gateway.control: {path} is longer than {LONGEST} bytes")
    _remove_stale(Path(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        sock.bind(path)
        sock.listen(16)
    except OSError as error:
        sock.close()
        raise ConfigError(f"gateway.control: can't listen on {path}: {error.strerror}") from None
    finally:
        os.umask(mask)
    sock.setblocking(False)
    return sock


def _remove_stale(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"gateway.control: {path} exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ConfigError(
        f"gateway.control: another gateway listens on {path}",
        hint="stop it, or give this one a control path of its own",
    )


async def start_control(
    crew: Crew,
    reloader: Reloader,
    revisions: Revisions,
    sock: socket.socket,
    facts: Mapping[str, object],
) -> web.AppRunner:
    """Serve `POST /reload`, `GET /status`, `/why/{id}`, `/recent`, secrets and revisions on a socket.

    Close by `runner.cleanup()`.

    `facts` are what the status tells of the process itself.
    """
    app = web.Application()
    app.router.add_post("/reload", _reload(crew, reloader))
    app.router.add_get("/status", _status(crew, facts))
    add_pages(app.router, revisions)
    app.router.add_get("/why/{id}", of_all(crew, "why", why_of_all))
    app.router.add_get("/recent", of_all(crew, "recent", recent_of_all))
    app.router.add_get("/secrets", of_all(crew, "secrets", operating.status_of_all))
    refreshed = of_all(crew, "refresh", operating.refreshed_of_all)
    app.router.add_post("/secrets/refresh", refreshed)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner


def _reload(crew: Crew, reloader: Reloader) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        outcome = await reloader.reload("command")
        told = {"changed": outcome.changed, "notes": outcome.notes}
        if outcome.error is not None:
            return web.json_response(
                {"reloaded": False, "error": outcome.error, **told}, status=409
            )
        return web.json_response({"reloaded": True, "revision": crew.config.revision, **told})

    return answer


def _status(crew: Crew, facts: Mapping[str, object]) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        ledger = crew.ledger
        own = {each.worker: each.body for each in await crew.ask("status", {})}
        return web.json_response(
            {
                "status": "draining" if ledger.draining else "serving",
                "version": VERSION,
                **facts,
                "revision": crew.config.revision,
                "loaded_at": ledger.loaded_at,
                "reloads": {"ok": ledger.reloads["ok"], "refused": ledger.reloads["refused"]},
                "last_error": ledger.last_error,
                "checks": ledger.process_checks(),
                "services": len(crew.config.services),
                **summed([_NOTHING, *own.values()]),
                "snapshots": max((each["snapshots"] for each in own.values()), default=0),
                "workers": [{**one, **own.get(one["worker"], {})} for one in crew.workers()],
            }
        )

    return answer


Merge = Callable[[list[Any], Asked], Any]
"""Makes one answer of those of several processes, at least one."""


def of_all(crew: Crew, question: str, merge: Merge) -> Any:
    """Return a handler that asks all processes that serve, and merges what they say.

    The question gets what stands in the path and in the query. One that knows (200) is enough where
    others do not (404); any other status is that of the answer.
    """

    async def answer(request: web.Request) -> web.Response:
        asked = {**request.query, **request.match_info}
        answers = await crew.ask(question, asked)
        if not answers:
            return web.json_response({"error": "no worker answers"}, status=503)
        for each in answers:
            if each.status not in (200, 404):
                return web.json_response(each.body, status=each.status)
        body = merge([each.body for each in answers], asked)
        return web.json_response(body, status=min(each.status for each in answers))

    return answer


# -- what each process that serves is asked

_NOTHING = {"connections": 0, "in_flight": 0, "upstreams": [], "secrets": []}
"""What is told while every worker is away."""


def _own_status(gateway: Gateway, _asked: Asked) -> tuple[int, Any]:
    status = gateway.status()
    return 200, {
        "snapshots": status.snapshots,
        "connections": status.connections,
        "in_flight": status.in_flight,
        "upstreams": [_upstream(one) for one in status.upstreams],
        "secrets": operating.stores(gateway.snapshot.secrets),
    }


def _upstream(one: UpstreamStatus) -> dict[str, Any]:
    """Return the counts of an upstream, and those of its targets that are in trouble."""
    names = ("name", "open", "idle", "in_flight", "waiting", "panicking", "origins")
    troubles = [
        {"name": target.name, "state": target.state, "reason": target.reason}
        for target in one.targets
        if target.reason is not None
    ]
    return {**{name: getattr(one, name) for name in names}, "troubles": troubles}


def _own_why(gateway: Gateway, asked: Asked) -> tuple[int, Any]:
    found = why(gateway, asked["id"])
    return 200 if found["exchange"] is not None else 404, found


def _own_recent(gateway: Gateway, asked: Asked) -> tuple[int, Any]:
    try:
        return 200, recent(gateway, **asked_for(asked))
    except ValueError as error:
        return 400, {"error": str(error)}


async def _own_secrets(gateway: Gateway, asked: Asked) -> tuple[int, Any]:
    # With some ten thousand paths it takes a while: the loop goes on meanwhile.
    return await asyncio.to_thread(operating.status, gateway.snapshot.secrets, asked)


async def _own_refresh(gateway: Gateway, asked: Asked) -> tuple[int, Any]:
    return await operating.refresh(gateway.snapshot.secrets, asked)


QUESTIONS: Mapping[str, Question] = {
    "status": _own_status,
    "why": _own_why,
    "recent": _own_recent,
    "secrets": _own_secrets,
    "refresh": _own_refresh,
}
"""What a process that serves can be asked over the control socket, wherever that is."""
