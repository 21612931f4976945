"""Pass 2, simplify: find the direct branches that stay within the fragment (reference.translator.simplify)."""

from __future__ import annotations

from jit.passes.native import compiled, item_at
from jit.passes.records import Context
from jit.passes.scan import BRANCH, CALL, JUMP, LOOP
from reference.registers import MASK32


@compiled
def simplify(context: Context, count: int) -> None:
    """Fill in ``inside`` and ``short``."""
    eip = item_at(context.items, 0).eip
    extent = (item_at(context.items, count - 1).eip - eip) & MASK32
    for i in range(count):
        item = item_at(context.items, i)
        item.inside = -1
        shape = item.shape
        # Most branches lead further than the fragment reaches.
        if shape in (JUMP, BRANCH, LOOP, CALL) and (item.target - eip) & MASK32 <= extent:
            item.inside = _item_at_eip(context, count, item.target)
        item.short = item.inside >= 0


@compiled
def _item_at_eip(context: Context, count: int, eip: int) -> int:
    """The item whose guest instruction begins at ``eip``, or -1. The closing jump is none."""
    for i in range(count):
        item = item_at(context.items, i)
        if item.eip == eip and item.length:
            return i
    return -1
