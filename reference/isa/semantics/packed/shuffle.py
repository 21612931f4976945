"""Lanes that change places: unpack, shuffle, align, permute, blend, broadcast, insert, extract.

No lane changes its value, so those called floating-point (SHUFPS, BLENDPD, VPERMILPS …) move bits like the others. A
control is an immediate or a vector; two, three or four bits of it name a lane.
"""

from __future__ import annotations

from reference.isa.instruction import Immediate, Memory
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation, size_of
from reference.isa.semantics.packed.form import (
    Binary,
    Ternary,
    Unary,
    one_source,
    one_source_control,
    two_sources,
    two_sources_control,
)
from reference.isa.semantics.packed.lanes import MASK128, S8, S32, S64, U8, U16, U32, U64, Lanes
from reference.isa.semantics.registry import Semantics, semantics

# -- interleave ------------------------------------------------------------------------------------------------------


def _unpack(lanes: Lanes, *, high: bool) -> Binary:
    """The low or the high halves of both sources, a lane of each in turn, in each 128 bits."""

    def combine(a: int, b: int, size: int) -> int:
        results: list[int] = []
        for x, y in zip(lanes.blocks(a, size), lanes.blocks(b, size), strict=True):
            middle = len(x) // 2
            half = slice(middle, None) if high else slice(middle)
            for pair in zip(x[half], y[half], strict=True):
                results += pair
        return lanes.join(results)

    return combine


two_sources("punpcklbw", "vpunpcklbw")(_unpack(U8, high=False))
two_sources("punpcklwd", "vpunpcklwd")(_unpack(U16, high=False))
two_sources("punpckldq", "vpunpckldq", "unpcklps", "vunpcklps")(_unpack(U32, high=False))
two_sources("punpcklqdq", "vpunpcklqdq", "unpcklpd", "vunpcklpd")(_unpack(U64, high=False))
two_sources("punpckhbw", "vpunpckhbw")(_unpack(U8, high=True))
two_sources("punpckhwd", "vpunpckhwd")(_unpack(U16, high=True))
two_sources("punpckhdq", "vpunpckhdq", "unpckhps", "vunpckhps")(_unpack(U32, high=True))
two_sources("punpckhqdq", "vpunpckhqdq", "unpckhpd", "vunpckhpd")(_unpack(U64, high=True))


# -- shuffles by an immediate ----------------------------------------------------------------------------------------


def _four(control: int) -> tuple[int, int, int, int]:
    """Four lane numbers of two bits each, as most shuffles have them."""
    return control & 3, control >> 2 & 3, control >> 4 & 3, control >> 6 & 3


@one_source_control("pshufd", "vpshufd")
def pshufd(value: int, control: int, size: int) -> int:
    """Four lanes of 32 bits, any in any place, in each 128 bits."""
    chosen = _four(control)
    return U32.join([block[i] for block in U32.blocks(value, size) for i in chosen])


@one_source_control("pshufw", "pshuflw", "vpshuflw")
def pshuflw(value: int, control: int, size: int) -> int:
    """Likewise the low four words of each 128 bits, or of an MMX register; the others stay."""
    chosen = _four(control)
    words: list[int] = []
    for block in U16.blocks(value, size):
        words += [block[i] for i in chosen]
        words += block[4:]
    return U16.join(words)


@one_source_control("pshufhw", "vpshufhw")
def pshufhw(value: int, control: int, size: int) -> int:
    """Likewise the high four words."""
    chosen = _four(control)
    words: list[int] = []
    for block in U16.blocks(value, size):
        words += block[:4]
        words += [block[4 + i] for i in chosen]
    return U16.join(words)


@two_sources_control("shufps", "vshufps")
def shufps(a: int, b: int, control: int, size: int) -> int:
    """Two lanes of the first source, then two of the second, in each 128 bits."""
    first, second, third, fourth = _four(control)
    lanes: list[int] = []
    for x, y in zip(U32.blocks(a, size), U32.blocks(b, size), strict=True):
        lanes += (x[first], x[second], y[third], y[fourth])
    return U32.join(lanes)


@two_sources_control("shufpd", "vshufpd")
def shufpd(a: int, b: int, control: int, size: int) -> int:
    """One lane of the first source, then one of the second; control has a bit for each lane."""
    lanes: list[int] = []
    for x, y in zip(U64.blocks(a, size), U64.blocks(b, size), strict=True):
        lanes += (x[control & 1], y[control >> 1 & 1])
        control >>= 2
    return U64.join(lanes)


