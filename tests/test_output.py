"""Lines of several processes and threads on one pipe: none is torn."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

WRITE = """
import sys, threading
from proxy.output import write_lines
def write(letter):
    for _ in range(60):
        write_lines(1, letter.encode() * 9000 + b"\\n")  # longer than a pipe takes in one piece
threads = [threading.Thread(target=write, args=(letter,)) for letter in sys.argv[1]]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.timeout(60)
def test_no_line_gets_into_the_middle_of_another() -> None:
    reading, writing = os.pipe()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, letters],
            stdout=writing,
            env={**os.environ, "BRAIN_WORKER": str(index)},
        )
        for index, letters in enumerate(("ab", "cd", "ef"))
    ]
    os.close(writing)
    found = bytearray()

    def read() -> None:
        while piece := os.read(reading, 4096):
            found.extend(piece)
            time.sleep(0.0002)  # slowly: the pipe is full most of the time

    reader = threading.Thread(target=read)
    reader.start()
    assert [writer.wait(50) for writer in writers] == [0, 0, 0]
    reader.join()
    os.close(reading)
    lines = found.decode().splitlines()
    assert len(lines) == 6 * 60
    assert all(line == line[0] * 9000 for line in lines)


def test_a_killed_process_takes_no_lock_along() -> None:
    """Else one worker's death would silence all others."""
    reading, writing = os.pipe()
    hold = (
        "import fcntl, os, time\nfcntl.lockf(1, fcntl.LOCK_EX); os.write(1, b'.'); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=writing)
    assert os.read(reading, 1) == b"."
    one = "from proxy.output import write_lines; write_lines(1, b'here')"
    waiting = subprocess.Popen(
        [sys.executable, "-c", one], stdout=writing, env={**os.environ, "BRAIN_WORKER": "0"}
    )
    time.sleep(0.5)
    assert waiting.poll() is None, "it waits for the lock"
    holder.kill()
    holder.wait()
    assert waiting.wait(20) == 0
    assert os.read(reading, 10) == b"here"
    os.close(reading)
    os.close(writing)
