"""Pass 3, place: give every template its exact offset in the code segment (reference.translator.place).

Sizes come from the stencils that LLVM assembled; the specification counts them by hand.
"""

from __future__ import annotations

from jit.passes.native import compiled, item_at, stencil_at
from jit.passes.records import Context, Item
from jit.passes.scan import (
    BRANCH,
    CALL,
    CALL_INDIRECT,
    COPY,
    FALL,
    FOLD,
    JUMP,
    JUMP_INDIRECT,
    LOOP,
    OVERFLOW,
    RETURN,
)
from jit.stencils import HASHED, NUMBERS

TRAMPOLINE, TRAP = NUMBERS["trampoline"], NUMBERS["trap"]
#: What depends on the kind of the entry table: see :func:`for_table`.
LANDING, SPILL, DISPATCH, PUSH_RETURN = (NUMBERS[name] for name in ("landing", "spill", "dispatch", "push_return"))
POP_TARGET, RELEASE, OVERFLOW_TRAP = NUMBERS["pop_target"], NUMBERS["release"], NUMBERS["overflow"]
JUMP_NEAR, JUMP_SHORT = NUMBERS["jump_near"], NUMBERS["jump_short"]
#: The first of sixteen, by condition.
BRANCH_NEAR, BRANCH_SHORT = NUMBERS["branch_near_o"], NUMBERS["branch_short_o"]
#: The first of four, by opcode.
LOOP_NEAR, LOOP_SHORT = NUMBERS["near_loopne"], NUMBERS["short_loopne"]
ADDRESS_PREFIX = NUMBERS["address_prefix"]
METER = NUMBERS["meter"]


@compiled
def place(context: Context, count: int, offset: int) -> int:
    """Fill in ``offset``, ``size``, ``template`` and ``trampoline`` of each item; the offset behind the last template."""
    while True:
        here = offset + size_of(context, for_table(context, LANDING))
        for i in range(count):
            item = item_at(context.items, i)
            item.offset = here
            if item.charge:
                here += size_of(context, METER)
            item.template = here
            here += _size(context, item)
            item.size = here - item.offset
        settled = True
        for i in range(count):
            item = item_at(context.items, i)
            if item.short and not _reaches(context, item):
                item.short = 0
                settled = False
        if settled:
            break
    _place_trampolines(context, count, here)
    return here


@compiled
def _place_trampolines(context: Context, count: int, here: int) -> None:
    """Branches out of the fragment share a trampoline if they share a target."""
    last = -1  # of the items with a trampoline of their own, each of which names the one before
    for i in range(count):
        item = item_at(context.items, i)
        item.trampoline = 0
        if leaves(item):
            k = last
            while k >= 0 and item_at(context.items, k).target != item.target:
                k = item_at(context.items, k).earlier
            if k >= 0:
                item.trampoline = item_at(context.items, k).trampoline
            else:
                item.trampoline = here
                here += size_of(context, TRAMPOLINE)
                item.earlier, last = last, i


@compiled
def leaves(item: Item) -> bool:
    """Whether the item is a direct branch out of the fragment."""
    shape = item.shape
    return item.inside < 0 and shape in (JUMP, BRANCH, LOOP, CALL, FALL)


@compiled
def branch_end(context: Context, item: Item) -> int:
    """The code offset from which the displacement of a direct branch counts."""
    end = item.offset + item.size
    return end - size_of(context, for_table(context, LANDING)) if item.shape == CALL else end


@compiled
def _reaches(context: Context, item: Item) -> bool:
    distance = item_at(context.items, item.inside).offset - branch_end(context, item)
    return -128 <= distance <= 127


@compiled
def for_table(context: Context, stencil: int) -> int:
    """The stencil for the kind of entry table that there is, from that for the direct one."""
    return stencil + HASHED if context.window < 0 else stencil


@compiled
def size_of(context: Context, stencil: int) -> int:
    """The size of a stencil."""
    return int(stencil_at(context.stencils, stencil).size)


@compiled
def _size(context: Context, item: Item) -> int:
    shape = item.shape
    if shape == COPY:
        return item.copy_size
    if shape == FOLD:
        return folded_size(item)
    if shape in (JUMP, FALL):
        return size_of(context, JUMP_SHORT if item.short else JUMP_NEAR)
    if shape == BRANCH:
        return size_of(context, BRANCH_SHORT if item.short else BRANCH_NEAR)
    if shape == LOOP:
        size = size_of(context, LOOP_SHORT if item.short else LOOP_NEAR)
        return size + size_of(context, ADDRESS_PREFIX) if item.address_size == 2 else size
    if shape == CALL:
        jump = size_of(context, JUMP_SHORT if item.short else JUMP_NEAR)
        return size_of(context, for_table(context, PUSH_RETURN)) + jump + size_of(context, for_table(context, LANDING))
    if shape in (CALL_INDIRECT, JUMP_INDIRECT):
        size = (
            size_of(context, for_table(context, SPILL))
            + target_size(item)
            + size_of(context, for_table(context, DISPATCH))
        )
        if shape == CALL_INDIRECT:
            size += size_of(context, for_table(context, PUSH_RETURN)) + size_of(context, for_table(context, LANDING))
        return size
    if shape == RETURN:
        size = (
            size_of(context, for_table(context, SPILL))
            + size_of(context, POP_TARGET)
            + size_of(context, for_table(context, DISPATCH))
        )
        return size + size_of(context, RELEASE) if item.released else size
    return size_of(context, OVERFLOW_TRAP if shape == OVERFLOW else TRAP)


@compiled
def target_size(item: Item) -> int:
    """The size of ``mov ecx, r/m`` with the operand of an indirect jump or call."""
    return folded_size(item) if item.folded else item.copy_size


@compiled
def folded_size(item: Item) -> int:
    """The size with 32 bits of displacement, whatever the original had."""
    return item.copy_size + 4 - item.displacement_size
