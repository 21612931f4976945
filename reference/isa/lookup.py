"""What a decoder needs to know: the way from bytes to a row, and for each row its length and admission rules.

The way is the trie of :mod:`reference.isa.trie`, which shows here under its names; the rules are :data:`FORMS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, overload

from reference.isa.encoding import Encoding, Space
from reference.isa.instruction import Kind, Row
from reference.isa.opcodes import ROWS
from reference.isa.operands import EITHER, MEMORY_ONLY, OperandCode, parse_operand
from reference.isa.trie import (
    ENCODINGS,
    LEGACY_VARIANTS,
    ROOT_COUNT,
    ROOTS,
    SELECTORS,
    SLOTS,
    VEX_VARIANTS,
    find,
    needs_modrm,
    root_of,
    slot_of,
    slots_of,
)
from reference.policy import Group
from reference.records import dataclass

__all__ = [
    "ENCODINGS",
    "FORMS",
    "LEGACY_VARIANTS",
    "ROOTS",
    "ROOT_COUNT",
    "SELECTORS",
    "SLOTS",
    "VEX_VARIANTS",
    "Form",
    "ImmediateRule",
    "find",
    "needs_modrm",
    "root_of",
    "slot_of",
    "slots_of",
]

#: VEX encodings of these groups work on general registers; all others need AVX besides their own group.
_VEX_WITHOUT_AVX: Final = frozenset({Group.BMI1, Group.BMI2})
_X87_OPCODES: Final = range(0xD8, 0xE0)
_HINTS: Final = frozenset({"nop", "pause", "endbr32", "endbr64"})


class ImmediateRule(IntEnum):
    """How many bytes of immediates an instruction ends with."""

    NONE = 0
    BYTE = 1
    WORD = 2
    WORD_BYTE = 3  # ENTER
    OPERAND = 4  # the operand size
    OFFSET = 5  # the address size: moffs
    FAR = 6  # the operand size and a selector


#: The rule for the operand codes of a row that are immediates.
_RULES: Final = {
    (): ImmediateRule.NONE,
    ("Ib",): ImmediateRule.BYTE,
    ("Ibs",): ImmediateRule.BYTE,
    ("Jb",): ImmediateRule.BYTE,
    ("Ldq",): ImmediateRule.BYTE,
    ("Lx",): ImmediateRule.BYTE,
    ("Iw",): ImmediateRule.WORD,
    ("Iw", "Ib"): ImmediateRule.WORD_BYTE,
    ("Iz",): ImmediateRule.OPERAND,
    ("Iv",): ImmediateRule.OPERAND,
    ("Jz",): ImmediateRule.OPERAND,
    ("Ob",): ImmediateRule.OFFSET,
    ("Ov",): ImmediateRule.OFFSET,
    ("Ap",): ImmediateRule.FAR,
}


@dataclass(frozen=True, slots=True)
class Form:
    """What a decoder needs to know about a row.

    ``groups``: all of them must be admitted. ``near``: a near transfer, for which a 16-bit operand size is refused.
    ``hint``: a no-operation, whose segment override means nothing. ``conditional``: Jcc, on which CS and DS overrides
    are branch hints. ``addressable``: it accesses memory through ModRM or an offset, so that a GS override can be
    honoured. ``thread``: it moves to or from GS. ``third``: VEX.vvvv is an operand. ``vsib``: its memory operand is
    that of a gather. ``string``: its memory operands are implied (string instructions, XLAT).
    """

    row: Row
    encoding: Encoding
    operands: tuple[OperandCode, ...]
    immediate: ImmediateRule
    groups: frozenset[Group]
    near: bool
    hint: bool
    conditional: bool
    addressable: bool
    thread: bool
    third: bool
    vsib: bool
    string: bool


class _Forms(Sequence[Form]):
    """The forms of all rows, each made when it is first asked for: a program uses few of them."""

    def __init__(self) -> None:
        self._made: list[Form | None] = [None] * len(ROWS)

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, index: int) -> Form: ...
    @overload
    def __getitem__(self, index: slice) -> list[Form]: ...
    def __getitem__(self, index: int | slice) -> Form | list[Form]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        form = self._made[index]
        if form is None:
            form = self._made[index] = _make(ROWS[index])
        return form


def _make(row: Row) -> Form:
    encoding = ENCODINGS[row.index]
    codes = tuple(parse_operand(text) for text in row.operands)
    methods = {code.method for code in codes}
    hint = row.mnemonic in _HINTS
    groups = {row.group}
    if encoding.space >= Space.VEX_0F and row.group not in _VEX_WITHOUT_AVX:
        groups.add(Group.AVX)
    if encoding.space == Space.ONE_BYTE and encoding.opcode in _X87_OPCODES:
        groups |= {Group.X87, Group.CMOV} if row.reads | row.writes else {Group.X87}
    return Form(
        row=row,
        encoding=encoding,
        operands=codes,
        immediate=_RULES[tuple(code.text for code in codes if code.method and code.method in "IJOAL")],
        groups=frozenset(groups),
        near=row.kind is Kind.REWRITE and row.mnemonic != "popf",
        hint=hint,
        conditional=row.mnemonic[0] == "j" and row.reads != 0,
        addressable=not methods.isdisjoint(MEMORY_ONLY | EITHER | {"O"}) and row.mnemonic != "lea" and not hint,
        thread=row.kind is Kind.ASSIST and "GS" in row.operands,
        third=not methods.isdisjoint({"B", "H"}),
        vsib=not methods.isdisjoint({"VM32", "VM64"}),
        string=not methods.isdisjoint({"X", "Y", "BB"}),
    )


#: What a decoder needs to know about each row; a row's ``index`` is its place.
FORMS: Final = _Forms()
