"""Clients that know what became of each request, to the point of who hung up first."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

import httptools

_ESTABLISHED = 1  # tcp_states.h; the first byte of TCP_INFO


@dataclass
class Tally:
    """What all callers together have seen.

    ``lost``: the request's bytes were in the gateway's receive queue before it sent its FIN, and no
    whole 200 came back. ``late``: the FIN was there when the bytes went out; nobody's fault.
    ``refused``: no connection, while the gateway was not yet told to end.
    """

    answered: int = 0
    lost: int = 0
    late: int = 0
    refused: int = 0
    ending: bool = False
    first_loss: str = ""


class _Answer:
    """llhttp's callbacks for one answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.whole = False

    def on_message_complete(self) -> None:
        self.whole = True

    @property
    def good(self) -> bool:
        return self.whole and self.parser.get_status_code() == 200


class Caller:
    """One client: a request at a time, over one connection (``keep``) or a new one for each.

    Ends when the gateway no longer listens, once ``tally.ending`` says that this is expected.
    """

    def __init__(self, port: int, request: bytes, tally: Tally, *, keep: bool) -> None:
        self._address = ("127.0.0.1", port)
        self._request = request
        self._tally = tally
        self._keep = keep

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with socket.socket() as client:
                client.setblocking(False)
                try:
                    await loop.sock_connect(client, self._address)
                except OSError:
                    if self._tally.ending:
                        return
                    self._tally.refused += 1
                    await asyncio.sleep(0.01)
                    continue
                await self._use(client)

    async def _use(self, client: socket.socket) -> None:
        """Until the connection is not to be used again."""
        while await self._exchange(client) and self._keep:
            pass

    async def _exchange(self, client: socket.socket) -> bool:
        """Whether the connection can take another request.

        On loopback a FIN is in our socket's state the moment it is sent. So when the state is still
        ESTABLISHED after our bytes went out, they went out first.
        """
        loop = asyncio.get_running_loop()
        answer = _Answer()
        in_time, fault = False, "closed"
        try:
            await loop.sock_sendall(client, self._request)
            in_time = _state(client) == _ESTABLISHED
            while not answer.whole and (data := await loop.sock_recv(client, 65536)):
                answer.parser.feed_data(data)
        except (OSError, httptools.HttpParserError) as error:
            fault = repr(error)
        self._count(answer, in_time, fault)
        return answer.good and answer.parser.should_keep_alive()

    def _count(self, answer: _Answer, in_time: bool, fault: str) -> None:
        tally = self._tally
        if answer.good:
            tally.answered += 1
        elif in_time:
            tally.lost += 1
            status = f"status {answer.parser.get_status_code()}" if answer.whole else fault
            tally.first_loss = tally.first_loss or status
        else:
            tally.late += 1


def _state(client: socket.socket) -> int:
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
