"""What a guest must leave of its host: flags, modes, segment registers, and a C library that computes and copies as ever."""

from __future__ import annotations

import ctypes
import math
import struct

from bare import Routine

from jit import signals

_LOOK = """
        pushfq
        pop     rax
        mov     [rdi], rax
        stmxcsr [rdi + 8]
        fnstcw  [rdi + 12]
        fnstsw  [rdi + 14]
        mov     eax, ds
        mov     [rdi + 16], eax
        mov     eax, es
        mov     [rdi + 20], eax
        mov     eax, fs
        mov     [rdi + 24], eax
        mov     eax, gs
        mov     [rdi + 28], eax
        mov     eax, ss
        mov     [rdi + 32], eax
        mov     eax, cs
        mov     [rdi + 36], eax
        ret
"""
_NAMES = ("flags", "MXCSR", "x87 control word", "x87 status word", "DS", "ES", "FS", "GS", "SS", "CS")
_FLAGS = 0x3F_7700  # TF, IF, DF, IOPL, NT, RF, VM, AC, VIF, VIP, ID
_MODES = 0xFFC0  # of MXCSR; what is below are exceptions that the host has had itself


class Host:
    """The state of the calling thread between two guests, as it was at first."""

    def __init__(self) -> None:
        signals.this_thread()  # gives the thread's segment registers their values
        self._look = Routine(_LOOK)
        self._buffer = ctypes.create_string_buffer(40)
        self._first = self._state()

    def _state(self) -> tuple[int, ...]:
        self._look(ctypes.addressof(self._buffer))
        flags, mxcsr, *rest = struct.unpack("<QIHH6I", self._buffer.raw)
        return flags & _FLAGS, mxcsr & _MODES, *rest

    def disturbed(self) -> str:
        """What is not as it was, in words; empty if all is."""
        found = [
            f"{name} {now:#x} and not {then:#x}"
            for name, then, now in zip(_NAMES, self._first, self._state(), strict=True)
            if then != now
        ]
        if (math.fsum([0.1] * 10), (1 / 3).hex(), math.exp(1)) != (1.0, "0x1.5555555555555p-2", 2.718281828459045):
            found.append("arithmetic")
        if ctypes.c_longdouble(0.5).value != 0.5:
            found.append("x87 arithmetic")
        buffer = ctypes.create_string_buffer(bytes(range(256)) * 8)
        ctypes.memmove(ctypes.addressof(buffer) + 1, buffer, 2000)
        ctypes.memmove(buffer, ctypes.addressof(buffer) + 1, 2000)
        if buffer.raw[:2000] != (bytes(range(256)) * 8)[:2000]:
            found.append("copies of memory")
        return ", ".join(found)
