"""AI crews: work that is kicked off and asked after later, its tasks, and the chat beside it."""

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from proxy.demo import chat

_SECONDS: Final = 2.0  # how long a crew thinks: short enough to wait for, long enough to be seen
_TASKS: Final = [
    {"id": "research", "agent": "researcher", "state": "done"},
    {"id": "draft", "agent": "writer", "state": "running"},
]


class Crews:
    """Who was kicked off when; nothing is computed, time alone makes the result."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started: dict[str, float] = {}

    def start(self) -> str:
        kickoff_id = str(uuid.uuid4())
        self._started[kickoff_id] = self._clock()
        return kickoff_id

    def progress(self, kickoff_id: str) -> dict[str, Any]:
        """Raises KeyError for what was never started."""
        if self._clock() - self._started[kickoff_id] < _SECONDS:
            return {"state": "RUNNING", "result": None}
        return {"state": "SUCCESS", "result": "Green, at 80 °C, for two minutes."}


_CREWS: Final = web.AppKey("crews", Crews)


def application(clock: Callable[[], float] = time.monotonic) -> web.Application:
    """`clock` gives seconds; a test turns it forward instead of waiting for a crew."""
    app = web.Application()
    app[_CREWS] = Crews(clock)
    app.add_routes([web.post("/kickoff", kick_off), web.get("/status/{id}", read_status)])
    # Both spellings of the list, for clients that mix them.
    app.add_routes([web.get("/tasks", list_tasks), web.get("/tasks/", list_tasks)])
    app.add_routes([web.get("/tasks/{id}", read_task)])
    chat.add_to(app)
    return app


async def kick_off(request: web.Request) -> web.Response:
    """202, with the place to ask at both in the body and as a path in Location."""
    kickoff_id = request.app[_CREWS].start()
    place = f"/status/{kickoff_id}"
    body = {"kickoff_id": kickoff_id, "status_url": place}
    return web.json_response(body, status=202, headers={"Location": place, "Retry-After": "2"})


async def read_status(request: web.Request) -> web.Response:
    kickoff_id = request.match_info["id"]
    try:
        progress = request.app[_CREWS].progress(kickoff_id)
    except KeyError:
        return web.json_response({"detail": "Unknown kickoff"}, status=404)
    return web.json_response({"kickoff_id": kickoff_id, **progress})


async def list_tasks(request: web.Request) -> web.Response:
    return web.json_response({"tasks": _TASKS})


async def read_task(request: web.Request) -> web.Response:
    for task in _TASKS:
        if task["id"] == request.match_info["id"]:
            return web.json_response(task)
    return web.json_response({"detail": "Unknown task"}, status=404)
