"""Packed integer arithmetic: sums, differences, averages, extremes, comparisons, signs, products, horizontal sums."""

from __future__ import annotations

from collections.abc import Callable
from operator import add, mul, sub
from typing import Final

from reference.isa.semantics.packed.form import Binary, Unary, one_source, two_sources, two_sources_control
from reference.isa.semantics.packed.lanes import S8, S16, S32, S64, U8, U16, U32, U64, Lanes

# -- lane by lane ----------------------------------------------------------------------------------------------------


def _average(a: int, b: int) -> int:
    """Rounded up."""
    return a + b + 1 >> 1


def _equal(a: int, b: int) -> int:
    """All ones or all zeros."""
    return -1 if a == b else 0


def _greater(a: int, b: int) -> int:
    return -1 if a > b else 0


def _signed(a: int, b: int) -> int:
    """PSIGN: the first, negated where the second is negative, zero where it is zero."""
    return a if b > 0 else -a if b < 0 else 0


def _high_product(a: int, b: int) -> int:
    """PMULHW, PMULHUW: the high half of the product."""
    return a * b >> 16


def _rounded_product(a: int, b: int) -> int:
    """PMULHRSW: the product of two fractions of 15 bits, rounded to nearest."""
    return (a * b >> 14) + 1 >> 1


#: (mnemonic, what the lanes are, what becomes of two of them). Results that do not fit are cut.
_WRAPPING: Final[tuple[tuple[str, Lanes, Callable[[int, int], int]], ...]] = (
    ("paddb",   U8,  add),      ("psubb",    U8,  sub),
    ("paddw",   U16, add),      ("psubw",    U16, sub),
    ("paddd",   U32, add),      ("psubd",    U32, sub),
    ("paddq",   U64, add),      ("psubq",    U64, sub),
    ("pminub",  U8,  min),      ("pmaxub",   U8,  max),
    ("pminuw",  U16, min),      ("pmaxuw",   U16, max),
    ("pminud",  U32, min),      ("pmaxud",   U32, max),
    ("pminsb",  S8,  min),      ("pmaxsb",   S8,  max),
    ("pminsw",  S16, min),      ("pmaxsw",   S16, max),
    ("pminsd",  S32, min),      ("pmaxsd",   S32, max),
    ("pavgb",   U8,  _average), ("pavgw",    U16, _average),
    ("pcmpeqb", U8,  _equal),   ("pcmpgtb",  S8,  _greater),
    ("pcmpeqw", U16, _equal),   ("pcmpgtw",  S16, _greater),
    ("pcmpeqd", U32, _equal),   ("pcmpgtd",  S32, _greater),
    ("pcmpeqq", U64, _equal),   ("pcmpgtq",  S64, _greater),
    ("psignb",  S8,  _signed),  ("pmullw",   U16, mul),
    ("psignw",  S16, _signed),  ("pmulld",   U32, mul),
    ("psignd",  S32, _signed),  ("pmulhrsw", S16, _rounded_product),
    ("pmulhw",  S16, _high_product), ("pmulhuw", U16, _high_product),
)  # fmt: skip

#: The same, but results that do not fit are saturated.
_SATURATING: Final = (
    ("paddsb",  S8,  add), ("psubsb",  S8,  sub),
    ("paddsw",  S16, add), ("psubsw",  S16, sub),
    ("paddusb", U8,  add), ("psubusb", U8,  sub),
    ("paddusw", U16, add), ("psubusw", U16, sub),
)  # fmt: skip


def _wrapping(lanes: Lanes, function: Callable[[int, int], int]) -> Binary:
    split, wrap = lanes.split, lanes.wrap
    return lambda a, b, size: wrap(map(function, split(a, size), split(b, size)))


def _saturating(lanes: Lanes, function: Callable[[int, int], int]) -> Binary:
    split, clamp = lanes.split, lanes.clamp
    return lambda a, b, size: clamp(map(function, split(a, size), split(b, size)))


for _mnemonic, _lanes, _function in _WRAPPING:
    two_sources(_mnemonic, "v" + _mnemonic)(_wrapping(_lanes, _function))
