"""From the loop to the disk: in order, bounded, and following a rotated file."""

import logging
import os
from pathlib import Path

import pytest
from plugin_kit import Kit

from plugins.access_log import AccessLog
from plugins.access_log.sink import Sink
from plugins.access_log.writer import STREAMS
from proxy.plugin.metrics import MetricRegistry

LOGGER = logging.getLogger("brain.plugin.access-log")


class Counted:
    """Counts as a metric does."""

    def __init__(self) -> None:
        self.total = 0.0

    def inc(self, amount: float = 1) -> None:
        self.total += amount


async def test_lines_keep_their_order(tmp_path: Path) -> None:
    sink = Sink(str(tmp_path / "log"), Counted(), LOGGER)
    await sink.open()
    for number in range(1000):
        sink.write(b"%d\n" % number)
        if number % 100 == 0:
            await sink.flush()
    await sink.flush()
    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(1000)]
    sink.close()


async def test_a_renamed_file_is_opened_anew(tmp_path: Path) -> None:
    file = tmp_path / "log"
    sink = Sink(str(file), Counted(), LOGGER)
    await sink.open()
    sink.write(b"before\n")
    await sink.flush()
    file.rename(tmp_path / "log.1")
    sink.write(b"after\n")
    await sink.flush()
    assert (tmp_path / "log.1").read_text() == "before\n"
    assert file.read_text() == "after\n"
    sink.close()


async def test_a_file_is_appended_to(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("earlier\n")
    sink = Sink(str(file), Counted(), LOGGER)
    await sink.open()
    sink.write(b"later\n")
    await sink.flush()
    assert file.read_text() == "earlier\nlater\n"
    sink.close()


async def test_more_than_the_bound_is_dropped_counted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dropped = Counted()
    sink = Sink(str(tmp_path / "log"), dropped, LOGGER, bound=20)
    await sink.open()
    for _ in range(5):
        sink.write(b"ten bytes\n")
    await sink.flush()
    assert (tmp_path / "log").read_text() == "ten bytes\n" * 2
    assert dropped.total == 3
    sink.write(b"ten bytes\n")
    await sink.flush()
    assert [record.getMessage() for record in caplog.records] == [
        f"access log {tmp_path / 'log'} drops lines: it is written too slowly",
        f"access log {tmp_path / 'log'} is written again, 3 lines were dropped",
    ]
    sink.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
async def test_a_full_disk_loses_lines_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    dropped = Counted()
    sink = Sink("/dev/full", dropped, LOGGER)
    await sink.open()
    sink.write(b"lost\n")
    await sink.flush()
    assert dropped.total == 1
    assert "No space left" in caplog.text
    sink.close()


async def test_a_folder_that_vanished_loses_lines_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    dropped = Counted()
    sink = Sink(str(folder / "log"), dropped, LOGGER)
    await sink.open()
    (folder / "log").unlink()
    folder.rmdir()
    sink.write(b"lost\n")
    await sink.flush()
    folder.mkdir()
    sink.write(b"kept\n")
    await sink.flush()
    assert dropped.total == 1
    assert (folder / "log").read_text() == "kept\n"
    sink.close()


async def test_a_pipe_that_does_not_block_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    monkeypatch.setitem(STREAMS, "p", writer)
    sink = Sink("p", Counted(), LOGGER)
    await sink.open()
    wanted = 1024 * 1024
    sink.write(b"x" * wanted)
    sink.close()
    read = 0
    while read < wanted:
        read += len(os.read(reader, 65536))
    sink._writer._thread.join(5)
    os.close(reader)
    os.close(writer)
    assert read == wanted


async def test_drops_are_a_metric_of_the_process(kit: Kit, tmp_path: Path) -> None:
    registry: MetricRegistry = kit.registry
    await kit.run(AccessLog, {"file": str(tmp_path / "log")})
    await kit.run(AccessLog, {"file": str(tmp_path / "log")})
    assert b"brain_access_log_dropped_total 0.0" in registry.expose()[0]