@two_sources_control("palignr", "vpalignr")
def palignr(a: int, b: int, count: int, size: int) -> int:
    """The first source above the second, moved down by ``count`` bytes, in each 128 bits."""
    results: list[int] = []
    for x, y in zip(U8.blocks(a, size), U8.blocks(b, size), strict=True):
        length = len(x)
        lanes = (y + x)[count : count + length]
        results += lanes + (0,) * (length - len(lanes))
    return U8.join(results)


# -- shuffles by a vector --------------------------------------------------------------------------------------------


@two_sources("pshufb", "vpshufb")
def pshufb(a: int, b: int, size: int) -> int:
    """Each byte of the second source names a byte of the first within the same 128 bits, or with its sign bit, zero."""
    lanes: list[int] = []
    for x, y in zip(U8.blocks(a, size), U8.blocks(b, size), strict=True):
        last = len(x) - 1
        lanes += [0 if i & 0x80 else x[i & last] for i in y]
    return U8.join(lanes)


def _vpermilps(a: int, b: int, size: int) -> int:
    """The low two bits of each lane of the second source name a lane of the first within the same 128 bits."""
    blocks = zip(U32.blocks(a, size), U32.blocks(b, size), strict=True)
    return U32.join([x[i & 3] for x, y in blocks for i in y])


def _vpermilpd(a: int, b: int, size: int) -> int:
    """Bit 1, not 0, of each lane does."""
    blocks = zip(U64.blocks(a, size), U64.blocks(b, size), strict=True)
    return U64.join([x[i >> 1 & 1] for x, y in blocks for i in y])


def _vpermilpd_immediate(a: int, control: int, size: int) -> int:
    """Control has a bit for each lane."""
    lanes = [block[i] for block in U64.blocks(a, size) for i in (0, 1)]
    return U64.join([lanes[i & ~1 | control >> i & 1] for i in range(len(lanes))])


def _vpermil(by_vector: Binary, by_immediate: Binary) -> Semantics:
    """Two instructions under one name."""

    def run(m: Machine, op: Operation) -> int:
        permute = by_immediate if isinstance(op.operands[2], Immediate) else by_vector
        op.store(permute(op.source(), op.third(), op.size))
        return op.next

    return run


semantics("vpermilps")(_vpermil(_vpermilps, pshufd))
semantics("vpermilpd")(_vpermil(_vpermilpd, _vpermilpd_immediate))


# -- permutations of the whole vector --------------------------------------------------------------------------------


@two_sources("vpermd", "vpermps")
def vpermd(a: int, b: int, size: int) -> int:
    """Each lane of the first source names a lane of the second."""
    lanes = U32.split(b, size)
    return U32.join([lanes[i & 7] for i in U32.split(a, size)])


@one_source_control("vpermq", "vpermpd")
def vpermq(value: int, control: int, size: int) -> int:
    """Four lanes of 64 bits, any in any place."""
    lanes = U64.split(value, size)
    return U64.join([lanes[i] for i in _four(control)])


@two_sources_control("vperm2f128", "vperm2i128")
def vperm2f128(a: int, b: int, control: int, size: int) -> int:
    """For each half, four bits of control: one of the four halves of the sources, or zero."""
    halves = (a & MASK128, a >> 128, b & MASK128, b >> 128)
    low = 0 if control & 0x08 else halves[control & 3]
    high = 0 if control & 0x80 else halves[control >> 4 & 3]
    return high << 128 | low


# -- blends ----------------------------------------------------------------------------------------------------------


def _blend(lanes: Lanes) -> Ternary:
    """A lane of the second source where control has a one; with more than eight lanes it counts for each eight."""

    def blend(a: int, b: int, control: int, size: int) -> int:
        x, y = lanes.split(a, size), lanes.split(b, size)
        return lanes.join([y[i] if control >> i % 8 & 1 else x[i] for i in range(len(x))])

    return blend


two_sources_control("pblendw", "vpblendw")(_blend(U16))
two_sources_control("blendps", "vblendps", "vpblendd")(_blend(U32))
two_sources_control("blendpd", "vblendpd")(_blend(U64))


