"""Where the operands of an instruction are: vector registers to fill, and registers that make its address lead somewhere.

A memory operand mostly leads into the middle of the data, aligned or not; one in eight leads across the boundary of two
pages, to the beginning or the end of what is mapped, to pages that cannot be written or are not there, or around the
limit of the segment. About it there is a window of content made of the same lanes as the registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from conformance.case import CODE, DATA, DATA_END, LIMIT, LOW, LOW_END, READ_ONLY, STACK, STACK_END
from conformance.dice import U8
from conformance.encodings import MASKED_STORES, Encoded
from conformance.lanes import POOL, extended_pool
from conformance.states import States
from reference.isa.instruction import File, Instruction, Memory, Register
from reference.policy import Group
from reference.registers import EDI, ESP, MASK32, Segment

#: Linear addresses of the states' operands, -1 where that is nowhere.
Places: TypeAlias = npt.NDArray[np.int64]

#: Bytes that instructions with an operand of no definite size access, and their alignment.
SAVE_AREAS: Final = {"xsave": (832, 64), "xsaveopt": (832, 64), "xsavec": (832, 64), "xrstor": (832, 64)}
_ALIGNED: Final = {"fxsave": 16, "fxrstor": 16}
_MASKED_MOVES: Final = frozenset({"vmaskmovps", "vmaskmovpd", "vpmaskmovd", "vpmaskmovq"})
#: Bytes of content before and behind an operand.
_MARGIN: Final = 16
#: Regions that hold the windows of cases.
REGIONS: Final = ((DATA, DATA_END), (STACK, STACK_END), (LOW, LOW_END))

_X87_MNEMONICS: Final = frozenset({"fxsave", "fxrstor", *SAVE_AREAS})
_VECTOR_GROUPS: Final = frozenset({
    Group.SSE, Group.SSE2, Group.SSE3, Group.SSSE3, Group.SSE41, Group.SSE42, Group.AES, Group.PCLMUL, Group.SHA, Group.F16C,
    Group.FMA, Group.AVX, Group.AVX2, Group.FXSR, Group.XSAVE,
})  # fmt: skip


# -- registers -------------------------------------------------------------------------------------------------------


def vector_registers(instructions: Sequence[Instruction]) -> tuple[list[int] | None, int]:
    """The vector registers that instructions name, and how many bytes of each matter; None where neither they nor MXCSR
    have anything to do with it."""
    found: set[int] = set()
    width, concerned = 16, False
    for instruction in instructions:
        concerned |= instruction.row.group in _VECTOR_GROUPS
        if instruction.vector_length == 32:
            width = 32
        for operand in instruction.operands:
            if isinstance(operand, Register) and operand.file in (File.XMM, File.YMM):
                found.add(operand.number)
                # A write to an XMM register clears the upper half under VEX, and must leave it alone without.
                width = 32 if operand.file is File.YMM else width
            elif isinstance(operand, Memory) and operand.index_file is not File.GENERAL and operand.index is not None:
                found.add(operand.index)
    return (sorted(found), width) if found or concerned else (None, width)


def uses_x87(instructions: Sequence[Instruction]) -> bool:
    """Whether the x87 state, which is also that of MMX, matters."""
    return any(
        instruction.row.group in (Group.X87, Group.MMX)
        or instruction.mnemonic in _X87_MNEMONICS
        or instruction.mnemonic == "fisttp"
        or any(isinstance(each, Register) and each.file in (File.X87, File.MMX) for each in instruction.operands)
        for instruction in instructions
    )


_SOURCES: Final = {"ps": "single", "ss": "single", "pd": "double", "sd": "double", "ph": "half", "dq": "d", "pi": "d"}


def lane_kind(instruction: Instruction) -> str:
    """What the lanes of its operands hold, to go by its name: see :data:`conformance.lanes.KINDS`."""
    name = instruction.mnemonic
    if name.startswith("f") and instruction.row.group is not Group.FXSR:
        return _x87_kind(instruction)
    if instruction.row.group in (Group.BASE, Group.CMOV) or not instruction.operands:
        size = getattr(instruction.operands[0], "size", 4) if instruction.operands else 4
        return {1: "b", 2: "w", 8: "q"}.get(size, "d")
    bare = name.removeprefix("v")
    if bare.startswith("cvt"):
        source = bare.removeprefix("cvt").removeprefix("t").partition("2")[0]
        return _SOURCES.get(source, "d")
    if bare[-2:] in ("ps", "ss"):
        return "single"
    if bare[-2:] in ("pd", "sd"):
        return "double"
    if bare.startswith(("packs", "packus")):
        return "w" if bare.endswith("b") else "d"
    if bare.startswith(("pmovsx", "pmovzx")):
        return bare[6]
    if bare.startswith(("psadbw", "mpsadbw", "pmovmskb", "pmaddubs", "pcmpestr", "pcmpistr")):
        return "b"
    if bare in ("pmuludq", "pmuldq", "punpckldq", "punpckhdq"):
        return "d"
    return bare[-1] if bare[-1] in "bwdq" else "d"


def _x87_kind(instruction: Instruction) -> str:
    size = next((operand.size for operand in instruction.operands if isinstance(operand, Memory)), 8)
    if instruction.mnemonic.startswith("fi"):
        return {2: "w", 4: "d"}.get(size, "q")
    return "single" if size == 4 else "double"


# -- memory ----------------------------------------------------------------------------------------------------------


def memory_operand(instruction: Instruction) -> Memory | None:
    """The memory operand that ModRM or the instruction itself names, if it accesses memory."""
    if instruction.mnemonic in ("lea", "nop", "xlat"):
        return None
    for operand in instruction.operands:
        if isinstance(operand, Memory):
            return operand
    return None


def access_of(instruction: Instruction, operand: Memory) -> tuple[int, int]:
    """Bytes that are accessed, and the alignment that is asked for, or natural."""
    size, alignment = SAVE_AREAS.get(instruction.mnemonic, (operand.size, 1))
    if alignment == 1:
        alignment = _ALIGNED.get(instruction.mnemonic, size if size in (2, 4, 8, 16, 32) else 1)
    return size, alignment


def targets(states: States, size: int, alignment: int, *, strict: bool, low: bool) -> Places:
    """Addresses for an operand of this size; ``strict`` if it faults where it is not aligned."""
    count, rng = states.count, states.rng
    any_ = states.dice.u32(count).astype(np.int64)
    unaligned = any_ >> 9 & (31 if strict else 1) == 1
    found = (LOW if low else DATA) + 0x800 + (any_ & 0x1FF)
    found = np.where(unaligned, found, found & -alignment)
    if not low:
        for number in np.flatnonzero(any_ >> 28 < 2).tolist():
            place = _unusual(rng.randrange(8), size, rng.randrange(max(size, 8)) + 1)
            found[number] = place & -alignment if strict and not unaligned[number] else place
    return found


def _unusual(kind: int, size: int, offset: int) -> int:
    """An address at an edge, ``offset`` of at least one before it."""
    if kind < 3:
        return DATA + 0x1000 - offset
    if kind == 3:
        return DATA_END - offset
    if kind == 4:
        return DATA + offset - 1
    if kind == 5:
        return (READ_ONLY if offset & 1 else CODE) + 0x20 * offset
    if kind == 6 or size not in (1, 2, 4, 8, 16, 32):  # what is accessed in parts may meet the page before the limit
        return (DATA_END, DATA - 0x1000, STACK_END, READ_ONLY - size)[offset & 3] + offset // 4
    return (LIMIT - offset, LIMIT + offset, MASK32 - offset + 1, LIMIT - size)[offset & 3]


def place(states: States, encoded: Encoded, gs_base: int | None) -> Places:
    """Choose registers so that the address of the memory operand leads somewhere, and give it content."""
    instruction = encoded.instruction
    nowhere: Places = np.full(states.count, -1, dtype=np.int64)
    if instruction.mnemonic in MASKED_STORES:
        return _place_implied(states, instruction, MASKED_STORES[instruction.mnemonic])
    operand = memory_operand(instruction)
    if operand is None:
        return nowhere
    size, alignment = access_of(instruction, operand)
    if operand.index_file is not File.GENERAL:
        quad = any(code.method == "VM64" for code in encoded.shape.form.operands)
        return _place_gather(states, operand, quad)
    strict = size >= 16 and instruction.vector_length == 0
    low = operand.address_size == 2
    chosen = targets(states, size, alignment, strict=strict, low=low)
    if instruction.row.group is Group.SHA:
        chosen &= -16  # some processors (AMD's, measured on Zen 4) let these operands stand anywhere
    if instruction.mnemonic in _MASKED_MOVES:  # on some processors (Zen 4) elements wrap, on others (Zen 5) they do not
        chosen = np.where(chosen > MASK32 - size, READ_ONLY, chosen)
    words = states.words
    displacement = operand.displacement
    if operand.segment is Segment.GS and gs_base is not None:
        displacement += gs_base
    wrap = 0xFFFF if low else MASK32
    high = states.words[:, operand.base].astype(np.int64) & 0xFFFF_0000 if low and operand.base is not None else 0
    if operand.base is not None:
        rest = np.full(states.count, displacement, dtype=np.int64)
        if operand.index is not None:
            rest += words[:, operand.index].astype(np.int64) * operand.scale
        if operand.base == ESP and instruction.mnemonic == "pop":
            rest += instruction.operand_size
        words[:, operand.base] = ((chosen - rest) & wrap | high).astype(np.uint32)
        if operand.index == operand.base:
            return nowhere
    elif operand.index is not None:
        # An index that comes close, the low bits as they fall.
        quotient = (chosen - displacement) // operand.scale
        words[:, operand.index] = (quotient & MASK32).astype(np.uint32)
        chosen = displacement + quotient * operand.scale & wrap
    else:
        chosen = np.full(states.count, displacement & wrap, dtype=np.int64)
    fill(states, chosen, _MARGIN, size + _MARGIN)
    return chosen


def _place_implied(states: States, instruction: Instruction, size: int) -> Places:
    """DS:EDI, or DS:DI."""
    low = instruction.address_size == 2
    chosen = targets(states, size, 8, strict=False, low=low)
    high = states.words[:, EDI] & 0xFFFF_0000 if low else 0
    states.words[:, EDI] = chosen.astype(np.uint32) | high
    fill(states, chosen, _MARGIN, size + _MARGIN)
    return chosen


def _place_gather(states: States, operand: Memory, quad: bool) -> Places:
    """A base in the middle of the data, and indices, of 64 bits if ``quad``, that stay near; now and then one that does
    not, or a bad base."""
    assert operand.index is not None
    count, words = states.count, states.words
    chosen = targets(states, operand.size, operand.size, strict=False, low=False)
    if operand.base is not None:
        words[:, operand.base] = ((chosen - operand.displacement) & MASK32).astype(np.uint32)
    else:
        chosen = np.full(count, operand.displacement & MASK32, dtype=np.int64)
    any_ = states.dice.u32(count, 8)
    near = (any_ & 0x1FF).astype(np.int64) - 0x100
    wild = (any_ >> 24 == 0) & (any_ >> 16 & 3 == 0)
    offsets = np.where(wild, any_.astype(np.int64) - (1 << 31), near // operand.scale)
    content = offsets[:, :4].astype("<i8") if quad else offsets.astype("<i4")
    states.set_vector(operand.index, np.ascontiguousarray(content).view(np.uint8).reshape(count, 32))
    fill(states, chosen, 0x120, 0x120)
    return chosen


def fill(states: States, places: Places, before: int, behind: int) -> None:
    """Content from ``before`` each place to ``behind`` it, as far as memory is there; lanes begin at the place."""
    before = -(-before // 8) * 8
    content = states.lanes(before + behind)
    length = content.shape[1]
    data = content.tobytes()
    for number, address in enumerate(places.tolist()):
        start, end = address - before, address + behind
        for low, high in REGIONS:
            if start < high and end > low:
                first, last = max(start, low), min(end, high)
                at = number * length - start
                states.memory[number][first] = bytearray(data[at + first : at + last])


def pieces(states: States, places: Places, content: U8) -> Iterator[tuple[int, int, bytes]]:
    """Number, place and a row of ``content`` for each state that has a place."""
    length = content.shape[1]
    data = np.ascontiguousarray(content).tobytes()
    for number, address in enumerate(places.tolist()):
        if address >= 0:
            yield number, address, data[number * length : (number + 1) * length]


def extended(states: States) -> U8:
    """An 80-bit real for each state."""
    mantissas, exponents = extended_pool(states.variant)
    chosen = states.dice.below(POOL, states.count)
    found = np.zeros((states.count, 10), dtype=np.uint8)
    found[:, :8] = mantissas[chosen].reshape(-1, 1).view(np.uint8)
    found[:, 8:] = exponents[chosen].reshape(-1, 1).view(np.uint8)
    return found
