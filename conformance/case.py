"""A case: a little code and everything it can see; and the memory that all cases live in.

A :class:`Case` belongs to no engine. An oracle (:mod:`conformance.oracles`) puts code, registers and memory where it says
and executes until EIP reaches an INT3, which stand behind the code and everywhere else where code can be, or until a
trap. What it led to is an :class:`~conformance.outcome.Outcome`.

Memory has one layout (:data:`LAYOUT`): a page of code, data between unmapped pages, a page that cannot be written, a stack,
and some low memory for 16-bit addresses; besides, for cases that modify themselves, two pages of code that can be written.
What a case does not fill has a content of its own (:func:`background`), the same for every case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reference.policy import Group
from reference.registers import EIP
from reference.traps import Access

LIMIT: Final = 0x40_0000
CODE: Final = 0x10_0000
CODE_END: Final = CODE + 0x1000
#: Code stands in the middle of its page, so that short branches stay on it.
ENTRY: Final = CODE + 0x800
#: Code that can be written: for cases that modify themselves, within a page and across. It is there for those whose code
#: stands there, and for no others.
MUTABLE: Final = 0x14_0000
MUTABLE_END: Final = MUTABLE + 0x2000
DATA: Final = 0x20_0000
DATA_END: Final = DATA + 0x2000
READ_ONLY: Final = 0x28_0000
READ_ONLY_END: Final = READ_ONLY + 0x1000
STACK: Final = 0x30_0000
STACK_END: Final = STACK + 0x1000
#: Where 16-bit addresses lead. A host that keeps its low 64 KiB to itself leaves out the cases that need it.
LOW: Final = 0x8000
LOW_END: Final = 0xA000

#: (start, length, access) of what is mapped; everything else below LIMIT is not.
LAYOUT: Final = (
    (CODE, 0x1000, Access.RX),
    (MUTABLE, MUTABLE_END - MUTABLE, Access.RWX),
    (DATA, DATA_END - DATA, Access.RW),
    (READ_ONLY, 0x1000, Access.READ),
    (STACK, STACK_END - STACK, Access.RW),
    (LOW, LOW_END - LOW, Access.RW),
)
#: What a case can change, in the order of addresses: (start, end).
WRITABLE: Final = ((LOW, LOW_END), (MUTABLE, MUTABLE_END), (DATA, DATA_END), (STACK, STACK_END))

INT3: Final = 0xCC
#: Neither zeros nor anything that repeats with the size of an operand.
_PATTERN: Final = bytes((7 * i + (i >> 8)) & 0xFF for i in range(0x1000))


def background(start: int, length: int) -> bytes:
    """What memory holds where a case says nothing: INT3 in code, a pattern in the page that is not writable, zeros."""
    if CODE <= start < CODE_END or MUTABLE <= start < MUTABLE_END:
        return bytes([INT3]) * length
    if READ_ONLY <= start < READ_ONLY_END:
        return _PATTERN[start - READ_ONLY : start - READ_ONLY + length]
    return bytes(length)


@dataclass(frozen=True, slots=True)
class Case:
    """Code, and what it sees.

    ``words`` are the registers of :class:`~reference.registers.CPU`, EIP being where ``code`` is to be put. ``memory`` are
    (address, content) of what memory holds besides its background. ``fp`` is the XSAVE image before, None for that of a new
    guest; it is compared if given. ``groups`` is what the policy admits, and ``gs_base`` the thread pointer, if any.

    What not to compare: ``undefined`` are flags, ``undefined_if_trapped`` those after a trap, ``undefined_registers`` a bit
    for each general register, ``undefined_fsw`` bits of the x87 status word. ``partial_if_trapped`` tells that a fault may
    leave memory, or registers other than ESP, half changed on some processors.

    ``repeats`` tells that a repeat prefix is at work. ``rows`` are the rows of the instruction table that the code was made
    from, and ``origin`` says who made it: ``isa seed 1 shard 7 number 93``.
    """

    label: str
    code: bytes
    words: tuple[int, ...]
    memory: tuple[tuple[int, bytes], ...] = ()
    undefined: int = 0
    undefined_if_trapped: int = 0
    partial_if_trapped: bool = False
    repeats: bool = False
    fp: bytes | None = None
    undefined_registers: int = 0
    undefined_fsw: int = 0
    groups: frozenset[Group] = frozenset(Group)
    gs_base: int | None = None
    rows: tuple[int, ...] = ()
    origin: str = ""

    @property
    def eip(self) -> int:
        """Where the code stands."""
        return self.words[EIP]

    @property
    def needs_low_memory(self) -> bool:
        """Whether it lives on memory below 64 KiB, which some hosts cannot give."""
        return any(address < 0x1_0000 for address, _ in self.memory)

    @property
    def modifies_code(self) -> bool:
        """Whether its code stands where it can be written."""
        return MUTABLE <= self.eip < MUTABLE_END

    def before(self, start: int, end: int) -> bytes:
        """What a stretch of mapped memory holds before the case runs."""
        content = bytearray(background(start, end - start))
        for address, data in (*self.memory, (self.eip, self.code)):
            low, high = max(start, address), min(end, address + len(data))
            if low < high:
                content[low - start : high - start] = data[low - address : high - address]
        return bytes(content)
