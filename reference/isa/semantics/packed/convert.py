"""Narrower and wider lanes: PACK with saturation, PMOVSX and PMOVZX."""

from __future__ import annotations

from typing import Final

from reference.isa.semantics.packed.form import Binary, Unary, one_source, two_sources
from reference.isa.semantics.packed.lanes import S8, S16, S32, U8, U16, U32, U64, Lanes


def _pack(wide: Lanes, narrow: Lanes) -> Binary:
    """The lanes of the first source, then those of the second, in each 128 bits, saturated to half the width.

    The wide lanes are signed always: only what they are saturated to differs.
    """

    def combine(a: int, b: int, size: int) -> int:
        lanes: list[int] = []
        for x, y in zip(wide.blocks(a, size), wide.blocks(b, size), strict=True):
            lanes += x + y
        return narrow.clamp(lanes)

    return combine


two_sources("packsswb", "vpacksswb")(_pack(S16, S8))
two_sources("packssdw", "vpackssdw")(_pack(S32, S16))
two_sources("packuswb", "vpackuswb")(_pack(S16, U8))
two_sources("packusdw", "vpackusdw")(_pack(S32, U16))


def _extend(narrow: Lanes, wide: Lanes) -> Unary:
    """As many of the lowest lanes as the destination has room for."""

    def extend(value: int, size: int) -> int:
        bits = 8 * size * narrow.size // wide.size
        return wide.wrap(narrow.split(value & (1 << bits) - 1, bits // 8))

    return extend


_EXTENSIONS: Final = (
    ("pmovsxbw", S8, U16), ("pmovsxbd", S8, U32), ("pmovsxbq", S8, U64),
    ("pmovsxwd", S16, U32), ("pmovsxwq", S16, U64), ("pmovsxdq", S32, U64),
    ("pmovzxbw", U8, U16), ("pmovzxbd", U8, U32), ("pmovzxbq", U8, U64),
    ("pmovzxwd", U16, U32), ("pmovzxwq", U16, U64), ("pmovzxdq", U32, U64),
)  # fmt: skip

for _mnemonic, _narrow, _wide in _EXTENSIONS:
    one_source(_mnemonic, "v" + _mnemonic)(_extend(_narrow, _wide))
