"""Stand-ins in a process of their own, so that their work is not taken for the gateway's."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from proxy.demo.stand_ins import StandIns

START_TIMEOUT = 20.0


@contextmanager
def stand_ins_in_background(origin: str | None = None) -> Iterator[dict[str, str]]:
    """Run the stand-ins while the block lasts and give the environment that points to them.

    Raises RuntimeError when they do not start.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, origin), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(START_TIMEOUT):
            raise RuntimeError("the stand-in services did not start")
        yield ours.recv()
    finally:
        ours.close()
        process.join(2.0)
        process.terminate()


def _serve(pipe: Connection, origin: str | None) -> None:
    # Ctrl-C reaches the whole group: the parent ends us by closing the pipe, after it has drained.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_until_closed(pipe, origin))


async def _until_closed(pipe: Connection, origin: str | None) -> None:
    stand_ins = StandIns() if origin is None else StandIns(origin=origin)
    await stand_ins.start()
    try:
        pipe.send(stand_ins.environment())
        closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), closed.set)
        await closed.wait()
    finally:
        await stand_ins.close()
