"""Plugins of these tests, named by `use: tests.workers.plugins:name`: they run in the workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy import ConfigError, Plugin, PluginContext
from proxy.output import WORKER

HERE = "tests.workers.plugins"


@web.middleware
async def tell_worker(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in the answer which worker it came from."""
    answer = await handler(request)
    answer.headers["X-Worker"] = os.environ[WORKER]
    return answer


class InOne(Plugin):
    """Does `what` at the setup of one worker, each time while `file` is there or not given."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "worker": {"type": "integer", "default": 1},
            "what": {"enum": ["refuse", "fail", "die", "say"]},
            "file": {"type": "string", "default": ""},
        },
    }

    def __init__(self, *, worker: int, what: str, file: str) -> None:
        self._worker = str(worker)
        self._what = what
        self._file = file

    async def setup(self, context: PluginContext) -> None:
        here = os.environ[WORKER] == self._worker
        if not here or (self._file and not Path(self._file).exists()):
            return
        if self._what == "refuse":
            raise ConfigError("not in this worker", hint="try another")
        if self._what == "fail":
            raise RuntimeError("a bug")
        if self._what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(1)
        context.logger.info("said %s", "x" * 9000)
