"""ioctl: terminals, and what goes for every descriptor.

What the host's terminal is like a guest may ask. Its settings it may change where the sandbox grants the terminal
(``Sandbox(terminal=True)``). To put characters into its input (TIOCSTI), to take it away from the host's processes
(TIOCSCTTY, TIOCNOTTY) or to resize it a guest is never allowed. Process groups are the guest's own affair: which one is in
the foreground says who gets what the terminal sends (``Process.send_signal``), and the host's is never changed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._errors import CallError
from vx32py._hostfile import HOST_ERRORS
from vx32py.personality.linux.control import O_ASYNC
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._process import Process

#: include/uapi/asm-generic/ioctls.h.
TCGETS, TCSETS, TCSETSW, TCSETSF, TCSBRK, TCXONC, TCFLSH = 0x5401, 0x5402, 0x5403, 0x5404, 0x5409, 0x540A, 0x540B
TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCSTI = 0x540E, 0x540F, 0x5410, 0x5411, 0x5412
TIOCGWINSZ, TIOCSWINSZ, FIONREAD, FIONBIO, TIOCNOTTY, TIOCGSID = 0x5413, 0x5414, 0x541B, 0x5421, 0x5422, 0x5429
FIONCLEX, FIOCLEX, FIOASYNC, TCSBRKP = 0x5450, 0x5451, 0x5452, 0x5425
#: struct termios of the kernel, here and on i386: four words of flags, the line discipline, 19 characters.
TERMIOS: Final = struct.Struct("<IIIIB19s")
_WINDOW: Final = struct.Struct("<HHHH")


@call(54, "ioctl")
def ioctl(process: Process, fd: int, request: int, argument: int) -> int:
    """What goes for every descriptor, and what goes for terminals."""
    file, descriptors = process.descriptors.get(fd), process.descriptors
    if request in (FIOCLEX, FIONCLEX):
        (descriptors.close_on_exec.add if request == FIOCLEX else descriptors.close_on_exec.discard)(fd)
        return 0
    if request == FIONBIO:
        nonblocking = process.memory.read_u32(argument)
        file.flags = file.flags & ~os.O_NONBLOCK | (os.O_NONBLOCK if nonblocking else 0)
        return 0
    if request == FIOASYNC:
        # fs/ioctl.c, ioctl_fioasync: SIGIO, which nobody sends here, for what can send it; others cannot change the flag.
        wanted = O_ASYNC if process.memory.read_u32(argument) else 0
        if wanted != file.flags & O_ASYNC and not (_can_notify(file.status().mode) or file.is_terminal()):
            raise CallError(errno.ENOTTY)
        file.flags = file.flags & ~O_ASYNC | wanted
        return 0
    if request == FIONREAD:
        process.memory.check(argument, 4, writable=True)
        process.memory.write_u32(argument, min(file.available(), 0x7FFF_FFFF))
        return 0
    host = file.host_descriptor()
    if host is None or not file.is_terminal():
        raise CallError(errno.ENOTTY)
    with HOST_ERRORS:
        _terminal(process, host, request, argument)
    return 0


def _can_notify(mode: int) -> bool:
    return stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)


def _terminal(process: Process, host: int, request: int, argument: int) -> None:
    """A request about a terminal of the host. Raises CallError and OSError."""
    memory = process.memory
    match request:
        case 0x5401:  # TCGETS
            memory.write(argument, fcntl.ioctl(host, TCGETS, bytes(TERMIOS.size)))
        case 0x5402 | 0x5403 | 0x5404:  # TCSETS, TCSETSW, TCSETSF
            _set(process, host, request, memory.read(argument, TERMIOS.size))
        case 0x5409 | 0x540A | 0x540B | 0x5425:  # TCSBRK, TCXONC, TCFLSH, TCSBRKP
            _require_grant(process)
            if request in (TCSBRK, TCSBRKP) and (not argument or request == TCSBRKP):
                raise CallError(errno.EPERM)  # a break, which takes a quarter of a second and more
            if request == TCXONC and argument not in (1, 3):
                raise CallError(errno.EPERM)  # to stop what everybody writes
            if request != TCSBRK:  # which waits until all has been written
                fcntl.ioctl(host, request, argument)
        case 0x5411:  # TIOCOUTQ
            memory.write(argument, fcntl.ioctl(host, TIOCOUTQ, bytes(4)))
        case 0x5413:  # TIOCGWINSZ
            memory.write(argument, fcntl.ioctl(host, TIOCGWINSZ, bytes(_WINDOW.size)))
        case 0x540F:  # TIOCGPGRP
            memory.write_u32(argument, process.family.foreground)
        case 0x5429:  # TIOCGSID
            memory.write_u32(argument, process.group.sid)
        case 0x5410:  # TIOCSPGRP
            _set_foreground(process, memory.read_u32(argument))
        case 0x540E | 0x5422 | 0x5412 | 0x5414:  # TIOCSCTTY, TIOCNOTTY, TIOCSTI, TIOCSWINSZ
            raise CallError(errno.EPERM)
        case _:
            raise CallError(errno.ENOTTY)


def _require_grant(process: Process) -> None:
    if not process.sandbox.terminal:
        raise CallError(errno.EPERM)


def _set_foreground(process: Process, pgid: int) -> None:
    """Which process group gets the signals of the terminal: one of the caller's session."""
    if signed(pgid) < 0:
        raise CallError(errno.EINVAL)
    members = [group for group in process.family.processes.values() if group.pgid == pgid]
    if not members:
        raise CallError(errno.ESRCH)
    if members[0].sid != process.group.sid:
        raise CallError(errno.EPERM)
    process.family.foreground = pgid


def _set(process: Process, host: int, request: int, new: bytes) -> None:
    """Change a terminal's settings; the host's own job control is kept out of it: nobody is stopped for that."""
    _require_grant(process)
    when = {TCSETS: termios.TCSANOW, TCSETSW: termios.TCSANOW, TCSETSF: termios.TCSAFLUSH}[request]
    iflag, oflag, cflag, lflag, _line, characters = TERMIOS.unpack(new)
    settings = termios.tcgetattr(host)
    settings[:4] = [iflag, oflag, cflag, lflag]
    for index, character in enumerate(characters[: len(settings[6])]):
        settings[6][index] = bytes([character])
    if not lflag & termios.ICANON:  # these two are numbers then
        settings[6][termios.VMIN] = characters[termios.VMIN]
        settings[6][termios.VTIME] = characters[termios.VTIME]
    termios.tcsetattr(host, when, settings)