def _blend_by_signs(lanes: Lanes, signed: Lanes) -> Ternary:
    """A lane of the second source where that of the control is negative."""

    def blend(a: int, b: int, control: int, size: int) -> int:
        triples = zip(lanes.split(a, size), lanes.split(b, size), signed.split(control, size), strict=True)
        return lanes.join([y if sign < 0 else x for x, y, sign in triples])

    return blend


two_sources_control("pblendvb", "vpblendvb")(_blend_by_signs(U8, S8))
two_sources_control("blendvps", "vblendvps")(_blend_by_signs(U32, S32))
two_sources_control("blendvpd", "vblendvpd")(_blend_by_signs(U64, S64))


# -- one lane many times ---------------------------------------------------------------------------------------------


def _broadcast(lanes: Lanes) -> Unary:
    """The lowest lane everywhere."""
    return lambda value, size: lanes.join([value & lanes.mask] * (size // lanes.size))


one_source("vpbroadcastb")(_broadcast(U8))
one_source("vpbroadcastw")(_broadcast(U16))
one_source("vpbroadcastd", "vbroadcastss")(_broadcast(U32))
one_source("vpbroadcastq", "vbroadcastsd")(_broadcast(U64))


@one_source("vbroadcastf128", "vbroadcasti128")
def vbroadcastf128(value: int, size: int) -> int:
    """128 bits twice."""
    return value << 128 | value


@one_source("movddup", "vmovddup")
def movddup(value: int, size: int) -> int:
    """Lanes 0, 2, … of 64 bits twice; those above 8 bytes of memory are not asked for."""
    lanes = U64.split(value, size)
    return U64.join([lanes[i & ~1] for i in range(len(lanes))])


@one_source("movsldup", "vmovsldup")
def movsldup(value: int, size: int) -> int:
    """Lanes 0, 2, … of 32 bits twice."""
    lanes = U32.split(value, size)
    return U32.join([lanes[i & ~1] for i in range(len(lanes))])


@one_source("movshdup", "vmovshdup")
def movshdup(value: int, size: int) -> int:
    """Lanes 1, 3, … of 32 bits twice."""
    lanes = U32.split(value, size)
    return U32.join([lanes[i | 1] for i in range(len(lanes))])


# -- insert and extract ----------------------------------------------------------------------------------------------


def _insert(lanes: Lanes) -> Ternary:
    """The low bits of the second source into the lane of the first that control names."""

    def insert(a: int, b: int, control: int, size: int) -> int:
        place = lanes.bits * (control % (size // lanes.size))
        return a & ~(lanes.mask << place) | (b & lanes.mask) << place

    return insert


two_sources_control("pinsrb", "vpinsrb")(_insert(U8))
two_sources_control("pinsrw", "vpinsrw")(_insert(U16))
two_sources_control("pinsrd", "vpinsrd")(_insert(U32))


def _extract(lanes: Lanes) -> Semantics:
    """The lane that control names, to memory or zero-extended to a general register."""

    def run(m: Machine, op: Operation) -> int:
        lane = op.third() % (size_of(op.operands[1]) // lanes.size)
        op.store(op.source() >> lanes.bits * lane & lanes.mask)
        return op.next

    return run


semantics("pextrb", "vpextrb")(_extract(U8))
semantics("pextrw", "vpextrw")(_extract(U16))
semantics("pextrd", "vpextrd", "extractps", "vextractps")(_extract(U32))


@semantics("insertps", "vinsertps")
def insertps(m: Machine, op: Operation) -> int:
    """A lane of 32 bits, of a register any (bits 7:6 of control), to any place (bits 5:4); then zero what bits 3:0 say."""
    (a, b), control = op.two_sources(), op.control()
    if not isinstance(op.operands[-2], Memory):
        b >>= 32 * (control >> 6)
    lanes = list(U32.split(a, op.size))
    lanes[control >> 4 & 3] = b & U32.mask
    op.store(U32.join([0 if control >> i & 1 else lane for i, lane in enumerate(lanes)]))
    return op.next


@two_sources_control("vinsertf128", "vinserti128")
def vinsertf128(a: int, b: int, control: int, size: int) -> int:
    """The second source into a half of the first."""
    return b << 128 | a & MASK128 if control & 1 else a & ~MASK128 | b


@one_source_control("vextractf128", "vextracti128")
def vextractf128(value: int, control: int, size: int) -> int:
    """A half."""
    return value >> 128 if control & 1 else value & MASK128
