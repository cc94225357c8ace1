"""The stand-in crews: kickoff and status, tasks, events, chat."""

from collections.abc import AsyncIterator, Callable
from time import monotonic

import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web

from proxy.demo import agents as module


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def agents(address: Callable[[str], str]) -> str:
    return address("AGENTS")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed_agents(clock: Clock) -> AsyncIterator[str]:
    """The crews alone, on a clock that the test turns."""
    runner = web.AppRunner(module.application(clock))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_kickoff_is_accepted_and_finished_later(
    client: ClientSession, timed_agents: str, clock: Clock
) -> None:
    async with client.post(timed_agents + "/kickoff", json={"inputs": {}}) as response:
        assert response.status == 202
        place = (await response.json())["status_url"]
        assert response.headers["Location"] == place
    async with client.get(timed_agents + place) as response:
        assert (await response.json())["state"] == "RUNNING"
    clock.now += 2
    async with client.get(timed_agents + place) as response:
        status = await response.json()
    assert status["state"] == "SUCCESS"
    assert status["result"]


async def test_a_kickoff_that_never_was_is_404(client: ClientSession, agents: str) -> None:
    async with client.get(agents + "/status/none") as response:
        assert response.status == 404


@pytest.mark.parametrize("spelling", ["", "/"])
async def test_tasks_are_listed_with_and_without_a_slash(
    client: ClientSession, address: Callable[[str], str], spelling: str
) -> None:
    async with client.get(address("TASKS") + spelling) as response:
        assert [task["id"] for task in (await response.json())["tasks"]] == ["research", "draft"]


async def test_a_task_is_found_by_its_id(
    client: ClientSession, address: Callable[[str], str]
) -> None:
    async with client.get(address("TASKS") + "/draft") as response:
        assert (await response.json())["agent"] == "writer"
    async with client.get(address("TASKS") + "/none") as response:
        assert response.status == 404


async def test_five_events_come_one_by_one(client: ClientSession, agents: str) -> None:
    async with client.get(agents + "/chat/events") as response:
        assert response.content_type == "text/event-stream"
        lines = [(line, monotonic()) async for line in response.content]
    ids = [(int(line[4:]), when) for line, when in lines if line.startswith(b"id: ")]
    assert [number for number, _ in ids] == [1, 2, 3, 4, 5]
    assert ids[-1][1] - ids[0][1] >= 0.6  # 0.8 less what a busy machine bunches up


@pytest.mark.parametrize(("seen", "first"), [("3", 4), ("x", 1), ("²", 1)])
async def test_a_reader_that_comes_back_gets_the_rest(
    client: ClientSession, agents: str, seen: str, first: int
) -> None:
    headers = {"Last-Event-ID": seen}
    async with client.get(agents + "/chat/events", headers=headers) as response:
        assert await response.content.readline() == f"id: {first}\n".encode()


async def test_the_chat_sends_back_text_and_bytes(client: ClientSession, agents: str) -> None:
    async with client.ws_connect(agents + "/chat/ws/one", protocols=["x", "chat.v1"]) as chat:
        assert chat.protocol == "chat.v1"
        await chat.send_str("hello, 美")
        assert await chat.receive_str() == "hello, 美"
        await chat.send_bytes(b"\x00\xff")
        assert await chat.receive_bytes() == b"\x00\xff"


async def test_a_chat_without_a_subprotocol_opens_too(client: ClientSession, agents: str) -> None:
    async with client.ws_connect(agents + "/chat/ws/one") as chat:
        assert chat.protocol is None


async def test_the_forbidden_session_is_refused_before_the_upgrade(
    client: ClientSession, agents: str
) -> None:
    with pytest.raises(WSServerHandshakeError) as refusal:
        await client.ws_connect(agents + "/chat/ws/forbidden")
    assert refusal.value.status == 403
