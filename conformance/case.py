"""A case: one instruction and everything it can see; and the memory that all cases live in.

A :class:`Case` belongs to no engine. Whoever runs it puts code, registers and memory where it says, executes one
instruction, and compares registers, flags, memory and trap afterwards (:mod:`conformance.run_case`).

Memory has one layout (:data:`LAYOUT`): a page of code, data between unmapped pages, a page that cannot be written, a
stack, and some low memory for 16-bit addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reference.traps import Access

LIMIT: Final = 0x40_0000
CODE: Final = 0x10_0000
#: Instructions stand in the middle of the code page, so that short branches stay on it.
ENTRY: Final = CODE + 0x800
DATA: Final = 0x20_0000
DATA_END: Final = DATA + 0x2000
READ_ONLY: Final = 0x28_0000
STACK: Final = 0x30_0000
STACK_END: Final = STACK + 0x1000
#: Where 16-bit addresses lead. A host that keeps its low 64 KiB to itself leaves out the cases that need it.
LOW: Final = 0x8000
LOW_END: Final = 0xA000

#: (start, length, access) of what is mapped; everything else below LIMIT is not.
LAYOUT: Final = (
    (CODE, 0x1000, Access.RX),
    (DATA, DATA_END - DATA, Access.RW),
    (READ_ONLY, 0x1000, Access.READ),
    (STACK, STACK_END - STACK, Access.RW),
    (LOW, LOW_END - LOW, Access.RW),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One instruction and what it sees.

    ``words`` are the registers of :class:`~reference.registers.CPU`, EIP being where ``code`` is to be put. ``memory``
    are (address, content) of all bytes that may matter, before; compare the same ranges after. ``undefined`` are flags
    not to compare, ``undefined_if_trapped`` those not to compare after a trap, and ``partial_if_trapped`` tells that a
    fault may leave memory, or registers other than ESP, half changed on some processors. ``repeats`` tells that a repeat
    prefix is at work. ``fp`` is the XSAVE image before, None for that of a new guest; it is compared if given.
    """

    label: str
    code: bytes
    words: tuple[int, ...]
    memory: tuple[tuple[int, bytes], ...]
    undefined: int
    undefined_if_trapped: int = 0
    partial_if_trapped: bool = False
    repeats: bool = False
    fp: bytes | None = None

    @property
    def needs_low_memory(self) -> bool:
        """Whether it lives on memory below 64 KiB, which some hosts cannot give."""
        return any(address < 0x1_0000 for address, _ in self.memory)
