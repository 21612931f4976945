"""The machine: what an instruction acts on, and the paths by which it gets there.

Every access goes one way: an offset and a segment register are checked against the segment's type and limit, which gives
a linear address, and the memory behind it checks its pages. What can go wrong on the way is raised, and nothing has been
changed then:

    SegmentFault   the segment refuses (protection or stack fault)
    MemoryFault    a page refuses (page fault)
    GuestTrap      the instruction itself traps (divide error, system call, …)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from reference.policy import Policy
from reference.registers import CPU, EFLAGS, ESP, MASK32, Segment
from reference.segmentation import SegmentFault, Segments
from reference.traps import Access, GuestTrap, Trap, Vector, processor_trap

#: ES of the x87 status word: an unmasked exception is pending.
X87_SUMMARY: Final = 0x80


class LinearMemory(Protocol):
    """What lies behind the segments, addressed linearly: an AddressSpace, or something that looks like one."""

    def check(self, address: int, length: int, access: Access) -> None:
        """Raise MemoryFault unless every byte permits ``access``."""

    def read(self, address: int, length: int) -> bytes:
        """Bytes; raises MemoryFault."""

    def write(self, address: int, data: bytes) -> None:
        """Store bytes, all or none; raises MemoryFault."""

    def read_u8(self, address: int) -> int:
        """One byte; raises MemoryFault."""

    def read_u16(self, address: int) -> int:
        """A little-endian word of 16 bits; raises MemoryFault."""

    def read_u32(self, address: int) -> int:
        """A little-endian word of 32 bits; raises MemoryFault."""

    def read_u64(self, address: int) -> int:
        """A little-endian word of 64 bits; raises MemoryFault."""

    def write_u8(self, address: int, value: int) -> None:
        """Store a byte; raises MemoryFault."""

    def write_u16(self, address: int, value: int) -> None:
        """Store a word of 16 bits; raises MemoryFault."""

    def write_u32(self, address: int, value: int) -> None:
        """Store a word of 32 bits; raises MemoryFault."""

    def write_u64(self, address: int, value: int) -> None:
        """Store a word of 64 bits; raises MemoryFault."""

    def fetch(self, address: int, most: int) -> bytes:
        """Up to ``most`` bytes of code, ending where execute permission ends."""

    def watch(self, first_page: int, last_page: int) -> None:
        """Have the watchers told before these pages change."""

    def add_watcher(self, watcher: Callable[[int, int], None]) -> None:
        """Call ``watcher(first_page, last_page)`` before watched pages change."""

    def remove_watcher(self, watcher: Callable[[int, int], None]) -> None:
        """Undo :meth:`add_watcher`."""


class Machine:
    """Registers, segments and memory of one guest, and the few compound accesses that instructions share.

    ``words`` are the registers of ``cpu``. ``interrupted`` may be set from another thread or a signal handler.
    ``clock`` supplies the time-stamp counter. ``segments_loaded`` is called after an instruction has loaded a segment
    register: whoever has bound operands to the old descriptors drops them.
    """

    __slots__ = (
        "clock",
        "code_last",
        "cpu",
        "image",
        "interrupted",
        "memory",
        "policy",
        "readers",
        "segments",
        "segments_loaded",
        "stack_base",
        "stack_last",
        "words",
        "writers",
    )

    def __init__(
        self, cpu: CPU, memory: LinearMemory, segments: Segments, policy: Policy, clock: Callable[[], int]
    ) -> None:
        self.cpu = cpu
        self.words = cpu.words
        #: The XSAVE image as words of 64 bits.
        self.image = cpu.fp.cast("B").cast("Q")
        self.memory = memory
        self.segments = segments
        self.policy = policy
        self.clock = clock
        self.interrupted = False
        #: Accessors of the memory by operand size in bytes.
        self.readers: dict[int, Callable[[int], int]] = {
            1: memory.read_u8,
            2: memory.read_u16,
            4: memory.read_u32,
            8: memory.read_u64,
            **{size: _wide_reader(memory, size) for size in (10, 16, 32)},
        }
        self.writers: dict[int, Callable[[int, int], None]] = {
            1: memory.write_u8,
            2: memory.write_u16,
            4: memory.write_u32,
            8: memory.write_u64,
            **{size: _wide_writer(memory, size) for size in (10, 16, 32)},
        }
        self.segments_loaded: Callable[[], None] = self.segments_changed
        self.segments_changed()

    def segments_changed(self) -> None:
        """Take over what CS and SS hold; to be called after either was loaded."""
        self.stack_base, self.stack_last = self.segments.window(Segment.SS, Access.RW)
        _, self.code_last = self.segments.window(Segment.CS, Access.EXECUTE)

    # -- data --------------------------------------------------------------------------------------------------------

    def load(self, segment: Segment, offset: int, size: int) -> int:
        """The value of ``size`` bytes at ``segment:offset``."""
        return self.readers[size](self.segments.linear(segment, offset, size, Access.READ))

    def claim(self, segment: Segment, offset: int, size: int) -> int:
        """The value of ``size`` bytes that are about to be replaced.

        A read-modify-write is a write from the start: the processor reports it as one even where the page is absent
        and even where the value turns out not to change (a shift by zero, a CMPXCHG that finds another value).
        """
        linear = self.segments.linear(segment, offset, size, Access.WRITE)
        self.memory.check(linear, size, Access.WRITE)
        return self.readers[size](linear)

    def store(self, segment: Segment, offset: int, size: int, value: int) -> None:
        """Replace ``size`` bytes at ``segment:offset``."""
        self.writers[size](self.segments.linear(segment, offset, size, Access.WRITE), value)

    # -- the stack ---------------------------------------------------------------------------------------------------

    def stack_linear(self, offset: int, size: int, access: Access) -> int:
        """The linear address of an access to the stack."""
        if offset + size - 1 <= self.stack_last:
            return offset + self.stack_base & MASK32
        return self.segments.linear(Segment.SS, offset, size, access)

    def peek(self, offset: int, size: int) -> int:
        """``size`` bytes at ``SS:offset``."""
        return self.readers[size](self.stack_linear(offset, size, Access.READ))

    def push(self, value: int, size: int) -> None:
        """Store below ESP, then move ESP there."""
        words = self.words
        top = words[ESP] - size & MASK32
        self.writers[size](self.stack_linear(top, size, Access.WRITE), value)
        words[ESP] = top

    def pop(self, size: int) -> int:
        """Load from ESP, then move ESP past it."""
        words = self.words
        top = words[ESP]
        value = self.readers[size](self.stack_linear(top, size, Access.READ))
        words[ESP] = top + size & MASK32
        return value

    # -- control -----------------------------------------------------------------------------------------------------

    def target(self, eip: int) -> int:
        """``eip``, if a near transfer may go there: beyond the limit of CS the *transfer* faults (SDM volume 2, JMP)."""
        if eip > self.code_last:
            raise SegmentFault(f"branch target {eip:#010x} is outside CS")
        return eip

    def take_interrupt(self, eip: int) -> None:
        """Raise the pending interrupt as a trap between two instructions; ``eip`` is that of the next one."""
        self.interrupted = False
        raise GuestTrap(Trap(Vector.IRQ, eip))

    def set_flag(self, mask: int, on: bool) -> None:
        """One bit of EFLAGS."""
        flags = self.words[EFLAGS]
        self.words[EFLAGS] = flags | mask if on else flags & ~mask

    # -- the x87 registers as MMX registers --------------------------------------------------------------------------

    def wait_for_x87(self, eip: int) -> None:
        """Raise the exception that an earlier x87 instruction has left pending (SDM volume 1, section 8.7)."""
        if self.image[0] >> 16 & X87_SUMMARY:
            raise GuestTrap(processor_trap(Vector.FP_ERROR, eip))

    def mmx_index(self, number: int) -> int:
        """Where in ``image`` MMX register ``number`` stands: the image keeps ST(0) first, wherever TOP points."""
        top = self.image[0] >> 27 & 7
        return 4 + 2 * (number - top & 7)

    def enter_mmx(self) -> None:
        """All registers valid, TOP zero."""
        image = self.image
        top = image[0] >> 27 & 7
        if top:
            stack = image[4:20].tolist()
            for number in range(8):
                index = 2 * (number - top & 7)
                image[4 + 2 * number], image[5 + 2 * number] = stack[index], stack[index + 1]
        image[0] = image[0] & ~(7 << 27 | 0xFF << 32) | 0xFF << 32


def _wide_reader(memory: LinearMemory, size: int) -> Callable[[int], int]:
    return lambda address: int.from_bytes(memory.read(address, size), "little")


def _wide_writer(memory: LinearMemory, size: int) -> Callable[[int, int], None]:
    return lambda address, value: memory.write(address, value.to_bytes(size, "little"))
