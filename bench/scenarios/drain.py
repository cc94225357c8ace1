"""200 reloads under load and one SIGTERM: is any request lost that was sent before the FIN?"""

from __future__ import annotations

import asyncio
import signal

from bench import bounds, routes
from bench.bounds import Verdict
from bench.callers import Caller, Tally
from bench.lab import Lab
from bench.process import ALL_CORES, Process
from bench.proxies.gateway import Gateway
from bench.quartiles import Quartiles
from bench.reloads import Reload, Reloader
from bench.section import Section, Table

_END = 45.0  # seconds after SIGTERM: the default grace of 5 and drain of 25, and some room
_PAUSE = 0.05  # seconds between two reloads
_BODY = b"x" * 10240


def drain(lab: Lab) -> Section:
    services = routes.one_service(lab.upstream)
    gateway = Gateway(lab.folder, lab.upstream, services=services + routes.marked(0, lab.upstream))
    with gateway.start(ALL_CORES) as process:
        tally, seconds = asyncio.run(_run(lab, gateway, process, services))
    table = Table(
        ["answered", "lost", "sent after the FIN", "connections refused", "seconds a reload"],
        [[f"{tally.answered:,}", str(tally.lost), str(tally.late), str(tally.refused), seconds]],
    )
    notes = [f"The first loss: {tally.first_loss}."] if tally.first_loss else []
    return Section(
        f"{lab.settings.reloads_under_load} reloads under load, one SIGTERM",
        notes=["16 keep-alive clients, 8 with a connection for each request, 8 posting.", *notes],
        tables=[table],
        verdicts=[Verdict.of(bounds.LOST, [tally.lost + tally.refused])],
    )


async def _run(lab: Lab, gateway: Gateway, process: Process, services: str) -> tuple[Tally, str]:
    """The callers share this thread's loop; reloading and waiting block, in another thread."""
    tally = Tally()
    callers = [asyncio.create_task(caller.run()) for caller in _callers(gateway, tally)]
    try:
        reloader = Reloader(gateway, process, services, lab.upstream)
        seconds = await asyncio.to_thread(
            _reload_all, reloader, lab.settings.reloads_under_load, tally
        )
        lab.say("  SIGTERM")
        tally.ending = True
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait_for_end, _END)
        await asyncio.wait_for(asyncio.gather(*callers), 10)
    finally:
        tally.ending = True
        for task in callers:
            task.cancel()
    return tally, Quartiles.of(seconds).show()


def _reload_all(reloader: Reloader, count: int, tally: Tally) -> list[float]:
    """Seconds from signal to the new file's first answer, each. Stops early when all is ending:
    a thread can't be interrupted, and Ctrl-C waits for it."""
    reloads: list[Reload] = []
    while len(reloads) < count and not tally.ending:
        reloads.append(reloader.reload(_PAUSE))
    return [each.ended - each.began - _PAUSE for each in reloads]


def _callers(gateway: Gateway, tally: Tally) -> list[Caller]:
    get = f"GET {gateway.path('/json')} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    length = f"Host: bench\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    post = f"POST {gateway.path('/echo')} HTTP/1.1\r\n{length}".encode() + _BODY
    kinds = [(get, True)] * 16 + [(get, False)] * 8 + [(post, True)] * 8
    return [Caller(gateway.port, request, tally, keep=keep) for request, keep in kinds]
