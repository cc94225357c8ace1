"""Bodies far larger than any buffer should be: does the gateway's memory stay flat?"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from bench import bounds
from bench.ask import ask
from bench.bounds import Bound, Verdict
from bench.lab import Lab
from bench.process import BenchError
from bench.procfs import PeakMemory
from bench.proxies.gateway import Gateway
from bench.readers import SlowReaders
from bench.section import Section, Table

Transfer = Callable[[Lab, Gateway], None]

_MIB = 2**20
_PIECE = bytes(_MIB)


def streams(lab: Lab) -> Section:
    section = Section(
        "Large bodies: growth of the gateway's resident memory",
        tables=[Table(["what", "MiB before", "growth, MiB"])],
    )
    size = lab.settings.stream_bytes
    _add(lab, section, f"{size // _MIB:,} MiB down", bounds.DOWN, _down)
    _add(lab, section, f"{size // _MIB:,} MiB up", bounds.UP, _up)
    slow = f"100 slow readers of {lab.settings.slow_bytes // _MIB} MiB each"
    _add(lab, section, slow, bounds.SLOW, _slow)
    return section


def _add(lab: Lab, section: Section, label: str, bound: Bound, transfer: Transfer) -> None:
    """A fresh gateway for each: memory that an earlier transfer left behind could hide growth."""
    lab.say(f"  {label}")
    gateway = Gateway(lab.folder, lab.upstream)
    with gateway.start() as process:
        for _ in range(32):
            ask(gateway.port, gateway.path("/json"))
        with PeakMemory(process.pid) as memory:
            transfer(lab, gateway)
    growth = memory.growth / _MIB
    section.tables[0].rows.append([label, f"{memory.before / _MIB:.1f}", f"{growth:.1f}"])
    section.verdicts.append(Verdict.of(bound, [growth]))


def _down(lab: Lab, gateway: Gateway) -> None:
    size = lab.settings.stream_bytes
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as client:
        path = gateway.path(f"/blob?size={size}")
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        received = _drop(client, size)
    if received < size:
        raise BenchError(f"down: cut after {received} bytes")


def _drop(client: socket.socket, size: int) -> int:
    """Bytes that came, up to a little over ``size`` (the head comes along)."""
    room, received = bytearray(_MIB), 0
    while received < size and (count := client.recv_into(room)):
        received += count
    return received


def _up(lab: Lab, gateway: Gateway) -> None:
    size = lab.settings.stream_bytes
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as client:
        fields = f"Host: bench\r\nContent-Length: {size}\r\n\r\n"
        client.sendall(f"POST {gateway.path('/sink')} HTTP/1.1\r\n{fields}".encode())
        for _ in range(size // _MIB):
            client.sendall(_PIECE)
        answer = _answer(client, f'{{"received": {size}}}'.encode())
    if answer:
        raise BenchError(f"up: the answer is {answer[:300]!r}")


def _answer(client: socket.socket, expected: bytes) -> bytes:
    """Empty when what came ends with ``expected``, else what came."""
    answer = b""
    while not answer.endswith(expected):
        data = client.recv(65536)
        if not data:
            return answer or b"(nothing)"
        answer += data
    return b""


def _slow(lab: Lab, gateway: Gateway) -> None:
    size = lab.settings.slow_bytes
    readers = SlowReaders(gateway.port, gateway.path(f"/blob?size={size}"), size)
    cut = asyncio.run(readers.read(lab.settings.slow_seconds))
    if cut:
        raise BenchError(f"{cut} of {readers.count} slow readers were cut")
