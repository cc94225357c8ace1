"""The end of the listener: what the kernel has queued is taken and served (row 31)."""

from __future__ import annotations

import asyncio

from proxy.config.models import Address
from proxy.server.listener import Listener, bind
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawClient, RecordingUpstream, request


async def test_forty_queued_connections_are_served_by_a_listener_that_stops(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    sock = await asyncio.to_thread(bind, Address("127.0.0.1", 0), "gateway.listen")
    listener = Listener(running.host.server, sock, None)  # not started: all of them wait
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
