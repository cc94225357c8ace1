"""Run a command that does not outlive the process that started it, however that one ends.

`python leash.py COMMAND ARGUMENT…` becomes the command, under the same process id. Its standard input
is a pipe that the owner holds open: with the owner's end, of SIGKILL too, the pipe is closed, and the
command is killed. Started in a session of its own it does not hear Ctrl-C, so that the owner ends it
when it has done with it. It stands alone, so that its start costs no more than Python's own.
"""

import os
import signal
import sys


def main(command: list[str]) -> None:
    """Leave a watcher behind and become `command`, whose path is absolute."""
    watched = os.getpid()
    nothing = os.open(os.devnull, os.O_RDWR)
    if os.fork() == 0:
        # Who reads what the command says sees its end when the command ends, not when we do.
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        _watch(watched)
        os._exit(0)
    os.dup2(nothing, 0)
    os.execv(command[0], command)  # noqa: S606  what its owner would start itself


def _watch(watched: int) -> None:
    while os.read(0, 4096):
        pass
    # Another process may have the number by now; whose child we are does not lie.
    if os.getppid() == watched:
        os.kill(watched, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
