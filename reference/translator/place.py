"""Pass 3, place: give every template its exact offset in the code segment.

Sizes of templates are constants, or follow from the instruction; only branches inside the fragment have two. They are
tried short first; whoever does not reach becomes near, which can only push others further apart, so this ends.
"""

from __future__ import annotations

from typing import Final

from reference.isa.instruction import Immediate, Instruction, Memory
from reference.records import dataclass
from reference.registers import Segment
from reference.translator.meter import METER_SIZE
from reference.translator.scan import Item, Shape
from reference.translator.shape import Sizes, placed, sizes

__all__ = ["Placement", "branch_end", "leaves", "place", "placed", "released", "return_landing"]

#: Sizes in bytes of what emit.py writes, whatever the entry table.
TRAMPOLINE_SIZE: Final = 16
TRAP_SIZE: Final = 27
JUMP_SIZES: Final = (5, 2)  # near, short
BRANCH_SIZES: Final = (6, 2)
LOOP_SIZES: Final = (9, 2)  # without an address-size prefix
POP_SIZE: Final = 1
RELEASE_SIZE: Final = 7  # lea esp, [esp + imm32]


@dataclass(slots=True)
class Placement:
    """Where things stand: ``body`` behind the entry landing, ``tail`` behind the last template, ``trampolines`` by
    guest EIP, ``end`` behind everything. Code offsets."""

    body: int
    tail: int
    trampolines: dict[int, int]
    end: int


def place(items: list[Item], offset: int, window: int | None) -> Placement:
    """Fill in ``offset``, ``size`` and ``template`` of each item for a fragment that starts at code offset ``offset``."""
    its = sizes(window)
    while True:
        here = offset + its.landing
        for item in items:
            item.offset, item.template = here, here + (METER_SIZE if item.charge else 0)
            here = item.template + _size(item, its)
            item.size = here - item.offset
        too_far = [item for item in items if item.short and not _reaches(item, items, its)]
        if not too_far:
            break
        for item in too_far:
            item.short = False
    tail = here
    trampolines: dict[int, int] = {}
    for item in items:
        if leaves(item) and item.target not in trampolines:
            trampolines[item.target] = here
            here += TRAMPOLINE_SIZE
    return Placement(offset + its.landing, tail, trampolines, here)


def leaves(item: Item) -> bool:
    """Whether the item is a direct branch out of the fragment."""
    return item.inside is None and item.shape in (Shape.JUMP, Shape.BRANCH, Shape.LOOP, Shape.CALL, Shape.FALL)


def return_landing(item: Item, its: Sizes) -> int:
    """The code offset of the landing for a call's return, with which its template ends."""
    return item.offset + item.size - its.landing


def branch_end(item: Item, its: Sizes) -> int:
    """The code offset from which the displacement of a direct branch counts."""
    return return_landing(item, its) if item.shape == Shape.CALL else item.offset + item.size


def _reaches(item: Item, items: list[Item], its: Sizes) -> bool:
    assert item.inside is not None
    return -128 <= items[item.inside].offset - branch_end(item, its) <= 127


def _size(item: Item, its: Sizes) -> int:
    instruction = item.instruction
    if instruction is None:
        return JUMP_SIZES[0]
    match item.shape:
        case Shape.COPY:
            return len(instruction.copy)
        case Shape.FOLD:
            return folded_size(instruction)
        case Shape.JUMP:
            return JUMP_SIZES[item.short]
        case Shape.BRANCH:
            return BRANCH_SIZES[item.short]
        case Shape.LOOP:
            return LOOP_SIZES[item.short] + (instruction.address_size == 2)
        case Shape.CALL:
            return its.call + JUMP_SIZES[item.short] + its.landing
        case Shape.CALL_INDIRECT:
            return its.spill + target_size(instruction) + its.call + its.dispatch + its.landing
        case Shape.JUMP_INDIRECT:
            return its.spill + target_size(instruction) + its.dispatch
        case Shape.RETURN:
            return its.spill + POP_SIZE + (RELEASE_SIZE if released(instruction) else 0) + its.dispatch
        case Shape.OVERFLOW:
            return 2 + TRAP_SIZE
        case _:
            return TRAP_SIZE


def released(instruction: Instruction) -> int:
    """The bytes that a return releases beyond its return address."""
    operand = instruction.operands[0] if instruction.operands else None
    return operand.value if isinstance(operand, Immediate) else 0


def target_size(instruction: Instruction) -> int:
    """The size of ``mov ecx, r/m`` with the operand of an indirect jump or call."""
    return folded_size(instruction) if _is_folded(instruction) else len(instruction.copy)


def folded_size(instruction: Instruction) -> int:
    """The size with 32 bits of displacement, whatever the original had."""
    return len(instruction.copy) + 4 - instruction.displacement_size


def _is_folded(instruction: Instruction) -> bool:
    operand = instruction.operands[0]
    return isinstance(operand, Memory) and operand.segment == Segment.GS