for _mnemonic, _lanes, _function in _SATURATING:
    two_sources(_mnemonic, "v" + _mnemonic)(_saturating(_lanes, _function))


def _absolute(lanes: Lanes) -> Unary:
    """The lowest number stays what it is."""
    return lambda value, size: lanes.wrap(map(abs, lanes.split(value, size)))


one_source("pabsb", "vpabsb")(_absolute(S8))
one_source("pabsw", "vpabsw")(_absolute(S16))
one_source("pabsd", "vpabsd")(_absolute(S32))


# -- wider results ---------------------------------------------------------------------------------------------------


def _even_products(lanes: Lanes) -> Binary:
    """The products of lanes 0, 2, … in full."""
    return lambda a, b, size: U64.wrap(map(mul, lanes.split(a, size)[::2], lanes.split(b, size)[::2]))


two_sources("pmuludq", "vpmuludq")(_even_products(U32))
two_sources("pmuldq", "vpmuldq")(_even_products(S32))


def _sums_of_pairs(lanes: list[int]) -> list[int]:
    return [a + b for a, b in zip(lanes[::2], lanes[1::2], strict=True)]


@two_sources("pmaddwd", "vpmaddwd")
def pmaddwd(a: int, b: int, size: int) -> int:
    """Sums of two neighbouring products; only (-2^15)^2 twice does not fit, and wraps."""
    return U32.wrap(_sums_of_pairs(list(map(mul, S16.split(a, size), S16.split(b, size)))))


@two_sources("pmaddubsw", "vpmaddubsw")
def pmaddubsw(a: int, b: int, size: int) -> int:
    """The same on unsigned bytes times signed bytes, saturated to words."""
    return S16.clamp(_sums_of_pairs(list(map(mul, U8.split(a, size), S8.split(b, size)))))


@two_sources("psadbw", "vpsadbw")
def psadbw(a: int, b: int, size: int) -> int:
    """For each eight bytes, the sum of their absolute differences."""
    differences = [abs(x - y) for x, y in zip(U8.split(a, size), U8.split(b, size), strict=True)]
    return U64.join([sum(differences[start : start + 8]) for start in range(0, size, 8)])


@two_sources_control("mpsadbw", "vmpsadbw")
def mpsadbw(a: int, b: int, control: int, size: int) -> int:
    """Eight sums of four absolute differences: four bytes of the second source against four of the first, eight times,
    each time one byte further on. Control says where both begin: three bits for each 128 bits."""
    sums: list[int] = []
    for x, y in zip(U8.blocks(a, size), U8.blocks(b, size), strict=True):
        first, block = control & 4, 4 * (control & 3)
        sums += [sum(abs(x[first + i + j] - y[block + j]) for j in range(4)) for i in range(8)]
        control >>= 3
    return U16.join(sums)


@one_source("phminposuw", "vphminposuw")
def phminposuw(value: int, size: int) -> int:
    """The smallest word, and behind it the number of the first such."""
    words = U16.split(value, size)
    smallest = min(words)
    return words.index(smallest) << 16 | smallest


# -- horizontal ------------------------------------------------------------------------------------------------------


def _horizontal(lanes: Lanes, function: Callable[[int, int], int], *, saturate: bool = False) -> Binary:
    """Of neighbours: those of the first source, then those of the second, in each 128 bits."""
    back = lanes.clamp if saturate else lanes.wrap

    def combine(a: int, b: int, size: int) -> int:
        results: list[int] = []
        for x, y in zip(lanes.blocks(a, size), lanes.blocks(b, size), strict=True):
            both = x + y
            results += map(function, both[::2], both[1::2])
        return back(results)

    return combine


two_sources("phaddw", "vphaddw")(_horizontal(U16, add))
two_sources("phaddd", "vphaddd")(_horizontal(U32, add))
two_sources("phaddsw", "vphaddsw")(_horizontal(S16, add, saturate=True))
two_sources("phsubw", "vphsubw")(_horizontal(U16, sub))
two_sources("phsubd", "vphsubd")(_horizontal(U32, sub))
two_sources("phsubsw", "vphsubsw")(_horizontal(S16, sub, saturate=True))
