"""Segmentation: descriptors in Intel's format, the LDT, selector loads, limit checks, linear addresses.

The data sandbox of vx32 in one page: whatever offset a guest computes, the processor compares it with the limit of the
segment that the access goes through, adds the base, and nothing else can be reached. SDM volume 3, chapter 3 (formats,
address translation) and chapter 5 (limit and type checks). User mode only: ring 3, no gates, no system segments.
"""

from __future__ import annotations

from typing import Final

from reference.records import dataclass
from reference.registers import MASK32, Segment
from reference.traps import Access

#: RPL 3 and TI (the table indicator: 1 = LDT): the low bits of every selector of a user's own table.
USER_LDT: Final = 0b111
#: The LDT holds at most this many descriptors (the index field of a selector has 13 bits).
LDT_ENTRIES: Final = 8192


class SegmentFault(Exception):
    """What segmentation refuses. ``stack`` tells a stack fault (#SS, 12) from a general-protection fault (#GP, 13)."""

    def __init__(self, reason: str, *, stack: bool = False, not_present: bool = False) -> None:
        super().__init__(reason)
        self.stack = stack
        self.not_present = not_present


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A code or data segment descriptor (SDM volume 3, figure 3-8).

    ``limit`` is the raw 20-bit field: in bytes, or in pages where ``page_granular``. ``writable`` counts for data,
    ``readable`` for code: a code segment that is not readable is execute-only. ``big`` is the D/B bit: 32-bit code, and
    for expand-down data an upper bound of 2^32 instead of 2^16.
    """

    base: int
    limit: int
    code: bool = False
    writable: bool = False
    readable: bool = False
    expand_down: bool = False
    page_granular: bool = False
    big: bool = True
    present: bool = True
    dpl: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.base <= MASK32:
            raise ValueError(f"base {self.base:#x} does not fit 32 bits")
        if not 0 <= self.limit <= 0xFFFFF:
            raise ValueError(f"limit {self.limit:#x} does not fit 20 bits")
        if self.code and (self.expand_down or self.writable):
            raise ValueError("a code segment is neither writable nor expand-down")

    @classmethod
    def data(cls, base: int, size: int, *, writable: bool = True) -> Descriptor:
        """An expand-up data segment of ``size`` bytes; above 1 MiB the size must be whole pages."""
        limit, page_granular = _limit_field(size)
        return cls(base, limit, writable=writable, page_granular=page_granular)

    @classmethod
    def execute_only(cls, base: int, size: int) -> Descriptor:
        """A 32-bit code segment of ``size`` bytes that cannot be read, not even through a CS override."""
        limit, page_granular = _limit_field(size)
        return cls(base, limit, code=True, page_granular=page_granular)

    @property
    def last(self) -> int:
        """The effective limit: of an expand-up segment the highest valid offset (SDM volume 3, section 5.3)."""
        return (self.limit << 12) | 0xFFF if self.page_granular else self.limit

    def contains(self, offset: int, size: int) -> bool:
        """Whether ``size`` bytes at ``offset`` are all within the limit. An access that wraps at 4 GiB is not."""
        end = offset + size - 1
        if self.expand_down:
            return offset > self.last and end <= (MASK32 if self.big else 0xFFFF)
        return end <= self.last

    def permits(self, access: Access) -> bool:
        """Whether the type allows ``access``: data is never executed, code never written, and read only if readable."""
        if self.code:
            return access == Access.EXECUTE or (access == Access.READ and self.readable)
        return not access & Access.EXECUTE and (self.writable or not access & Access.WRITE)

    def pack(self) -> bytes:
        """The eight bytes as they stand in a descriptor table (SDM volume 3, figure 3-8)."""
        type_field = 8 | self.readable << 1 if self.code else self.expand_down << 2 | self.writable << 1
        access = 1 | type_field | 1 << 4 | self.dpl << 5 | self.present << 7  # accessed, as Linux stores them
        flags = self.big << 2 | self.page_granular << 3
        low = self.limit & 0xFFFF | (self.base & 0xFFFF) << 16
        high = self.base >> 16 & 0xFF | access << 8 | (self.limit >> 16 | flags << 4) << 16 | (self.base >> 24) << 24
        return low.to_bytes(4, "little") + high.to_bytes(4, "little")

    @classmethod
    def unpack(cls, raw: bytes) -> Descriptor:
        """The reverse of :meth:`pack`. Raises ValueError for system descriptors, gates, and other lengths than eight."""
        if len(raw) != 8:
            raise ValueError(f"a descriptor has 8 bytes, not {len(raw)}")
        low, high = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")
        access, flags = high >> 8 & 0xFF, high >> 20 & 0xF
        if not access & 0x10:
            raise ValueError("a system descriptor or gate, not a code or data segment")
        code = bool(access & 8)
        return cls(
            base=low >> 16 | (high & 0xFF) << 16 | (high >> 24) << 24,
            limit=low & 0xFFFF | (high >> 16 & 0xF) << 16,
            code=code,
            writable=not code and bool(access & 2),
            readable=code and bool(access & 2),
            expand_down=not code and bool(access & 4),
            page_granular=bool(flags & 8),
            big=bool(flags & 4),
            present=bool(access & 0x80),
            dpl=access >> 5 & 3,
        )


def _limit_field(size: int) -> tuple[int, bool]:
    if not 0 < size <= 1 << 32:
        raise ValueError(f"a segment has 1 byte to 4 GiB, not {size:#x}")
    if size <= 1 << 20:
        return size - 1, False
    if size % 4096:
        raise ValueError(f"a segment of more than 1 MiB has whole pages, not {size:#x} bytes")
    return (size >> 12) - 1, True


class LDT:
    """A local descriptor table: selectors to descriptors."""

    def __init__(self) -> None:
        self.entries: dict[int, Descriptor] = {}

    def set(self, index: int, descriptor: Descriptor | None) -> int:
        """Store (or with None remove) entry ``index``; the selector that names it from ring 3."""
        if not 0 <= index < LDT_ENTRIES:
            raise ValueError(f"LDT index {index} is not below {LDT_ENTRIES}")
        if descriptor is None:
            self.entries.pop(index, None)
        else:
            self.entries[index] = descriptor
        return index << 3 | USER_LDT

    def lookup(self, selector: int) -> Descriptor:
        """The descriptor that ``selector`` names. Raises SegmentFault for the GDT (the host's) and for empty entries."""
        if not selector & 4:
            raise SegmentFault(f"selector {selector:#06x} names the host's table")
        descriptor = self.entries.get(selector >> 3)
        if descriptor is None:
            raise SegmentFault(f"selector {selector:#06x} names an empty entry")
        return descriptor


class Segments:
    """The six segment registers: visible selectors, and the hidden descriptors they were loaded with.

    As in hardware, a descriptor is read when the selector is loaded; a later change of the table shows at the next load.
    """

    def __init__(self, ldt: LDT) -> None:
        self.ldt = ldt
        self.selectors = [0] * 6
        self.hidden: list[Descriptor | None] = [None] * 6

    def load(self, register: Segment, selector: int) -> None:
        """Load a selector with the checks of SDM volume 2, MOV (Sreg) and JMP. Raises SegmentFault; then nothing
        changes."""
        selector &= 0xFFFF
        if selector & ~3 == 0:  # null: fine for data segments, until used
            if register in (Segment.SS, Segment.CS):
                raise SegmentFault("null selector in a stack or code segment")
            self.selectors[register], self.hidden[register] = selector, None
            return
        descriptor = self.ldt.lookup(selector)
        if register == Segment.CS:
            suitable = descriptor.code and descriptor.dpl == 3
        elif register == Segment.SS:
            suitable = descriptor.permits(Access.WRITE) and descriptor.dpl == 3 and selector & 3 == 3
        else:
            suitable = descriptor.permits(Access.READ) and descriptor.dpl >= selector & 3
        if not suitable:
            raise SegmentFault(f"selector {selector:#06x} does not suit {register.name}")
        if not descriptor.present:
            raise SegmentFault("segment not present", stack=register == Segment.SS, not_present=True)
        self.selectors[register], self.hidden[register] = selector, descriptor

    def selector(self, register: Segment) -> int:
        """The visible part of a segment register."""
        return self.selectors[register]

    def linear(self, register: Segment, offset: int, size: int, access: Access) -> int:
        """The linear address of an access, after type and limit checks. Raises SegmentFault."""
        descriptor = self.hidden[register]
        stack = register == Segment.SS
        if descriptor is None:
            raise SegmentFault(f"{register.name} holds a null selector", stack=stack)
        if not descriptor.permits(access):
            raise SegmentFault(f"{register.name} does not allow to {str(access.name).lower()}", stack=stack)
        if not descriptor.contains(offset, size):
            raise SegmentFault(f"offset {offset:#010x} is outside {register.name}", stack=stack)
        return (descriptor.base + offset) & MASK32

    def window(self, register: Segment, access: Access) -> tuple[int, int]:
        """``(base, last)``: until the next load, an access wholly within offsets 0 to ``last`` is linear ``base`` on.

        For engines that want to check without asking. ``(0, -1)`` where nothing so simple can be said, as for expand-down
        segments and refused types; then :meth:`linear` decides.
        """
        descriptor = self.hidden[register]
        if descriptor is None or descriptor.expand_down or not descriptor.permits(access):
            return 0, -1
        return descriptor.base, descriptor.last
