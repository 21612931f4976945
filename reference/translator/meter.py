"""Pass 2a, meter: where the fuel of instructions is taken, in fragments of guests that have a limit of it.

A *stretch* is a run of instructions that are all executed if the first is, unless one of them stops the guest. It begins
with the fragment, behind every instruction that may go elsewhere and come back, and wherever a branch inside leads to; it
ends where the next one begins. In front of it stands its *meter*, which takes the fuel of all its instructions at once:

    mov    gs:[spilled ECX], ecx
    mov    ecx, gs:[FUEL]
    lea    ecx, [ecx - n]
    mov    gs:[FUEL], ecx
    movzx  ecx, byte gs:[FUEL + 3]       zero as long as there was enough
    jecxz  +1
    hlt                                  not enough: a fault, by which the host is asked
    mov    ecx, gs:[spilled ECX]

No flag is touched. Whatever leads to the stretch leads to the meter. When the guest stops in the middle of a stretch, the
host gives back the fuel of what was not executed (reference/dispatch.py).
"""

from __future__ import annotations

from typing import Final

from reference import encode as e
from reference import layout as at
from reference.registers import ECX
from reference.translator.scan import Item, Shape

#: Behind an instruction of these shapes, if the fragment goes on there, begins another stretch.
ENDS_STRETCH: Final = frozenset({Shape.BRANCH, Shape.LOOP, Shape.CALL, Shape.CALL_INDIRECT, Shape.OVERFLOW})

_JECXZ: Final = 0xE3
_HLT: Final = b"\xf4"
METER_SIZE: Final = 42
#: In a meter, the offset from which on the guest's ECX is in its spill word.
METER_BORROWS: Final = 7


def charge(items: list[Item]) -> None:
    """Fill in ``charge``. Needs ``inside``."""
    begins = {0} | {item.inside for item in items if item.inside is not None}
    begins |= {index + 1 for index, item in enumerate(items) if item.shape in ENDS_STRETCH}
    count = 0
    for index in range(len(items) - 1, -1, -1):
        count += items[index].instruction is not None  # the closing jump is none of the guest's
        if index in begins:
            items[index].charge, count = count, 0


def meter(instructions: int) -> bytes:
    """The code that takes the fuel of so many instructions."""
    return b"".join(
        (
            e.mov_gs_from(at.SPILL_ECX, ECX),
            e.mov_from_gs(ECX, at.FUEL),
            e.lea_short(ECX, -instructions),
            e.mov_gs_from(at.FUEL, ECX),
            e.movzx_byte_from_gs(ECX, at.FUEL + 3),
            e.jump_short(_JECXZ, len(_HLT)),
            _HLT,
            e.mov_from_gs(ECX, at.SPILL_ECX),
        )
    )
