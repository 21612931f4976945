"""Lanes: a vector as a row of equal numbers, and back.

A vector register or memory operand is one integer (:mod:`reference.isa.semantics.operation`), lane 0 in its lowest
bits. Packed instructions are written on what :meth:`Lanes.split` makes of it. Three ways lead back, which are also the
three things that Intel's instructions do with results that do not fit (SDM volume 1, section 9.3.3): :meth:`Lanes.join`
where they all fit, :meth:`Lanes.wrap` cuts them, :meth:`Lanes.clamp` saturates.

Most AVX instructions on 256 bits are two of 128 bits side by side, which do not exchange anything: they go by
:meth:`Lanes.blocks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final

#: Bytes of a block: what a vector instruction keeps its lanes within, unless it says otherwise.
BLOCK: Final = 16
MASK64: Final = (1 << 64) - 1
MASK128: Final = (1 << 128) - 1

_CODES: Final = {8: "b", 16: "h", 32: "i", 64: "q"}
_VECTOR_SIZES: Final = (2, 4, 8, 16, 32)


class Lanes:
    """Lanes of ``bits`` bits, which are ``signed`` or not. ``size`` is that of one in bytes; sizes of vectors are in
    bytes too.

    >>> S8.split(0x80_7F_FF_01, 4)
    (1, -1, 127, -128)
    >>> hex(U8.wrap([0x100, 0x1FF])), hex(U8.clamp([-1, 0x1FF]))
    ('0xff00', '0xff00')
    """

    __slots__ = ("_pack", "_unpack", "bits", "highest", "lowest", "mask", "sign", "size")

    def __init__(self, bits: int, *, signed: bool) -> None:
        self.bits = bits
        self.size = bits // 8
        self.mask = (1 << bits) - 1
        self.sign = 1 << bits - 1
        self.lowest = -self.sign if signed else 0
        self.highest = self.lowest + self.mask
        unsigned = _CODES[bits].upper()
        code = _CODES[bits] if signed else unsigned
        counts = [size // self.size for size in _VECTOR_SIZES if size >= self.size]
        self._unpack = {count * self.size: Struct(f"<{count}{code}").unpack for count in counts}
        self._pack = {count: Struct(f"<{count}{unsigned}").pack for count in counts}

    def split(self, vector: int, size: int) -> tuple[int, ...]:
        """The lanes of a vector of ``size`` bytes, lowest first."""
        return self._unpack[size](vector.to_bytes(size, "little"))

    def blocks(self, vector: int, size: int) -> tuple[tuple[int, ...], ...]:
        """The lanes of each 128 bits of a vector; of an MMX register, its lanes."""
        if size <= BLOCK:
            return (self.split(vector, size),)
        lanes = self.split(vector, size)
        middle = len(lanes) // 2
        return lanes[:middle], lanes[middle:]

    def join(self, lanes: Sequence[int]) -> int:
        """The vector of lanes that are not negative and fit."""
        return int.from_bytes(self._pack[len(lanes)](*lanes), "little")

    def wrap(self, lanes: Iterable[int]) -> int:
        """The vector of lanes of which the low bits are taken."""
        mask = self.mask
        return self.join([lane & mask for lane in lanes])

    def clamp(self, lanes: Iterable[int]) -> int:
        """The vector of lanes of which each that does not fit becomes the nearest that does."""
        lowest, highest, mask = self.lowest, self.highest, self.mask
        return self.join(
            [
                lane & mask if lowest <= lane <= highest else (lowest if lane < lowest else highest) & mask
                for lane in lanes
            ]
        )


U8, U16, U32, U64 = (Lanes(bits, signed=False) for bits in _CODES)
S8, S16, S32, S64 = (Lanes(bits, signed=True) for bits in _CODES)
