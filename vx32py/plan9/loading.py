"""Loading: where a program's segments go, and what it finds on its stack (/sys/src/9/port/sysproc.c, sysexec).

At the top of the stack is the Tos structure, whose address is in EAX at the beginning; below it the strings of the arguments,
their addresses and a zero, and argc, where ESP points to.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from reference.memory import page_floor
from vx32py import _loader
from vx32py._errors import BadImage, LimitExceeded
from vx32py._loader import Layout
from vx32py.plan9.aout import STACK_TOP, TEXT, Program
from vx32py.plan9.errors import Enovmem, Error
from vx32py.plan9.segments import Segment, Size

if TYPE_CHECKING:
    from reference.engine import Engine

MIB: Final = 1 << 20
#: USTKSIZE; less where there is little memory.
STACK_SIZE: Final = 16 * MIB
#: The arguments may take so much of the stack (TSTKSIZ pages of 4 KiB).
MOST_ARGUMENTS: Final = 100 * 4096
#: So much of the arguments others are shown.
MOST_SHOWN: Final = 4096
#: struct Tos (/sys/include/tos.h): profiling (pp, next, last, first, pid, what), cyclefreq, kcycles, pcycles, pid, clock.
TOS: Final = struct.Struct("<6IQqqII")
#: The frequency of the cycle counter that programs are told; it counts nanoseconds where the policy says so.
CYCLE_FREQUENCY: Final = 1_000_000_000
#: Where the process's number is in it.
TOS_PID: Final = TOS.size - 8


def stack_size(budget: int) -> int:
    """How large the stack of a process is that may have so much memory."""
    return max(_loader.STACK_LEAST, min(STACK_SIZE, page_floor(budget // 4)))


def plan(program: Program, budget: int) -> Layout:
    """Where things go, with ``budget`` bytes of memory. The stack ends at 0x40000000, or lower where there is less memory
    than that: small address spaces can be placed more freely. Raises LimitExceeded, BadImage."""
    end = program.header.end
    stack = stack_size(budget)
    needed = end - TEXT + stack
    if needed > budget:
        raise LimitExceeded(
            "memory", f"the program needs {end - TEXT:#x} bytes and its stack {stack:#x}, but memory is limited to {budget:#x}"
        )  # fmt: skip
    limit = min(STACK_TOP, -(-(end + budget + stack) // MIB) * MIB)
    if limit - stack - 4096 < end:
        raise BadImage(f"the program ends at {end:#x}, which leaves no room for a stack below {limit:#x}")
    return Layout(limit, limit - stack, limit, end, limit - stack, limit - stack, "linux")


def needed(program: Program, layout: Layout) -> int:
    """How many bytes a process needs that begins with a program: its file, its segments, its stack."""
    return len(program.data) + program.header.end - TEXT + layout.stack_end - layout.stack_start


def shown(words: list[bytes]) -> list[bytes]:
    """Of the arguments of a process what is kept, to be shown to others."""
    kept, left = [], MOST_SHOWN
    for word in words:
        if left <= 0:
            break
        kept.append(word[:left])
        left -= len(word) + 1
    return kept


def segments_of(program: Program, layout: Layout) -> list[Segment]:
    """The segments that a program begins with."""
    header = program.header
    return [
        Segment("Stack", layout.stack_start, Size(layout.stack_end)),
        Segment("Text", TEXT, Size(header.data_start)),
        Segment("Data", header.data_start, Size(header.bss_start)),
        Segment("Bss", header.bss_start, Size(header.end)),
    ]


def stack_of(layout: Layout, arguments: list[bytes], pid: int) -> tuple[int, bytes]:
    """What is at the top of the stack: from which address on, and the bytes. Raises Error."""
    strings = b"".join(argument + b"\0" for argument in arguments)
    nbytes = len(strings) + TOS.size
    size = 4 * (len(arguments) + 1) + (nbytes + 3 & ~3)
    if size + 4 & 7:
        size += 4
    if size > min(MOST_ARGUMENTS, (layout.stack_end - layout.stack_start) // 2):
        raise Error(Enovmem)
    top = layout.stack_end
    address, addresses = top - nbytes, []
    for argument in arguments:
        addresses.append(address)
        address += len(argument) + 1
    words = struct.pack(f"<{len(arguments) + 2}I", len(arguments), *addresses, 0)
    tos = TOS.pack(0, 0, 0, 0, 0, 0, CYCLE_FREQUENCY, 0, 0, pid, 0)
    return top - size - 4, words + bytes(size + 4 - len(words) - nbytes) + strings + tos


def begin(engine: Engine, program: Program, layout: Layout, arguments: list[bytes], pid: int) -> None:
    """Load a program into an address space of that layout, and set the registers to its beginning. Raises LimitExceeded,
    Error."""
    esp, content = stack_of(layout, arguments, pid)
    _loader.load(program, engine.space, layout)
    engine.space.store(esp, content)
    cpu = engine.cpu
    cpu.reset()
    cpu.esp, cpu.eip, cpu.eax = esp, program.header.entry, layout.stack_end - TOS.size
