"""Every encoding that is admitted, with one representative for all immediates and one for all displacements.

    for form in FORMS:
        for code in encodings(form): ...

All values of every field that names something: opcode registers, ModRM, SIB, VEX.vvvv, VEX.W and VEX.L, both lengths of VEX
prefixes, operand and address size, LOCK, REP. That is tens of millions in all; with ``every_register=False`` each register
field is varied alone, which leaves some thousands to a row that has memory operands. Where
:mod:`reference.isa.enumerate` has an example of each kind of encoding, here are all of the kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reference.isa.encoding import PREFIX_66, PREFIX_F2, PREFIX_F3, Space
from reference.isa.enumerate import FILLER, REG, THIRD
from reference.isa.instruction import Kind
from reference.isa.lookup import FORMS, Form, ImmediateRule
from reference.isa.operands import MEMORY_ONLY, REGISTER_ONLY

_MANDATORY: Final[dict[tuple[int, ...], bytes]] = {
    (PREFIX_66,): b"\x66", (PREFIX_F3,): b"\xf3", (PREFIX_F2,): b"\xf2",
}  # fmt: skip
_ESCAPES: Final = {
    Space.ONE_BYTE: b"", Space.MAP_0F: b"\x0f", Space.MAP_0F38: b"\x0f\x38", Space.MAP_0F3A: b"\x0f\x3a",
}  # fmt: skip
_SIZED: Final = frozenset({"v", "z", "bs", "a", "en", "sv"})
_SIZED_WITHOUT_OPERANDS: Final = frozenset({"cwde", "cdq", "pusha", "popa", "pushf", "popf", "enter", "leave"})
_IMMEDIATES: Final = {ImmediateRule.NONE: 0, ImmediateRule.BYTE: 1, ImmediateRule.WORD: 2, ImmediateRule.WORD_BYTE: 3}


def all_encodings(*, every_register: bool = True) -> Iterator[tuple[Form, bytes]]:
    """Every admitted row with each of its encodings."""
    for form in FORMS:
        if form.row.kind is not Kind.REFUSE:
            for code in encodings(form, every_register=every_register):
                yield form, code


def encodings(form: Form, *, every_register: bool = True) -> Iterator[bytes]:
    """Every encoding of a row, complete instructions.

    >>> form = next(form for form in FORMS if form.row.mnemonic == "inc")
    >>> [code.hex() for code in encodings(form)][:4]
    ['40', '41', '42', '43']
    """
    for size in _operand_sizes(form):
        prefix = b"\x66" if size == 2 else b""
        for address_size in (4, 2):
            for tail in _tails(form, address_size, every_register):
                code = tail.code + _immediate(form.immediate, size, address_size)
                short = b"\x67" if address_size == 2 else b""
                for head in _heads(form, tail.third, every_register):
                    if form.vsib and not _distinct(head, code):
                        continue
                    for extra in _extras(form, tail.memory):
                        yield extra + short + prefix + head + code


def _distinct(head: bytes, tail: bytes) -> bool:
    """Whether mask, destination and index of a gather are three registers, as they must be."""
    return len({~head[2] >> 3 & 7, tail[0] >> 3 & 7, tail[1] >> 3 & 7}) == 3


@dataclass(frozen=True, slots=True)
class _Tail:
    """ModRM and what belongs to it. ``third`` is False where VEX.vvvv need not take all values: other fields do already."""

    code: bytes
    memory: bool
    third: bool = True


def _operand_sizes(form: Form) -> tuple[int, ...]:
    encoding = form.encoding
    if encoding.space >= Space.VEX_0F or form.near:
        return (4,)
    prefix = PREFIX_66 in encoding.classes and encoding.classes != (PREFIX_66,)
    beside = encoding.mandatory and encoding.classes in ((PREFIX_F3,), (PREFIX_F2,))
    sized = any({code.size, code.memory_size} & _SIZED or code.text == "eAX" for code in form.operands)
    return (4, 2) if (prefix or beside) and (sized or form.row.mnemonic in _SIZED_WITHOUT_OPERANDS) else (4,)


def _extras(form: Form, memory: bool) -> Iterator[bytes]:
    yield b""
    if form.row.lock and memory:
        yield b"\xf0"
    if form.row.rep:
        yield b"\xf3"
    if form.row.rep == "repe":
        yield b"\xf2"


def _heads(form: Form, every_third: bool, every_register: bool) -> Iterator[bytes]:
    """Prefixes that belong to the opcode, and the opcode."""
    encoding = form.encoding
    opcodes = [bytes([encoding.opcode + i]) for i in range(8 if encoding.plus_register else 1)]
    if encoding.space < Space.VEX_0F:
        mandatory = _MANDATORY.get(encoding.classes, b"") if encoding.mandatory else b""
        for opcode in opcodes:
            yield mandatory + _ESCAPES[encoding.space] + opcode
        return
    map_number = encoding.space - Space.VEX_0F + 1
    thirds = range(8) if every_third or every_register else (THIRD,)
    for third in thirds if form.third else (0,):
        for width in encoding.widths:
            for length in encoding.lengths:
                last = (~third & 0xF) << 3 | length << 2 | encoding.classes[0]
                yield bytes([0xC4, 0xE0 | map_number, width << 7 | last]) + opcodes[0]
                if encoding.space is Space.VEX_0F and not width:
                    yield bytes([0xC5, 0x80 | last]) + opcodes[0]


def _tails(form: Form, address_size: int, every_register: bool) -> Iterator[_Tail]:
    encoding = form.encoding
    wide = address_size == 4
    if not encoding.has_modrm:
        if (
            form.immediate is ImmediateRule.OFFSET
            or form.string
            or form.row.mnemonic in ("loop", "loope", "loopne", "jecxz")
        ):
            yield _Tail(b"", True)
        elif wide:
            yield _Tail(b"", False)
        return
    if encoding.fixed is not None:
        if wide:
            for low in range(8 if encoding.any_rm else 1):
                yield _Tail(bytes([encoding.fixed + low]), False)
        return
    methods = {code.method for code in form.operands}
    registers = range(8) if encoding.digit is None else (encoding.digit,)
    if methods.isdisjoint(MEMORY_ONLY) and wide:
        for reg in registers:
            for rm in range(8):
                yield _Tail(bytes([0xC0 | reg << 3 | rm]), False, REG in (reg, rm))
    if methods.isdisjoint(REGISTER_ONLY):
        for reg in registers:
            alone = reg == registers[min(REG, len(registers) - 1)]
            for i, address in enumerate(_addresses(form.vsib) if wide else _ADDRESSES_16):
                if not (every_register or alone or i == 0) or (form.vsib and not wide):
                    continue
                yield _Tail(bytes([address[0] | reg << 3]) + address[1:], True, i == 0)


def _addresses(vsib: bool) -> Iterator[bytes]:
    """ModRM with a reg field of zero, SIB and displacement: all forms of 32-bit addressing; for gathers those with SIB."""
    for mod in range(3):
        for rm in range(8):
            if rm == 4:
                for sib in range(256):
                    size = 4 if mod == 0 and sib & 7 == 5 else (0, 1, 4)[mod]
                    yield bytes([mod << 6 | rm, sib]) + FILLER[:size]
            elif not vsib:
                size = 4 if mod == 0 and rm == 5 else (0, 1, 4)[mod]
                yield bytes([mod << 6 | rm]) + FILLER[:size]


_ADDRESSES_16: Final = tuple(
    bytes([mod << 6 | rm]) + FILLER[: 2 if mod == 0 and rm == 6 else mod] for mod in range(3) for rm in range(8)
)


def _immediate(rule: ImmediateRule, operand_size: int, address_size: int) -> bytes:
    if rule is ImmediateRule.OFFSET:
        return FILLER[:address_size]
    if rule is ImmediateRule.OPERAND:
        return FILLER[:operand_size]
    return FILLER[: _IMMEDIATES[rule]]
