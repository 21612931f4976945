"""Masked moves: VMASKMOVPS and its like, MASKMOVQ, MASKMOVDQU.

An element of VMASKMOV that is not selected is not touched: whatever is wrong with its address does not matter (SDM
volume 2, VMASKMOV). Each selected one is an access of its own, in the order of elements, with an address that wraps like
every effective address; nothing is stored unless all of them may be. So it is on Zen 4. On Zen 5 they do not wrap.

MASKMOVQ and MASKMOVDQU are different. Which faults they raise for bytes that are not selected is the processor's affair
(volume 2, MASKMOVDQU; so says AMD64 volume 4). Here, as on AMD's, all of the operand must be writable, whatever the mask.
"""

from __future__ import annotations

from reference.isa.instruction import Memory
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.packed.lanes import MASK64, S32, S64, U8, U32, U64, Lanes
from reference.isa.semantics.registry import Semantics, semantics
from reference.registers import EDI, MASK32, Segment


def _address_mask(op: Operation) -> int:
    return MASK32 if op.instruction.address_size == 4 else 0xFFFF


def _masked_move(lanes: Lanes, signed: Lanes) -> Semantics:
    """The sign of each lane of the first source selects an element."""
    size = lanes.size

    def run(m: Machine, op: Operation) -> int:
        first, wrap = op.address(), _address_mask(op)
        selected = [lane < 0 for lane in signed.split(op.source(), op.size)]
        offsets = [first + size * i & wrap for i in range(len(selected))]
        pairs = list(zip(selected, offsets, strict=True))
        if isinstance(op.operands[0], Memory):
            for wanted, offset in pairs:
                if wanted:
                    m.claim(op.segment, offset, size)
            for (wanted, offset), lane in zip(pairs, lanes.split(op.third(), op.size), strict=True):
                if wanted:
                    m.store(op.segment, offset, size, lane)
        else:
            op.store(lanes.join([m.load(op.segment, offset, size) if wanted else 0 for wanted, offset in pairs]))
        return op.next

    return run


semantics("vmaskmovps", "vpmaskmovd")(_masked_move(U32, S32))
semantics("vmaskmovpd", "vpmaskmovq")(_masked_move(U64, S64))


@semantics("maskmovdqu", "vmaskmovdqu")
def maskmovdqu(m: Machine, op: Operation) -> int:
    """The bytes whose byte in the mask is negative, to DS:EDI, in halves of eight bytes."""
    segment = op.instruction.segment
    if segment is None:
        segment = Segment.DS
    wrap = _address_mask(op)
    offsets = [m.words[EDI] + start & wrap for start in range(0, op.size, 8)]
    kept = [m.claim(segment, offset, 8) for offset in offsets]
    data = op.load()
    selected = U8.join([0xFF if byte & 0x80 else 0 for byte in U8.split(op.source(), op.size)])
    for i, offset in enumerate(offsets):
        chosen = selected >> 64 * i & MASK64
        m.store(segment, offset, 8, data >> 64 * i & chosen | kept[i] & ~chosen)
    return op.next


@semantics("maskmovq")
def maskmovq(m: Machine, op: Operation) -> int:
    """The same from MMX registers, which it has taken over from the x87 even if it faults."""
    m.enter_mmx()
    return maskmovdqu(m, op)
