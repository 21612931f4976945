"""Intel's opcode notation: from the text in a row to the bytes it stands for.

SDM volume 2, section 3.1.1.1 (legacy) and 3.1.1.2 (VEX), of which the table uses:

    66 F2 F3      a mandatory prefix: part of the opcode, no repeat or operand-size prefix
    NP            none of 66, F2, F3 may stand before it
    NFx           neither F2 nor F3 may; 66 is the operand-size prefix
    0F, 0F 38, 0F 3A   the opcode map
    50+r          the low three bits of the opcode are a register
    /r  /0 … /7   a ModRM byte, whose reg field is an operand or part of the opcode
    D9 E1         two bytes in a map of opcodes with ModRM: this very ModRM byte
    D8 C0+i       the same, the low three bits (ModRM.rm) being free: a register of the x87 stack, or ignored
    VEX.256.66.0F38.W1 98 /r   length (128, 256, LIG = ignored, none = both), prefix, map, W (W0, W1, WIG = ignored)

A row that names no prefix takes all of them: 66 is the operand size, and F2 and F3 are REP on string instructions or
mean nothing. Where a row with a mandatory prefix claims the same opcode, that one counts.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Final, NamedTuple

#: Prefix classes, numbered like VEX.pp.
NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2 = range(4)
_CLASSES: Final = {
    "NP": (NO_PREFIX,),
    "NFx": (NO_PREFIX, PREFIX_66),
    "66": (PREFIX_66,),
    "F3": (PREFIX_F3,),
    "F2": (PREFIX_F2,),
}
_ALL_CLASSES: Final = (NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2)
_BOTH: Final = (0, 1)


class Space(IntEnum):
    """Opcode maps."""

    ONE_BYTE = 0
    MAP_0F = 1
    MAP_0F38 = 2
    MAP_0F3A = 3
    VEX_0F = 4
    VEX_0F38 = 5
    VEX_0F3A = 6


_VEX_SPACES: Final = {"0F": Space.VEX_0F, "0F38": Space.VEX_0F38, "0F3A": Space.VEX_0F3A}


class Encoding(NamedTuple):
    """The parsed notation.

    ``classes`` are the prefix classes of the row, and ``mandatory`` tells whether it names them itself. ``lengths`` and
    ``widths`` are the values of VEX.L and VEX.W that it takes, (0,) for both without VEX. ``opcode`` is the last opcode
    byte, eight of them from there with ``plus_register``.
    Of ModRM: ``has_modrm``; ``digit`` is a required reg field; ``fixed`` a required byte, with ``any_rm`` any of eight.
    """

    space: Space
    classes: tuple[int, ...]
    mandatory: bool
    lengths: tuple[int, ...]
    widths: tuple[int, ...]
    opcode: int
    plus_register: bool
    has_modrm: bool
    digit: int | None
    fixed: int | None
    any_rm: bool


def parse_encoding(text: str) -> Encoding:
    """Read the opcode column of a row. Raises ValueError where it does not follow the notation.

    >>> parse_encoding("F3 0F B8 /r").space.name
    'MAP_0F'
    """
    words = text.split()
    space = Space.ONE_BYTE
    classes: tuple[int, ...] = _ALL_CLASSES
    mandatory = False
    lengths: tuple[int, ...] = (0,)
    widths: tuple[int, ...] = (0,)
    if words[0].startswith("VEX"):
        space, classes, lengths, widths = _parse_vex(words.pop(0))
        mandatory = True
    else:
        # A prefix byte that stands alone is itself the opcode (there is none in the table today).
        if words[0] in _CLASSES and len(words) > 1:
            classes, mandatory = _CLASSES[words.pop(0)], True
        if words[0] == "0F":
            words.pop(0)
            space = Space.MAP_0F
            if words[0] in ("38", "3A"):
                space = Space.MAP_0F38 if words.pop(0) == "38" else Space.MAP_0F3A
    opcode, plus_register = _parse_byte(words.pop(0), "+r")
    digit = fixed = None
    any_rm = False
    has_modrm = bool(words)
    if words:
        word = words.pop(0)
        if word.startswith("/"):
            digit = None if word == "/r" else int(word[1:], 8)
        else:
            fixed, any_rm = _parse_byte(word, "+i")
    if words or (fixed is not None and fixed < 0xC0):
        raise ValueError(f"opcode notation {text!r}")
    return Encoding(space, classes, mandatory, lengths, widths, opcode, plus_register, has_modrm, digit, fixed, any_rm)


def _parse_byte(word: str, suffix: str) -> tuple[int, bool]:
    plus = word.endswith(suffix)
    value = int(word.removesuffix(suffix), 16)
    if plus and value & 7:
        raise ValueError(f"opcode notation {word!r}: the low three bits are not zero")
    return value, plus


@cache
def _parse_vex(word: str) -> tuple[Space, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    classes: tuple[int, ...] = (NO_PREFIX,)
    lengths: tuple[int, ...] = _BOTH
    widths: tuple[int, ...] = _BOTH
    space: Space | None = None
    for part in word.split(".")[1:]:
        if part in _CLASSES:
            classes = _CLASSES[part]
        elif part in ("128", "LZ"):
            lengths = (0,)
        elif part == "256":
            lengths = (1,)
        elif part in ("W0", "W1"):
            widths = (int(part[1]),)
        elif part in _VEX_SPACES:
            space = _VEX_SPACES[part]
        elif part not in ("LIG", "WIG"):
            raise ValueError(f"opcode notation {word!r}: {part!r}")
    if space is None:
        raise ValueError(f"opcode notation {word!r}: no map")
    return space, classes, lengths, widths
