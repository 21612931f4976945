"""From bytes to a row: the decoding trie, derived from the table and from nothing else.

The trie has three levels, all of small integers, so that a compiled decoder can lay the same thing out as flat arrays:

* :data:`ROOTS`: a list of 256 entries for each opcode map and variant (see :func:`root_of`), indexed by opcode byte;
* an entry is 0 (no instruction), ``row + 1``, or ``-(selector + 1)``;
* :data:`SELECTORS`: tuples of 72 entries, indexed by :func:`slot_of` the ModRM byte: 0 or ``row + 1``.

What a decoder needs to know about the row that it finds is in :mod:`reference.isa.lookup`.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from reference.isa.encoding import Encoding, Space, parse_encoding
from reference.isa.instruction import Row
from reference.isa.opcodes import ROWS
from reference.isa.operands import MEMORY_ONLY, REGISTER_ONLY, parse_operand

#: ModRM selects among 8 memory forms (by reg) and 64 register forms (by reg and rm).
SLOTS: Final = 72
#: Variants of a legacy map: the four prefix classes. Of a VEX map: pp, W and L.
LEGACY_VARIANTS: Final = 4
VEX_VARIANTS: Final = 16
ROOT_COUNT: Final = Space.VEX_0F * LEGACY_VARIANTS + 3 * VEX_VARIANTS

#: The parsed opcode column of every row.
ENCODINGS: Final = tuple([parse_encoding(row.opcode) for row in ROWS])


def slot_of(modrm: int) -> int:
    """The place of a ModRM byte in a selector."""
    return 8 + (modrm & 0x3F) if modrm >= 0xC0 else modrm >> 3 & 7


def slots_of(row: Row) -> tuple[int, ...]:
    """All places in a selector that belong to a row with a ModRM byte.

    >>> slots_of(next(row for row in ROWS if row.mnemonic == "lea"))
    (0, 1, 2, 3, 4, 5, 6, 7)
    """
    encoding = ENCODINGS[row.index]
    return _slots(encoding.digit, encoding.fixed, encoding.any_rm, row.operands)


@cache
def _slots(digit: int | None, fixed: int | None, any_rm: bool, operands: tuple[str, ...]) -> tuple[int, ...]:
    if fixed is not None:
        first = slot_of(fixed)
        return tuple(range(first, first + (8 if any_rm else 1)))
    methods = {parse_operand(text).method for text in operands}
    fields = range(8) if digit is None else (digit,)
    slots: list[int] = []
    if methods.isdisjoint(REGISTER_ONLY):
        slots += fields
    if methods.isdisjoint(MEMORY_ONLY):
        slots += [8 + 8 * field + rm for field in fields for rm in range(8)]
    return tuple(slots)


def root_of(space: Space, variant: int) -> int:
    """The number of a list in :data:`ROOTS`.

    ``variant`` is the prefix class (none, 66, F3, F2) for legacy maps, and ``pp | W << 2 | L << 3`` for VEX maps.
    """
    if space < Space.VEX_0F:
        return space * LEGACY_VARIANTS + variant
    return Space.VEX_0F * LEGACY_VARIANTS + (space - Space.VEX_0F) * VEX_VARIANTS + variant


@cache
def _roots(
    space: Space, classes: tuple[int, ...], widths: tuple[int, ...], lengths: tuple[int, ...]
) -> tuple[int, ...]:
    if space < Space.VEX_0F:
        return tuple(root_of(space, prefix) for prefix in classes)
    return tuple(root_of(space, classes[0] | w << 2 | length << 3) for w in widths for length in lengths)


def _precision(encoding: Encoding) -> int:
    """Where two rows claim the same place the more precise one has it: by prefix, then by ModRM, then by opcode."""
    modrm = 2 if encoding.fixed is not None else 1 if encoding.digit is not None else 0
    return 8 * encoding.mandatory + 2 * modrm + (not encoding.plus_register)


def build(rows: tuple[Row, ...]) -> tuple[list[list[int]], list[tuple[int, ...]]]:
    """Roots and selectors. Raises ValueError where two equally precise rows claim the same encoding."""
    places: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        encoding = ENCODINGS[row.index]
        for root in _roots(encoding.space, encoding.classes, encoding.widths, encoding.lengths):
            for opcode in range(encoding.opcode, encoding.opcode + (8 if encoding.plus_register else 1)):
                places.setdefault((root, opcode), []).append(row)
    roots = [[0] * 256 for _ in range(ROOT_COUNT)]
    selectors: dict[tuple[int, ...], int] = {}
    for (root, opcode), claimants in places.items():
        entry = _leaf(claimants)
        if entry == 0:
            entry = -1 - selectors.setdefault(_selector(claimants), len(selectors))
        roots[root][opcode] = entry
    return roots, list(selectors)


def _leaf(claimants: list[Row]) -> int:
    """The entry that needs no selector because the most precise row does not care what ModRM says, or 0."""
    if len(claimants) > 1:
        claimants.sort(key=lambda row: _precision(ENCODINGS[row.index]))
    best = claimants[-1]
    encoding = ENCODINGS[best.index]
    if encoding.has_modrm and len(slots_of(best)) < SLOTS:
        return 0
    if len(claimants) > 1 and _precision(ENCODINGS[claimants[-2].index]) == _precision(encoding):
        raise ValueError(f"two rows claim {best.opcode!r}")
    return best.index + 1


def _selector(claimants: list[Row]) -> tuple[int, ...]:
    slots = [0] * SLOTS
    precision = [-1] * SLOTS
    for row in claimants:
        mine = _precision(ENCODINGS[row.index])
        for slot in slots_of(row):
            if precision[slot] == mine:
                raise ValueError(f"two rows claim {row.opcode!r}")
            slots[slot], precision[slot] = row.index + 1, mine
    return tuple(slots)


ROOTS, SELECTORS = build(ROWS)


def needs_modrm(root: int, opcode: int) -> bool:
    """Whether a ModRM byte follows this opcode, as far as the opcode alone tells."""
    entry = ROOTS[root][opcode]
    return entry < 0 or (entry > 0 and ENCODINGS[entry - 1].has_modrm)


def find(root: int, opcode: int, modrm: int) -> int:
    """The index of the row at an opcode and ModRM byte (0 where there is none), or -1 where no row stands."""
    entry = ROOTS[root][opcode]
    if entry < 0:
        entry = SELECTORS[-1 - entry][slot_of(modrm)]
    return entry - 1
