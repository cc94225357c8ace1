"""Spans on their way to a collector: in batches, bounded, and never in anybody's way."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from plugin_kit import Kit, finish, request_of

from plugins.tracing import exporter as exporting
from plugins.tracing.exporter import Exporter
from plugins.tracing.record import Record, Trace, record_of
from plugins.tracing.sender import Loss
from plugins.tracing.spans import Span
from proxy import EXCHANGE

LOGGER = logging.getLogger("brain.plugin.test")


@dataclass
class Scripted:
    """A collector in a thread that answers what the test says, and can be held."""

    place: str = "http://collector.test/v1/traces"
    says: str | None = None
    sent: list[list[Span]] = field(default_factory=list)
    may_go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def send(self, spans: Sequence[Span]) -> Loss | None:
        self.begun.set()
        self.may_go.wait(10)
        if self.says is None:
            self.sent.append(list(spans))
            return None
        return Loss(len(spans), self.says)

    def give_up(self) -> None:
        self.may_go.set()

    def close(self) -> None:
        self.closed.set()


@dataclass
class Counted:
    value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


def record() -> Record:
    exchange = request_of()[EXCHANGE]
    finish(exchange, status=200, head_sent=0.1, ended=0.1)
    return record_of(exchange, Trace("a" * 32, None, "c" * 16, "d" * 16, ""))


@pytest.fixture
def collector() -> Scripted:
    made = Scripted()
    made.may_go.set()
    return made


@pytest.fixture
def dropped() -> Counted:
    return Counted()


@pytest.fixture
async def make(collector: Scripted, dropped: Counted) -> AsyncIterator[Callable[..., Exporter]]:
    made: list[Exporter] = []

    def build(bound: int = exporting.BOUND) -> Exporter:
        made.append(Exporter(lambda: collector, dropped, LOGGER, bound))
        return made[-1]

    yield build
    for each in made:
        each.close()
        await asyncio.to_thread(each._sender._thread.join, 5)
        assert not each._sender._thread.is_alive()


async def test_what_was_taken_is_sent_in_one_batch(
    make: Callable[..., Exporter], collector: Scripted
) -> None:
    exporter = make()
    await exporter.open()
    for _ in range(3):
        exporter.add(record())
    assert collector.sent == []
    await exporter.flush()
    assert [len(batch) for batch in collector.sent] == [3]


async def test_a_batch_goes_without_being_asked(
    make: Callable[..., Exporter], collector: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAUSE", 0.01)
    exporter = make()
    await exporter.open()
    exporter.add(record())
    async with asyncio.timeout(5):
        while not collector.sent:
            await asyncio.sleep(0.005)


async def test_a_full_batch_waits_for_nothing_and_is_sent_in_parts(
    make: Callable[..., Exporter], collector: Scripted
) -> None:
    exporter = make()
    await exporter.open()
    for _ in range(exporting.BATCH):
        exporter.add(record())
    assert exporter._timer is None
    for _ in range(exporting.BATCH - 1):
        exporter.add(record())
    await exporter.flush()
    assert sum(len(batch) for batch in collector.sent) == 2 * exporting.BATCH - 1
    assert max(len(batch) for batch in collector.sent) <= exporting.BATCH


async def test_what_is_over_the_bound_is_dropped_counted_and_told_once(
    make: Callable[..., Exporter],
    collector: Scripted,
    dropped: Counted,
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector.may_go.clear()
    exporter = make(bound=10)
    await exporter.open()
    for _ in range(15):
        exporter.add(record())
    assert dropped.value == 5
    assert [each.message for each in caplog.records] == [
        "10 spans wait to be exported: further ones are dropped, and counted"
    ]
    collector.may_go.set()
    await exporter.flush()
    assert len(collector.sent[0]) == 10
    exporter.add(record())
    await exporter.flush()
    assert dropped.value == 5


async def test_an_outage_is_told_when_it_begins_and_when_it_ends(
    make: Callable[..., Exporter],
    collector: Scripted,
    dropped: Counted,
    caplog: pytest.LogCaptureFixture,
) -> None:
    exporter = make()
    await exporter.open()
    collector.says = "connection refused"
    for _ in range(3):
        exporter.add(record())
        await exporter.flush()
    collector.says = None
    for _ in range(2):
        exporter.add(record())
        await exporter.flush()
    assert dropped.value == 3
    place = collector.place
    assert [each.message for each in caplog.records] == [
        f"spans can't be exported to {place} and are lost: connection refused",
        "spans are exported again, 3 were lost",
    ]


async def test_a_library_that_fails_ends_nothing(
    make: Callable[..., Exporter],
    collector: Scripted,
    dropped: Counted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter = make()
    await exporter.open()
    with monkeypatch.context() as broken:
        broken.setattr(Scripted, "send", lambda self, spans: 1 / 0)
        exporter.add(record())
        await exporter.flush()
    exporter.add(record())
    await exporter.flush()
    assert dropped.value == 1
    assert len(collector.sent) == 1


async def test_an_exchange_that_no_span_can_be_made_of_costs_no_other(
    make: Callable[..., Exporter], collector: Scripted, dropped: Counted
) -> None:
    exporter = make()
    await exporter.open()
    odd = record()
    odd.ended = "never"  # type: ignore[assignment]
    for each in (record(), odd, record()):
        exporter.add(each)
    await exporter.flush()
    assert [len(batch) for batch in collector.sent] == [2]
    assert dropped.value == 1
    assert exporter._sender.done == 3


async def test_a_collector_that_hangs_holds_up_no_end(
    make: Callable[..., Exporter],
    collector: Scripted,
    dropped: Counted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "_FLUSH", 0.05)
    collector.may_go.clear()
    exporter = make()
    await exporter.open()
    exporter.add(record())
    async with asyncio.timeout(2):
        await exporter.flush()
    exporter.add(record())
    exporter.close()
    await asyncio.to_thread(exporter._sender._thread.join, 5)
    assert collector.closed.is_set()
    assert dropped.value == 1, "what waited is counted; what was under way was let go"


async def test_an_exporter_that_was_never_opened_can_be_closed(
    make: Callable[..., Exporter],
) -> None:
    exporter = Exporter(lambda: Scripted(), Counted(), LOGGER)
    await exporter.flush()
    exporter.close()


async def test_equal_settings_share_one_exporter_and_others_do_not(kit: Kit) -> None:
    from plugins.tracing import Tracing

    options = {"export": "otlp", "endpoint": "http://127.0.0.1:9"}
    first = await kit.run(Tracing, options)
    same = await kit.run(Tracing, options)
    other = await kit.run(Tracing, {**options, "headers": {"Authorization": "secret"}})
    assert first._exporter is same._exporter
    assert first._exporter is not other._exporter
    assert "secret" not in repr(kit._shared)
