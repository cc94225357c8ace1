"""A listening socket that lets nobody new in, and loses nobody who is in.

Closing a listening socket resets whatever its queue holds, and a handshake may end between the last
look at the queue and the close: such a client was told that it is connected, and has sent its request.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h

_FLAGS_AT = 13
_SYN = 0x02
_PROGRAM = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _FLAGS_AT),  # load the byte of the flags in the TCP header
        (0x45, 0, 1, _SYN),  # is SYN among them?
        (0x06, 0, 0, 0),  # yes: drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # no: keep all of it
    )
)
"""Classic BPF (socket(7), SO_ATTACH_FILTER): code, jump if true, jump if false, operand."""


def refuse_handshakes(listening: socket.socket) -> bool:
    """Drop the first packet of every further handshake; those under way still end.

    A client's kernel repeats it after a second, when nobody listens any more, and is then refused
    before a byte of a request was sent. Return False where the system has no such filter.
    """
    if sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    count = len(_PROGRAM) // struct.calcsize("HBBI")
    described = struct.pack("HP", count, ctypes.addressof(program))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    except OSError:
        return False
    return True
