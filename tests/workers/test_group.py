"""The sockets of a group, and the questions that are put to all workers."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from proxy.config.models import Address, Gateway, ServerLimits
from proxy.control import of_all
from proxy.errors import ConfigError
from proxy.runtime.crew import Answered, Asked
from proxy.server.listener import bind, bind_group

HERE = Address("127.0.0.1", 0)


def test_a_group_has_one_port_and_a_queue_for_each() -> None:
    group = bind_group(HERE, "gateway.listen", 4)
    try:
        assert len({sock.getsockname() for sock in group}) == 1
        assert len({sock.fileno() for sock in group}) == 4
        clients = [socket.create_connection(group[0].getsockname()) for _ in range(60)]
        queued = [_take(sock) for sock in group]
        assert sum(queued) == 60
        assert all(queued), "the kernel shares them out"
        for client in clients:
            client.close()
    finally:
        for sock in group:
            sock.close()


def _take(listening: socket.socket) -> int:
    count = 0
    while True:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


@pytest.mark.parametrize("first", [1, 2])
def test_a_port_on_which_another_listens_is_refused(first: int) -> None:
    """Also to another group, with which the kernel would share the connections out."""
    taken = bind_group(HERE, "gateway.listen", first) if first > 1 else [bind(HERE, "x")]
    port = taken[0].getsockname()[1]
    try:
        with pytest.raises(ConfigError, match=r"gateway\.listen: .* the port is in use"):
            bind_group(Address("127.0.0.1", port), "gateway.listen", 2)
    finally:
        for sock in taken:
            sock.close()


def test_without_so_reuseport_several_workers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(ConfigError, match="no SO_REUSEPORT") as refused:
        bind_group(HERE, "gateway.listen", 2)
    assert refused.value.hint == "set gateway.workers to 1"


def test_workers_share_bounds_out_and_round_them_up() -> None:
    limits = ServerLimits(connections=100, in_flight=10, per_address=50)
    assert Gateway(limits=limits).limits_of_one is limits
    shared = Gateway(limits=limits, workers=3).limits_of_one
    assert (shared.connections, shared.in_flight, shared.per_address) == (34, 4, 50)
    assert Gateway(workers=3).limits_of_one.in_flight is None


@pytest.mark.parametrize(
    ("answers", "status", "body"),
    [
        ([Answered(0, 404, 0), Answered(1, 200, 1)], 200, [0, 1, "r1"]),
        ([Answered(0, 404, 0), Answered(1, 404, 1)], 404, [0, 1, "r1"]),
        ([Answered(0, 200, 0), Answered(1, 400, {"error": "no"})], 400, {"error": "no"}),
        ([], 503, {"error": "no worker answers"}),
    ],
)
async def test_a_worker_that_knows_is_enough_for_all(
    answers: list[Answered], status: int, body: Any
) -> None:
    asked: list[Any] = []

    class Crew:
        async def ask(self, *about: Any) -> list[Answered]:
            asked.append(about)
            return list(answers)

    request = make_mocked_request("GET", "/why/r1?full=1", match_info={"id": "r1"})

    def merge(bodies: list[Any], about: Asked) -> Any:
        return [*bodies, about["id"]]

    response = await of_all(Crew(), "why", merge)(request)  # type: ignore[arg-type]
    assert asked == [("why", {"full": "1", "id": "r1"})]
    assert (response.status, json.loads(response.body)) == (status, body)
