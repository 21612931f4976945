"""Signals by number, and struct siginfo as a 32-bit process gets it (include/uapi/asm-generic/siginfo.h): 128 bytes, signal,
errno and code, then what belongs to the code."""

from __future__ import annotations

import struct
from typing import Final

SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE = 1, 2, 3, 4, 5, 6, 7, 8
SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT = 9, 10, 11, 12, 13, 14, 15, 16
SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU = 17, 18, 19, 20, 21, 22, 23, 24
SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS = 25, 26, 27, 28, 29, 30, 31
#: The first real-time signal, and the last one.
SIGRTMIN, SIGRTMAX = 32, 64

SI_USER, SI_KERNEL, SI_QUEUE, SI_TIMER, SI_TKILL = 0, 0x80, -1, -2, -6
CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED = 1, 2, 3, 4, 5, 6

INFO_BYTES: Final = 128
_HEAD: Final = struct.Struct("<iii")


def bit(number: int) -> int:
    """A signal's bit in a mask."""
    return 1 << number - 1


#: What happens without a handler (signal(7)): nothing; a stop; for all others the end of the process.
IGNORED: Final = frozenset({SIGCHLD, SIGCONT, SIGURG, SIGWINCH})
STOPPING: Final = frozenset({SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU})
STOPPING_BITS: Final = sum(map(bit, STOPPING))
#: Those that nobody can block.
UNBLOCKABLE: Final = bit(SIGKILL) | bit(SIGSTOP)
#: What comes of an instruction, and is delivered before everything else (SYNCHRONOUS_MASK).
SYNCHRONOUS: Final = sum(map(bit, (SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS)))


def pack(number: int, code: int, fields: bytes = b"", *, error: int = 0) -> bytes:
    """A siginfo with these fields behind the code."""
    return (_HEAD.pack(number & 0x7F, error, code) + fields).ljust(INFO_BYTES, b"\0")


def of_sender(number: int, code: int, pid: int, uid: int) -> bytes:
    """kill and tkill."""
    return pack(number, code, struct.pack("<II", pid, uid))


def of_fault(number: int, code: int, address: int) -> bytes:
    """An instruction's."""
    return pack(number, code, struct.pack("<I", address))


def of_child(code: int, pid: int, uid: int, status: int, *, number: int = SIGCHLD) -> bytes:
    """SIGCHLD: what has become of a child. Of its processor time nothing is told."""
    return pack(number, code, struct.pack("<IIi", pid, uid, status))


def of_timer(number: int, timer: int, overruns: int, value: int) -> bytes:
    """timer_create's; ``value``: sigev_value."""
    return pack(number, SI_TIMER, struct.pack("<iiI", timer, overruns, value))


def code(info: bytes) -> int:
    """si_code."""
    return int(_HEAD.unpack_from(info)[2])


def made_up(info: bytes, number: int) -> bytes:
    """A siginfo that comes from a guest, for the signal ``number``: what its code has no use for is zero (siginfo_layout)."""
    found = code(info)
    used = 8 if found == SI_USER or found >= SI_KERNEL else 12 if found < 0 else 20
    return pack(number, found, info[12 : 12 + used], error=_HEAD.unpack_from(info)[1])
