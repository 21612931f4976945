"""Pass 2a, meter: where the fuel of instructions is taken (reference.translator.meter)."""

from __future__ import annotations

from typing import Final

from jit.passes.native import compiled, item_at
from jit.passes.records import SHAPES, Context
from reference.translator import meter

#: A mask over shapes.
_ENDS_STRETCH: Final = sum(1 << SHAPES.index(shape) for shape in meter.ENDS_STRETCH)


@compiled
def charge(context: Context, count: int) -> None:
    """Fill in ``charge``: of no item if fragments are not metered."""
    for i in range(count):
        item_at(context.items, i).charge = 0
    if not context.metered:
        return
    # First, mark where stretches begin.
    item_at(context.items, 0).charge = 1
    for i in range(count):
        item = item_at(context.items, i)
        if item.inside >= 0:
            item_at(context.items, item.inside).charge = 1
        if i + 1 < count and _ENDS_STRETCH >> item.shape & 1:
            item_at(context.items, i + 1).charge = 1
    instructions = 0
    for i in range(count - 1, -1, -1):
        item = item_at(context.items, i)
        instructions += item.length != 0  # the closing jump is none of the guest's
        if item.charge:
            item.charge = instructions
            instructions = 0
