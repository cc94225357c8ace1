"""The load generator for machines without wrk: ``python -m bench.generator LOAD-AS-JSON SECONDS``.

Answers are parsed by llhttp (httptools); more than half of wrk's speed, enough to keep every proxy
busy. It runs in a process of its own, so that its CPU time is not the proxy's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import cast

import httptools
import uvloop

from bench.load import Load, Outcome, report


def requests_of(load: Load) -> Iterator[bytes]:
    """The requests' bytes, in turn, without end."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in load.headers.items())
    if load.body_size:
        extra += f"Content-Length: {load.body_size}\r\n"
    rest = f" HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\n{extra}\r\n{'x' * load.body_size}"
    return itertools.cycle(f"{load.method} {path}{rest}".encode() for path in load.paths)


class _Tally:
    """What all connections together have seen."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.bytes = 0
        self.errors = 0

    def outcome(self) -> Outcome:
        ordered = sorted(self.latencies) or [0.0]
        p50, p99 = (ordered[int(len(ordered) * share)] * 1e6 for share in (0.50, 0.99))
        return Outcome(len(self.latencies), self.bytes, p50, p99, self.errors)


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], tally: _Tally) -> None:
        self._requests = requests
        self._tally = tally
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._tally.bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        self._tally.latencies.append(time.perf_counter() - self._sent)
        self._tally.errors += self._parser.get_status_code() >= 400
        if self._parser.should_keep_alive():
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.errors += exc is not None


async def generate(load: Load, seconds: float) -> Outcome:
    loop = asyncio.get_running_loop()
    requests, tally = requests_of(load), _Tally()
    transports = []
    for _ in range(load.connections):
        transport, _protocol = await loop.create_connection(
            lambda: _Connection(requests, tally), "127.0.0.1", load.port
        )
        transports.append(transport)
    await asyncio.sleep(seconds)
    outcome = tally.outcome()
    for transport in transports:
        transport.abort()
    return outcome


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    spec["paths"] = tuple(spec["paths"])
    print(report(uvloop.run(generate(Load(**spec), float(sys.argv[2])))))
