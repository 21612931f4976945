"""The control block and the code segment: what translated code and its host agree on.

Three segments belong to a guest that runs as translated code. *Data* (DS, ES, SS) is guest memory. *Code* (CS) is the
code cache: execute-only, the runtime stubs at its start, fragments behind them. *Control* (GS) is the translator's own
state, which no instruction of the guest can name: the guest's saved registers, what the templates spill, and the two
tables that turn guest EIPs into offsets in the code segment. All offsets here count from the start of their segment.

The code segment's descriptor may have the linear address of the code cache as its base, and then the EIP of a code
offset is that offset; or base zero, and then it is the linear address (some processors predict branches badly in code
segments with another base). ``origin``, wherever it appears, is the EIP of code offset 0: zero in the first case. Only
what holds an EIP in full depends on it: the two tables, and the stores of calls into the first.

The first ten words of the control block are the register file of :class:`reference.registers.CPU`, in its order, so that
a CPU is a view over them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# -- control segment -----------------------------------------------------------------------------------------------

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

#: Why translated code left: a trap number, or one of :class:`Reason`.
REASON: Final = 0x28
#: With Reason.CHAIN: the code offset of the trampoline that was reached.
SITE: Final = 0x2C
#: Registers that templates and stubs borrow.
SPILL_EAX: Final = 0x30
SPILL_EDX: Final = 0x34
SPILL_ECX: Final = 0x38
#: Scratch word of the lookup stub.
SCRATCH: Final = 0x3C
#: Far pointers (offset32, selector16): how the exit stub leaves, how the gateway enters.
LEAVE_POINTER: Final = 0x48
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

#: Second-level table: HASH_ENTRIES pairs (guest EIP, landing offset; 0 = empty), probed HASH_PROBES times from the hash of
#: the EIP on, with HASH_PROBES spare pairs behind the end so that probing never wraps.
HASH_TABLE: Final = 0x1000
HASH_BITS: Final = 12
HASH_ENTRIES: Final = 1 << HASH_BITS
HASH_PROBES: Final = 4
HASH_MULTIPLIER: Final = 0x9E37_79B1  # 2^32 / golden ratio: neighbouring EIPs spread over the table

#: First-level table: for each value of the low 16 bits of a guest EIP the landing to try; unused ones lead to the lookup stub.
ENTRY_TABLE: Final = 0x1_0000
ENTRY_COUNT: Final = 1 << 16

CONTROL_SIZE: Final = ENTRY_TABLE + 4 * ENTRY_COUNT
# Landings rely on it (translator/emit.py): what eight times the distance of two EIPs with equal low halves, or the
# distance of two that are half a gigabyte apart, adds to a spill word's offset, is beyond the limit of the segment.
assert max(SPILL_EDX, SPILL_ECX) + 4 <= CONTROL_SIZE <= 8 * ENTRY_COUNT

# -- code segment --------------------------------------------------------------------------------------------------

#: The code of a fragment stands as its guest code does modulo this: a cache line, and what processors fetch and decode
#: at once. So the alignment that a compiler gave to a loop is not lost.
CODE_ALIGNMENT: Final = 64
#: Where a single instruction is put to be executed alone; behind the stubs, before the fragments.
SCRATCH_CODE: Final = 0x180
SCRATCH_CODE_SIZE: Final = 0x40
FIRST_FRAGMENT: Final = 0x200
DEFAULT_CODE_SIZE: Final = 16 << 20


class Reason(IntEnum):
    """Values of REASON beyond the trap numbers: exits that are the host's own affair."""

    #: A direct branch whose target was not linked; SITE says which.
    CHAIN = 0x1000
    #: An indirect branch to an EIP that neither table knows; EIP_SAVED is the target.
    LOOKUP = 0x1001
    #: The instruction at EIP_SAVED is to be executed by the reference semantics.
    ASSIST = 0x1002
    #: The instruction in the scratch area is done.
    STEPPED = 0x1003


def hash_index(eip: int) -> int:
    """The slot in the second-level table at which probing for ``eip`` starts."""
    return (eip * HASH_MULTIPLIER & 0xFFFF_FFFF) >> (32 - HASH_BITS)


def entry_slot(eip: int) -> int:
    """The control-segment offset of the first-level entry for ``eip``."""
    return ENTRY_TABLE + 4 * (eip & (ENTRY_COUNT - 1))
