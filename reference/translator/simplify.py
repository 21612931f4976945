"""Pass 2, simplify: find the direct branches that stay within the fragment, and hope that they fit 8 bits.

A branch inside needs no trampoline and no link. Every such branch starts out short; the next pass, which knows the
offsets, lengthens those that turn out not to reach. (Paper, section 3.2.)
"""

from __future__ import annotations

from reference.translator.scan import Item, Shape


def simplify(items: list[Item]) -> None:
    """Fill in ``inside`` and ``short``. A target inside an instruction is not inside the fragment: it gets its own."""
    by_eip = {item.eip: index for index, item in enumerate(items) if item.instruction is not None}
    for item in items:
        if item.shape in (Shape.JUMP, Shape.BRANCH, Shape.LOOP, Shape.CALL):
            item.inside = by_eip.get(item.target)
            item.short = item.inside is not None
