"""Gathers: VGATHERDPS, VPGATHERQQ and their like (SDM volume 2; volume 1, section 14.9.1 on VSIB).

Each element has an address of its own, made from a lane of the index register, and is loaded if its lane of the mask is
negative. The instruction can be resumed: elements are done from the lowest on, the mask lane of each that is done is
cleared, and if one faults, what has been gathered so far stays. Only completion clears the whole mask, and what stands
above the gathered elements in destination and mask.

Which elements above a fault have been done, and what the mask lanes that are left hold besides their sign, may differ on
other processors.
"""

from __future__ import annotations

from reference.errors import MemoryFault
from reference.isa.instruction import File, Memory, Register
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation, bind_vector
from reference.isa.semantics.packed.lanes import S32, S64, U32, U64, Lanes
from reference.isa.semantics.registry import Semantics, semantics
from reference.registers import MASK32
from reference.segmentation import SegmentFault


def _gather(elements: Lanes, indices: Lanes) -> Semantics:
    def run(m: Machine, op: Operation) -> int:
        destination, memory, mask = op.operands
        assert isinstance(destination, Register)
        assert isinstance(memory, Memory)
        assert isinstance(mask, Register)
        assert memory.index is not None
        index_size = 32 if memory.index_file is File.YMM else 16
        load_index, _ = bind_vector(m, Register(memory.index_file, memory.index, index_size), vex=True)
        count = min(op.size // elements.size, index_size // indices.size)
        start = memory.displacement + (m.words[memory.base] if memory.base is not None else 0)
        offsets = [start + index * memory.scale & MASK32 for index in indices.split(load_index(), index_size)]
        gathered, wanted = list(elements.split(op.load(), op.size)), list(elements.split(op.third(), op.size))
        try:
            for i in range(count):
                if wanted[i] & elements.sign:
                    gathered[i] = m.load(memory.segment, offsets[i], elements.size)
                wanted[i] = 0
        except (MemoryFault, SegmentFault):
            for register, lanes in ((destination, gathered), (mask, wanted)):
                _, store = bind_vector(m, register, vex=False)
                store(elements.join(lanes))
            raise
        _, store_mask = bind_vector(m, mask, vex=True)
        op.store(elements.join(gathered[:count] + [0] * (len(gathered) - count)))
        store_mask(0)
        return op.next

    return run


semantics("vgatherdps", "vpgatherdd")(_gather(U32, S32))
semantics("vgatherdpd", "vpgatherdq")(_gather(U64, S32))
semantics("vgatherqps", "vpgatherqd")(_gather(U32, S64))
semantics("vgatherqpd", "vpgatherqq")(_gather(U64, S64))
