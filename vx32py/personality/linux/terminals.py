"""ioctl: terminals, and what goes for every descriptor."""

from __future__ import annotations

import errno
import os
import struct
import termios
from typing import TYPE_CHECKING

from vx32py._errors import CallError
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._process import Process

TCGETS, TIOCGWINSZ, FIONBIO = 0x5401, 0x5413, 0x5421


@call(54, "ioctl")
def ioctl(process: Process, fd: int, request: int, argument: int) -> int:
    """What C libraries ask to know whether a stream is a terminal. A guest cannot change the host's terminal."""
    file = process.descriptors.get(fd)
    if request == FIONBIO:
        nonblocking = process.memory.read_u32(argument)
        file.flags = file.flags & ~os.O_NONBLOCK | (os.O_NONBLOCK if nonblocking else 0)
        return 0
    host = file.host_descriptor()
    if host is None or not file.is_terminal():
        raise CallError(errno.ENOTTY)
    if request == TCGETS:
        iflag, oflag, cflag, lflag, _ispeed, _ospeed, characters = termios.tcgetattr(host)
        control = b"".join(c if isinstance(c, bytes) else bytes([c]) for c in characters)[:19]
        process.memory.write(argument, struct.pack("<IIIIB19s", iflag, oflag, cflag, lflag, 0, control))
        return 0
    if request == TIOCGWINSZ:
        size = os.get_terminal_size(host)
        process.memory.write(argument, struct.pack("<HHHH", size.lines, size.columns, 0, 0))
        return 0
    raise CallError(errno.ENOTTY)
