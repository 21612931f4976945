"""SSE4.2's string comparison: PCMPESTRI PCMPESTRM PCMPISTRI PCMPISTRM and their VEX forms (SDM volume 2, section 4.1).

Two fragments of strings are compared, each element of the second with each of the first; the immediate says how:

    bits 1:0   elements: unsigned bytes, unsigned words, signed bytes, signed words
    bits 3:2   aggregation: equal any, ranges, equal each, equal ordered
    bits 5:4   polarity: as it is, inverted, as it is, inverted where the second fragment has an element
    bit 6      the index of the highest one instead of the lowest, or a mask of elements instead of one of bits

A fragment ends at a null element (PCMPI), or its length is in EAX, the second one's in EDX (PCMPE).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reference.flags import CF, OF, SF, STATUS, ZF
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.packed.lanes import MASK64, S8, S16, U8, U16, Lanes
from reference.isa.semantics.registry import semantics
from reference.registers import EAX, ECX, EDX, EFLAGS


def _explicit_length(register: int, most: int) -> int:
    """The magnitude of a signed register, at most the number of elements."""
    return min(-register & 0xFFFF_FFFF if register >> 31 else register, most)


def _implicit_length(elements: Sequence[int]) -> int:
    return elements.index(0) if 0 in elements else len(elements)


# Aggregations: the valid elements of both fragments and the number of elements in a register, to a mask with a bit for
# each element of the second. What the manual says of comparisons with invalid elements follows from looking at valid
# ones only, and from the two lengths.


def _equal_any(first: Sequence[int], second: Sequence[int], count: int) -> int:
    """Elements that are among those of the first fragment."""
    return sum(1 << j for j, element in enumerate(second) if element in first)


def _ranges(first: Sequence[int], second: Sequence[int], count: int) -> int:
    """Elements that lie within one of the ranges that pairs of the first fragment's elements are."""
    pairs = list(zip(first[::2], first[1::2], strict=False))  # half a pair at the end is none
    return sum(1 << j for j, element in enumerate(second) if any(low <= element <= high for low, high in pairs))


def _equal_each(first: Sequence[int], second: Sequence[int], count: int) -> int:
    """Elements that equal their counterpart; where both fragments have ended they do."""
    ended = max(len(first), len(second))
    same = sum(1 << j for j, (a, b) in enumerate(zip(first, second, strict=False)) if a == b)
    return same | (1 << count) - (1 << ended)


def _equal_ordered(first: Sequence[int], second: Sequence[int], count: int) -> int:
    """Where the first fragment occurs in the second; at its end, as much of it as the register could hold."""
    mask = 0
    for j in range(count):
        wanted = first[: count - j]
        if list(wanted) == list(second[j : j + len(wanted)]):
            mask |= 1 << j
    return mask


_AGGREGATIONS: Final = (_equal_any, _ranges, _equal_each, _equal_ordered)
_FORMATS: Final = (U8, U16, S8, S16)


def _compare(m: Machine, op: Operation, *, explicit: bool) -> tuple[int, Lanes]:
    """Set the flags; the resulting mask, and what its bits stand for."""
    control = op.third()
    elements = _FORMATS[control & 3]
    first, second = elements.split(op.load(), 16), elements.split(op.source(), 16)
    count = len(first)
    if explicit:
        lengths = _explicit_length(m.words[EAX], count), _explicit_length(m.words[EDX], count)
    else:
        lengths = _implicit_length(first), _implicit_length(second)
    mask = _AGGREGATIONS[control >> 2 & 3](first[: lengths[0]], second[: lengths[1]], count)
    if control & 0x10:
        mask ^= (1 << (lengths[1] if control & 0x20 else count)) - 1
    flags = (CF if mask else 0) | (OF if mask & 1 else 0)
    flags |= (SF if lengths[0] < count else 0) | (ZF if lengths[1] < count else 0)
    m.words[EFLAGS] = m.words[EFLAGS] & ~STATUS | flags
    return mask, elements


def _store_index(m: Machine, op: Operation, *, explicit: bool) -> int:
    """The number of the lowest or highest one to ECX; of elements, where there is none."""
    mask, elements = _compare(m, op, explicit=explicit)
    if not mask:
        m.words[ECX] = 16 // elements.size
    else:
        one = mask if op.third() & 0x40 else mask & -mask
        m.words[ECX] = one.bit_length() - 1
    return op.next


def _store_mask(m: Machine, op: Operation, *, explicit: bool) -> int:
    """The mask to XMM0: its bits, or elements of ones."""
    mask, elements = _compare(m, op, explicit=explicit)
    if op.third() & 0x40:
        mask = elements.wrap([-(mask >> i & 1) for i in range(16 // elements.size)])
    image = m.image
    image[20], image[21] = mask & MASK64, mask >> 64
    if op.vex:
        image[72] = image[73] = 0
    return op.next


@semantics("pcmpestri", "vpcmpestri")
def pcmpestri(m: Machine, op: Operation) -> int:
    """Explicit lengths, index."""
    return _store_index(m, op, explicit=True)


@semantics("pcmpestrm", "vpcmpestrm")
def pcmpestrm(m: Machine, op: Operation) -> int:
    """Explicit lengths, mask."""
    return _store_mask(m, op, explicit=True)


@semantics("pcmpistri", "vpcmpistri")
def pcmpistri(m: Machine, op: Operation) -> int:
    """Implicit lengths, index."""
    return _store_index(m, op, explicit=False)


@semantics("pcmpistrm", "vpcmpistrm")
def pcmpistrm(m: Machine, op: Operation) -> int:
    """Implicit lengths, mask."""
    return _store_mask(m, op, explicit=False)
