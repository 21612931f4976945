"""The entry point: one guest address in, one fragment out (reference.translator.translate)."""

from __future__ import annotations

from typing import Final

from jit.passes.emit import emit
from jit.passes.meter import charge
from jit.passes.native import compiled
from jit.passes.place import place
from jit.passes.records import Context, Status
from jit.passes.scan import scan
from jit.passes.simplify import simplify
from reference.registers import MASK32

_DONE: Final = int(Status.DONE)


@compiled
def translate(context: Context, code: int, available: int, eip: int, offset: int) -> int:
    """Translate the guest code at ``eip``, of which ``available`` bytes are at address ``code``, for code offset
    ``offset``.

    Returns a :class:`Status`; the fragment is in ``context.output`` and ``context.result``.
    """
    context.code = code
    # The upper halves are whatever the caller left there.
    available, eip, offset = available & MASK32, eip & MASK32, offset & MASK32
    count = scan(context, available, eip)
    if count < 0:
        return -count
    simplify(context, count)
    charge(context, count)
    tail = place(context, count, offset)
    emit(context, count, eip, offset, tail)
    return _DONE
