"""Packed shifts: all lanes by one count, each lane by its own, and whole 128 bits by bytes.

Unlike those of the integer instructions, a count is never cut: from the width of a lane on nothing is left of it, or
nothing but its sign (SDM volume 2, PSLLW and PSRAW).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference.isa.semantics.packed.form import Binary, two_sources
from reference.isa.semantics.packed.lanes import BLOCK, MASK64, S16, S32, U8, U16, U32, U64, Lanes

Shift = Callable[[int, int, int], int]


def _left(lane: int, count: int, bits: int) -> int:
    return lane << count if count < bits else 0


def _right(lane: int, count: int, bits: int) -> int:
    """Fills with zeros, or, if the lane is signed, with its sign."""
    return lane >> min(count, bits)


# -- by one count ----------------------------------------------------------------------------------------------------


def _by_one_count(lanes: Lanes, shift: Shift) -> Binary:
    """The count is an immediate, or the low 64 bits of a register or memory operand, all of which count."""
    bits = lanes.bits

    def combine(a: int, b: int, size: int) -> int:
        count = min(b & MASK64, bits)
        return lanes.wrap([shift(lane, count, bits) for lane in lanes.split(a, size)])

    return combine


_SHIFTS: Final = (
    ("psllw", U16, _left), ("psrlw", U16, _right), ("psraw", S16, _right),
    ("pslld", U32, _left), ("psrld", U32, _right), ("psrad", S32, _right),
    ("psllq", U64, _left), ("psrlq", U64, _right),
)  # fmt: skip

for _mnemonic, _lanes, _shift in _SHIFTS:
    two_sources(_mnemonic, "v" + _mnemonic)(_by_one_count(_lanes, _shift))


# -- by a count for each lane ----------------------------------------------------------------------------------------


def _by_own_counts(lanes: Lanes, counts: Lanes, shift: Shift) -> Binary:
    bits = lanes.bits

    def combine(a: int, b: int, size: int) -> int:
        pairs = zip(lanes.split(a, size), counts.split(b, size), strict=True)
        return lanes.wrap([shift(lane, count, bits) for lane, count in pairs])

    return combine


two_sources("vpsllvd")(_by_own_counts(U32, U32, _left))
two_sources("vpsllvq")(_by_own_counts(U64, U64, _left))
two_sources("vpsrlvd")(_by_own_counts(U32, U32, _right))
two_sources("vpsrlvq")(_by_own_counts(U64, U64, _right))
two_sources("vpsravd")(_by_own_counts(S32, U32, _right))


# -- by bytes --------------------------------------------------------------------------------------------------------

_ZEROS: Final = (0,) * BLOCK


@two_sources("pslldq", "vpslldq")
def pslldq(a: int, count: int, size: int) -> int:
    """Bytes move up within each 128 bits."""
    count = min(count, BLOCK)
    lanes: list[int] = []
    for block in U8.blocks(a, size):
        lanes += (_ZEROS[:count] + block)[:BLOCK]
    return U8.join(lanes)


@two_sources("psrldq", "vpsrldq")
def psrldq(a: int, count: int, size: int) -> int:
    """Bytes move down within each 128 bits."""
    count = min(count, BLOCK)
    lanes: list[int] = []
    for block in U8.blocks(a, size):
        lanes += block[count:] + _ZEROS[:count]
    return U8.join(lanes)
