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
from proxy.runtime.crew import Asked, Crew, Question
from proxy.runtime.gateway import Gateway
from proxy.runtime.reload import Reloader
from proxy.runtime.sums import summed
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
    crew: Crew, reloader: Reloader, sock: socket.socket, facts: Mapping[str, object]
) -> web.AppRunner:
    """Serve `POST /reload` and `GET /status` on a bound socket. Close by `runner.cleanup()`.

    `facts` are what the status tells of the process itself.
    """
    app = web.Application()
    app.router.add_post("/reload", _reload(crew, reloader))
    app.router.add_get("/status", _status(crew, facts))
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
                "services": len(crew.config.services),
                **summed(own.values()),
                "workers": [{**one, **own.get(one["worker"], {})} for one in crew.workers()],
            }
        )

    return answer


# -- what each process that serves is asked


def _own_status(gateway: Gateway, _asked: Asked) -> tuple[int, Any]:
    status = gateway.status()
    return 200, {
        "snapshots": status.snapshots,
        "connections": status.connections,
        "in_flight": status.in_flight,
        "upstreams": [
            {name: getattr(one, name) for name in ("name", "open", "idle", "in_flight", "waiting")}
            for one in status.upstreams
        ],
    }


def first_to_know(crew: Crew, question: str) -> Any:
    """Return a handler that asks all processes that serve: the first 200 wins, else any answer.

    The question gets what stands in the path and in the query.
    """

    async def answer(request: web.Request) -> web.Response:
        answers = await crew.ask(question, {**request.query, **request.match_info})
        answers.sort(key=lambda each: each.status != 200)
        if not answers:
            return web.json_response({"error": "no worker answers"}, status=503)
        return web.json_response(answers[0].body, status=answers[0].status)

    return answer


QUESTIONS: Mapping[str, Question] = {"status": _own_status}
"""What a process that serves can be asked over the control socket, wherever that is."""
