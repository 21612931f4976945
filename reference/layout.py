"""The control area and the code segment: what translated code and its host agree on.

Three segments belong to a guest that runs as translated code. *Data* (DS, ES, SS) is guest memory. *Code* (CS) is the
code cache: execute-only, the runtime stubs at its start, fragments behind them. *Control* (GS) is the translator's own
state, which no instruction of the guest can name: what templates spill, what they tell the host, and the tables that turn
guest EIPs into addresses of code.

The control *area* is the control *block*, one page that only the host reads and writes (the guest's saved registers, what
the host notes down, the guest's floating-point state), and behind it the control segment. Words of the segment are named by
their offset in it, since that is what templates use; :func:`control_word` is where the host finds one.

The code segment's descriptor may have the linear address of the code cache as its base, and then the EIP of a code
offset is that offset; or base zero, and then it is the linear address (some processors predict branches badly in code
segments with another base). ``origin``, wherever it appears, is the EIP of code offset 0: zero in the first case. Only
what holds an EIP in full depends on it: the tables, and the stores of calls into the hashed one.

**How an indirect branch finds its target.** While all of a guest's code lies within a *window* of EIPs that the control
segment has room for, its entry table is *direct*: one entry for each EIP of the window. A branch reads the entry with its
target as the index, whatever that is, and segmentation is the check: an index outside the window is beyond the segment's
limit. Or it wraps around, to any offset that is a multiple of 8. So entries are 8 bytes apart; of the words of the segment
those at a multiple of 8 are either entries, or hold what leads nowhere, and everything that a guest has influence on is
at an odd multiple of 4. An entry that is not set is 0, and neither code offset 0 nor EIP 0 is code: going there is a
fault, by which the host knows that the target is to be looked up.

A guest with code further apart gets a *hashed* table, indexed by the low 16 bits of the target, which can be mistaken:
landings check it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# -- control block -------------------------------------------------------------------------------------------------

#: The first ten words are the register file of :class:`reference.registers.CPU`, in its order, so that a CPU is a view over
#: them.
EAX_SAVED: Final = 0x00
ECX_SAVED: Final = 0x04
EDX_SAVED: Final = 0x08
EBX_SAVED: Final = 0x0C
ESP_SAVED: Final = 0x10
EBP_SAVED: Final = 0x14
ESI_SAVED: Final = 0x18
EDI_SAVED: Final = 0x1C
EIP_SAVED: Final = 0x20
EFLAGS_SAVED: Final = 0x24

#: Far pointer (offset32, selector16): how the gateway enters.
ENTER_POINTER: Final = 0x50
#: What the processor has for the EIP of the guest's last x87 instruction: a code address, which is the host's affair, so
#: that the image keeps what it had; 0 if the processor has lost it. The host puts what it makes of it into the image, and
#: X87_NONE here, which then stays if there is no other such instruction.
X87_EIP: Final = 0x58
X87_NONE: Final = 0xFFFF_FFFF
#: From here to FP_IMAGE the block is the host's: saved host state, what a signal brought.
HOST_AREA: Final = 0x80
#: XSAVE image of the guest (64-byte aligned, see registers.FP_IMAGE_BYTES).
FP_IMAGE: Final = 0x400

#: The size of the control block: where in the control area the control segment begins.
CONTROL_BLOCK: Final = 0x1000

# -- control segment -----------------------------------------------------------------------------------------------

#: Registers that templates and stubs borrow.
SPILL_ECX: Final = 0x04
#: What a trap reports as the guest's EIP; the gateway takes it over into the control block.
TRAP_EIP: Final = 0x0C
#: Why translated code left: a trap number, or one of :class:`Reason`.
REASON: Final = 0x14
#: With Reason.CHAIN: the code offset of the trampoline that was reached.
SITE: Final = 0x1C
#: Far pointer: how the exit stub leaves. Its second part, the selector of the host's code, is where an entry could be: as
#: an EIP, it is a small number.
LEAVE_POINTER: Final = 0x24
#: With the hashed table.
SPILL_EDX: Final = 0x34
SPILL_EAX: Final = 0x3C
SCRATCH: Final = 0x44
#: How many instructions a guest with fuel may still execute before its host is asked (translator/meter.py). The host lends
#: less than MOST_FUEL at a time: the highest byte is zero until there is not enough.
FUEL: Final = 0x4C
MOST_FUEL: Final = (1 << 24) - 1

#: The direct entry table, entries 8 bytes apart; up to the end of the segment.
DIRECT_TABLE: Final = 0x1000

#: The hashed table has two levels. The second: PROBED_ENTRIES pairs (guest EIP, landing; 0 = empty), probed PROBES times
#: from the hash of the EIP on, with PROBES spare pairs behind the end so that probing never wraps.
PROBED_TABLE: Final = 0x1000
PROBED_BITS: Final = 12
PROBED_ENTRIES: Final = 1 << PROBED_BITS
PROBES: Final = 4
HASH_MULTIPLIER: Final = 0x9E37_79B1  # 2^32 / golden ratio: neighbouring EIPs spread over the table

#: The first: for each value of the low 16 bits of a guest EIP the landing to try; unused ones lead to the lookup stub.
HASHED_TABLE: Final = 0x1_0000
HASHED_ENTRIES: Final = 1 << 16
#: The segment's size with the hashed table. Landings rely on it (translator/emit.py): what eight times the distance of two
#: EIPs with equal low halves, or the distance of two that are half a gigabyte apart, adds to a spill word's offset, is
#: beyond the limit of the segment.
HASHED_SIZE: Final = HASHED_TABLE + 4 * HASHED_ENTRIES
assert max(SPILL_EDX, SPILL_ECX) + 4 <= HASHED_SIZE <= 8 * HASHED_ENTRIES

#: The segment's size is at least this, and at most that: with the direct table, landings rely on the distance of two
#: EIPs with the same index, a multiple of half a gigabyte, being beyond the limit.
LEAST_SEGMENT: Final = 0x8_0000
LARGEST_SEGMENT: Final = 0x800_0000
assert HASHED_SIZE <= LEAST_SEGMENT
assert LARGEST_SEGMENT <= 1 << 29


def control_word(offset: int) -> int:
    """Where the word at an offset of the control segment is in the control area, as an index of 32-bit words."""
    return (CONTROL_BLOCK + offset) >> 2


def segment_size(limit: int) -> int:
    """The size of the control segment of a guest with ``limit`` addresses: entries for the largest part of them that seems
    worth the room."""
    return min(max(limit >> 2 & -0x1000, LEAST_SEGMENT), LARGEST_SEGMENT)


def direct_entries(segment: int) -> int:
    """How many entries a direct table has in a control segment of this size."""
    return (segment - DIRECT_TABLE) // 8


# -- code segment --------------------------------------------------------------------------------------------------

#: The code of a fragment stands as its guest code does modulo this: a cache line, and what processors fetch and decode
#: at once. So the alignment that a compiler gave to a loop is not lost.
CODE_ALIGNMENT: Final = 64
#: No code is there, only bytes that fault: where an entry that is not set leads.
NO_CODE: Final = 0x40
#: Where a single instruction is put to be executed alone; behind the stubs, before the fragments.
SCRATCH_CODE: Final = 0x180
SCRATCH_CODE_SIZE: Final = 0x40
FIRST_FRAGMENT: Final = 0x200
DEFAULT_CODE_SIZE: Final = 16 << 20


class Reason(IntEnum):
    """Values of REASON beyond the trap numbers: exits that are the host's own affair."""

    #: A direct branch whose target was not linked; SITE says which.
    CHAIN = 0x1000
    #: An indirect branch to an EIP that no table knows, which is reported.
    LOOKUP = 0x1001
    #: The instruction at the reported EIP is to be executed by the reference semantics.
    ASSIST = 0x1002
    #: The instruction in the scratch area is done.
    STEPPED = 0x1003


def first_probe(eip: int) -> int:
    """The pair of the hashed table's second level at which probing for ``eip`` starts."""
    return (eip * HASH_MULTIPLIER & 0xFFFF_FFFF) >> (32 - PROBED_BITS)


def hashed_slot(eip: int) -> int:
    """The control-segment offset of the entry for ``eip`` in the hashed table's first level."""
    return HASHED_TABLE + 4 * (eip & (HASHED_ENTRIES - 1))


def direct_slot(eip: int, window: int) -> int:
    """The control-segment offset of the entry for ``eip`` in the direct table for EIPs from ``window`` on; modulo 2^32, as
    the processor computes it."""
    return DIRECT_TABLE + 8 * (eip - window) & 0xFFFF_FFFF
