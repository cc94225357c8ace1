"""The control socket: what changes or reveals, for whoever may open a file of mode 0600."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from proxy.errors import ConfigError
from proxy.plugin.context import UpstreamStatus
from proxy.revisions.accepted import Revisions
from proxy.revisions.pages import add_pages
from proxy.runtime.gateway import Gateway
from proxy.runtime.reload import Reloader
from proxy.runtime.why import asked_for, recent, why

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
    gateway: Gateway,
    reloader: Reloader,
    revisions: Revisions,
    sock: socket.socket,
    facts: Mapping[str, object],
) -> web.AppRunner:
    """Serve `POST /reload`, `GET /status`, `/why/{id}`, `/recent` and revisions on a bound socket.

    Close by `runner.cleanup()`.

    `facts` are what the status tells of the process itself.
    """
    app = web.Application()
    app.router.add_post("/reload", _reload(gateway, reloader))
    app.router.add_get("/status", _status(gateway, facts))
    add_pages(app.router, revisions)
    app.router.add_get("/why/{id}", _why(gateway))
    app.router.add_get("/recent", _recent(gateway))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner


def _reload(gateway: Gateway, reloader: Reloader) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        outcome = await reloader.reload("command")
        told = {"changed": outcome.changed, "notes": outcome.notes}
        if outcome.error is not None:
            return web.json_response(
                {"reloaded": False, "error": outcome.error, **told}, status=409
            )
        return web.json_response({"reloaded": True, "revision": gateway.snapshot.revision, **told})

    return answer


def _status(gateway: Gateway, facts: Mapping[str, object]) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        status = gateway.status()
        return web.json_response(
            {
                "status": "draining" if gateway.draining else "serving",
                "version": status.version,
                **facts,
                "revision": status.revision,
                "loaded_at": status.loaded_at,
                "reloads": dict(status.reloads),
                "last_error": gateway.last_error,
                "checks": gateway.process_checks(),
                "services": len(gateway.snapshot.config.services),
                "snapshots": status.snapshots,
                "connections": status.connections,
                "in_flight": status.in_flight,
                "upstreams": [_upstream(one) for one in status.upstreams],
            }
        )

    return answer


def _upstream(one: UpstreamStatus) -> dict[str, Any]:
    """Return the counts of an upstream, and those of its targets that are in trouble."""
    names = ("name", "open", "idle", "in_flight", "waiting", "panicking")
    troubles = [
        {"name": target.name, "state": target.state, "reason": target.reason}
        for target in one.targets
        if target.state != "ok"
    ]
    return {**{name: getattr(one, name) for name in names}, "troubles": troubles}


def _why(gateway: Gateway) -> Any:
    async def answer(request: web.Request) -> web.Response:
        found = why(gateway, request.match_info["id"])
        return web.json_response(found, status=200 if found["exchange"] is not None else 404)

    return answer


def _recent(gateway: Gateway) -> Any:
    async def answer(request: web.Request) -> web.Response:
        try:
            asked = asked_for(request.query)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(recent(gateway, **asked))

    return answer
