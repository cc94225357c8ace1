"""The end of the listener: what the kernel has queued is taken and served (row 31)."""

from __future__ import annotations

import asyncio
import errno
import socket

from proxy.config.models import Address
from proxy.server.listener import Listener, bind
from proxy.server.shutting import refuse_handshakes
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawClient, RecordingUpstream, request


async def second_listener(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> tuple[Gateway, socket.socket, Listener]:
    """Return a gateway, and a further socket and listener of it, which is not started."""
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    sock = await asyncio.to_thread(bind, Address("127.0.0.1", 0), "gateway.listen")
    return running, sock, Listener(running.host.server, sock, None)


async def test_forty_queued_connections_are_served_by_a_listener_that_stops(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running, sock, listener = await second_listener(gateway, upstream)  # not started: all wait
    for _ in range(40):
        opened = await asyncio.open_connection("127.0.0.1", listener.port)
        running.clients.append(RawClient(*opened))
        running.clients[-1].send(request("/api/brain/echo/"))
    sock.close()
    running.host.server.announce_end()
    await listener.stop()
    replies = await asyncio.gather(*(client.reply() for client in running.clients))
    assert [reply.status for reply in replies] == [200] * 40
    assert {reply.header("Connection") for reply in replies} == {"close"}


async def test_clients_that_connect_for_each_request_lose_none_when_it_stops(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    _, _, listener = await second_listener(gateway, upstream)
    await listener.start()
    answered = [0] * 16

    async def call(number: int) -> None:
        """Call until nobody lets us in: whoever is let in is answered."""
        while True:
            try:
                opened = await asyncio.open_connection("127.0.0.1", listener_port)
            except ConnectionRefusedError:
                return
            client = RawClient(*opened)
            client.send(request("/api/brain/echo/"))
            assert (await client.reply()).status == 200
            answered[number] += 1
            client.close()

    listener_port = listener.port
    callers = [asyncio.create_task(call(number)) for number in range(len(answered))]
    await asyncio.sleep(0.2)
    await listener.stop()
    await asyncio.gather(*callers)
    assert all(answered)


async def test_who_comes_after_the_last_handshake_is_not_let_in() -> None:
    listening = await asyncio.to_thread(bind, Address("127.0.0.1", 0), "gateway.listen")
    where = listening.getsockname()
    with listening, socket.create_connection(where) as early, socket.socket() as late:
        assert refuse_handshakes(listening)
        late.setblocking(False)
        late.connect_ex(where)
        early.sendall(b"here")
        await asyncio.sleep(0.05)
        taken, _ = listening.accept()
        with taken:
            assert taken.recv(4) == b"here", "who was connected goes on"
        assert late.connect_ex(where) == errno.EALREADY
