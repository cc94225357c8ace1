"""What a connection holds while nothing happens on it: 1,000 of them, each after one request."""

from __future__ import annotations

import http.client
import time
from contextlib import ExitStack, closing

from bench.ask import ask
from bench.lab import Lab
from bench.procfs import resident_bytes
from bench.proxies.base import Proxy
from bench.scenarios.field import EVERYBODY, absent, present
from bench.section import Section, Table

_WARM = 200  # requests before the first reading, so that what is made once is not counted


def idle(lab: Lab) -> Section:
    table = Table(["proxy", "KiB per connection", "MiB before", "MiB with them"])
    for kind in present(EVERYBODY):
        lab.say(f"  {kind.name}")
        before, after = _held(lab, kind(lab.folder, lab.upstream))
        each = (after - before) / lab.settings.idle_connections / 1024
        sizes = [f"{size / 2**20:.1f}" for size in (before, after)]
        table.rows.append([kind.name, f"{each:.1f}", *sizes])
    title = f"{lab.settings.idle_connections:,} idle keep-alive connections"
    return Section(title, notes=absent(EVERYBODY), tables=[table])


def _held(lab: Lab, proxy: Proxy) -> tuple[int, int]:
    """Resident bytes before and with the idle connections."""
    with proxy.start() as process, ExitStack() as stack:
        for _ in range(_WARM):
            ask(proxy.port, proxy.path("/json"))
        before = resident_bytes(process.pid)
        for _ in range(lab.settings.idle_connections):
            stack.enter_context(closing(_opened(proxy)))
        time.sleep(1)
        return before, resident_bytes(process.pid)


def _opened(proxy: Proxy) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    connection.request("GET", proxy.path("/json"))
    connection.getresponse().read()
    return connection
