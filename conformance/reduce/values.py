"""Which of two numbers is simpler, and what to try in place of one.

Simple are zero, one, few bits that stand together, one in floating point; and the complement of something simple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

#: One as a floating-point number of so many bits: simple, whatever it looks like.
_ONES: Final = {32: 0x3F80_0000, 64: 0x3FF0_0000_0000_0000, 80: 0x3FFF_8000_0000_0000_0000}
_WEIGHT_OF_ONE: Final = 1


def weight(value: int, bits: int) -> int:
    """How complicated a number of so many bits is; zero for zero only.

    >>> [weight(value, 32) for value in (0, 1, 0x80000000, 0xFFFFFFFF, 6, 0x12345678)]
    [0, 1, 2, 2, 4, 39]
    """
    if value == 0:
        return 0
    complement = value ^ (1 << bits) - 1
    found = min(_bits_that_matter(value), 2 + _bits_that_matter(complement))
    return min(found, _WEIGHT_OF_ONE) if value == _ONES.get(bits) else found


def _bits_that_matter(value: int) -> int:
    if not value:
        return 0
    zeros = (value & -value).bit_length() - 1
    odd = value >> zeros
    return odd.bit_length() + odd.bit_count() - (0 if zeros else 1)


def simpler(value: int, bits: int) -> Iterator[int]:
    """Numbers that are simpler, the simplest first."""
    mask, half = (1 << bits) - 1, (1 << bits // 2) - 1
    found = {0, 1, mask, mask >> 1, mask ^ mask >> 1, _ONES.get(bits, 0)}
    found |= {value & half, value & ~half, value & 0xFF, value >> 1, value & -value, 1 << value.bit_length() >> 1}
    if bits > 32:
        found |= {value & ~(0xFF << bit) for bit in range(0, bits, 8)}
    if bits <= 32 or value.bit_count() <= 8:
        found |= {value ^ 1 << bit for bit in range(bits)}
    limit = weight(value, bits)
    weights = {each: weight(each, bits) for each in found}
    yield from sorted((each for each in found if weights[each] < limit), key=lambda each: (weights[each], each))


def simplify(value: int, bits: int, attempt: Callable[[int], bool]) -> int:
    """Put simpler numbers in place of one as long as ``attempt`` takes them; the last one that it took."""
    while True:
        for each in simpler(value, bits):
            if attempt(each):
                value = each
                break
        else:
            return value
