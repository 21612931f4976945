"""Random numbers by the thousand, the same on every machine.

NumPy's own generators may give other numbers in another version; Python's Mersenne Twister does not. So the bytes come from
:mod:`random`, and NumPy only deals them out.
"""

from __future__ import annotations

import math
import random
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

U8: TypeAlias = npt.NDArray[np.uint8]
U16: TypeAlias = npt.NDArray[np.uint16]
U32: TypeAlias = npt.NDArray[np.uint32]
U64: TypeAlias = npt.NDArray[np.uint64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Shape: TypeAlias = tuple[int, ...]


class Dice:
    """Arrays of random numbers, not to be written to; ``rng`` is the same source one number at a time."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def _array(self, shape: Shape, kind: str) -> Any:
        data = self.rng.randbytes(math.prod(shape) * int(kind[-1]))
        return np.frombuffer(data, dtype=kind).reshape(shape)

    def u8(self, *shape: int) -> U8:
        """Bytes."""
        found: U8 = self._array(shape, "<u1")
        return found

    def u16(self, *shape: int) -> U16:
        """Words of 16 bits."""
        found: U16 = self._array(shape, "<u2")
        return found

    def u32(self, *shape: int) -> U32:
        """Words of 32 bits."""
        found: U32 = self._array(shape, "<u4")
        return found

    def u64(self, *shape: int) -> U64:
        """Words of 64 bits."""
        found: U64 = self._array(shape, "<u8")
        return found

    def below(self, limit: int, *shape: int) -> npt.NDArray[np.int64]:
        """Numbers from 0 to ``limit - 1``, at most 65,536 of them; as indices, and fit for signed arithmetic."""
        return self.u16(*shape).astype(np.int64) * limit >> 16

    def chance(self, probability: float, *shape: int) -> Bools:
        """True with this probability."""
        found: Bools = self.u16(*shape) < int(probability * 0x1_0000)
        return found
