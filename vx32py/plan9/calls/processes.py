"""Processes: rfork, exits, wait, sleep, error strings, time (/sys/src/9/port/sysproc.c)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from vx32py._wait import WouldBlock
from vx32py.plan9 import forking
from vx32py.plan9.calls.table import call
from vx32py.plan9.ending import take_message
from vx32py.plan9.errors import ERRMAX, Ebadarg, Enochild, Error
from vx32py.plan9.quoting import cut, quote

if TYPE_CHECKING:
    from vx32py.plan9.ending import WaitMessage
    from vx32py.plan9.proc import Proc

#: The error buffer of programs before the fourth edition.
_OLD_ERRLEN: Final = 64
#: struct OWaitmsg: the same, for whom the kernel writes texts of fixed sizes.
_OLD_WAIT: Final = struct.Struct("12s12s12s12s64s")
_SIGN: Final = 0x8000_0000


@call(0, "sysr1")
def sysr1(proc: Proc) -> None:
    """Nothing."""


@call(8, "exits")
def exits(proc: Proc, status: int) -> int:
    """End, with a status."""
    text = ""
    if status:
        from reference.errors import MemoryFault

        try:
            text = _status(proc, status)
        except MemoryFault:
            text = "invalid exit string"
    proc.end(text)


def _status(proc: Proc, address: int) -> str:
    """A string of a process's, or the first bytes of it. Raises MemoryFault."""
    try:
        found = proc.memory.read_string(address, most=ERRMAX)
    except ValueError:
        found = proc.memory.read(address, ERRMAX - 1)
    return found.decode(errors="surrogateescape")


@call(19, "rfork")
def rfork(proc: Proc, flags: int) -> int:
    """A new process, or groups of its own."""
    return forking.rfork(proc, flags)


@call(47, "await")
def await_(proc: Proc, buffer: int, size: int) -> int:
    """Wait for a child: a line about it, as long as there is room; how long that is."""
    proc.memory.check(buffer, size, writable=True)
    message = _next_message(proc)
    times = " ".join(str(each) for each in message.times)
    line = f"{message.pid} {times} {quote(message.text)}".encode(errors="surrogateescape")
    line = cut(line, max(size - 1, 0))
    proc.memory.write(buffer, (line + b"\0")[:size])
    take_message(proc)
    return len(line)


@call(36, "_wait")
def old_wait(proc: Proc, buffer: int) -> int:
    """The same for old programs: the child's number."""
    if buffer:
        proc.memory.check(buffer, _OLD_WAIT.size, writable=True)
    message = _next_message(proc)
    if buffer:
        numbers = [f"{each:>11} ".encode() for each in (message.pid, *message.times)]
        text = message.text.encode(errors="surrogateescape")[:63]
        proc.memory.write(buffer, _OLD_WAIT.pack(*numbers, text))
    take_message(proc)
    return message.pid


def _next_message(proc: Proc) -> WaitMessage:
    """About the child that has ended first of those that nobody has waited for. Raises Error."""
    if not proc.wait_queue:
        if not proc.child_count:
            raise Error(Enochild)
        raise WouldBlock(lambda: bool(proc.wait_queue))
    return proc.wait_queue[0]


@call(17, "sleep")
def sleep(proc: Proc, milliseconds: int) -> None:
    """Let time pass; none is to let others run."""
    if milliseconds == 0 or milliseconds & _SIGN:
        proc.end_turn()
    else:
        proc.pause(milliseconds / 1000)


@call(41, "errstr")
def errstr(proc: Proc, buffer: int, size: int) -> None:
    """Exchange a buffer and the error string."""
    _exchange_error(proc, buffer, size)


@call(1, "_errstr")
def old_errstr(proc: Proc, buffer: int) -> None:
    """The same for old programs."""
    _exchange_error(proc, buffer, _OLD_ERRLEN)


def _exchange_error(proc: Proc, buffer: int, size: int) -> None:
    if size == 0:
        raise Error(Ebadarg)
    proc.memory.check(buffer, size, writable=True)
    size = min(size, ERRMAX)
    new = proc.memory.read(buffer, size - 1).split(b"\0")[0]
    old = cut(proc.error.encode(errors="surrogateescape"), size - 1)
    proc.memory.write(buffer, old + bytes(size - len(old)))
    proc.error = new.decode(errors="surrogateescape")


@call(53, "nsec", native="plan9_nsec")
def nsec(proc: Proc, address: int) -> None:
    """Nanoseconds since the epoch."""
    proc.memory.write_u64(address, proc.clock.realtime())
