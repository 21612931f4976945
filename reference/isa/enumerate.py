"""Representative encodings of every row of the table: what tests and fuzzers begin with.

An encoding is made from a row by following the notation in the other direction than the decoder does, so that each
checks the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reference.isa.encoding import PREFIX_66, PREFIX_F2, PREFIX_F3, Encoding, Space
from reference.isa.instruction import Row
from reference.isa.lookup import FORMS, Form, ImmediateRule
from reference.isa.opcodes import ROWS
from reference.isa.operands import MEMORY_ONLY, REGISTER_ONLY

#: The registers of the examples, all different, none of them ESP: ModRM.reg, ModRM.rm, VEX.vvvv.
REG, RM, THIRD = 1, 2, 3
#: What immediates and displacements are made of: each byte differs from its neighbours and fits a positive sign.
FILLER: Final = bytes.fromhex("12345612345612345612")

#: Memory operands as (mod and rm of ModRM, what follows it): all shapes of 32-bit addressing.
ADDRESSES_32: Final = (
    (0x03, b""),  # [ebx]
    (0x45, FILLER[:1]),  # [ebp + disp8]
    (0x86, FILLER[:4]),  # [esi + disp32]
    (0x05, FILLER[:4]),  # [disp32]
    (0x04, b"\xbe"),  # [esi + edi*4]
    (0x44, b"\x24" + FILLER[:1]),  # [esp + disp8]
    (0x84, b"\x48" + FILLER[:4]),  # [eax + ecx*2 + disp32]
    (0x04, b"\xd5" + FILLER[:4]),  # [edx*8 + disp32]
)
#: The same under an address-size prefix.
ADDRESSES_16: Final = (
    (0x00, b""),  # [bx + si]
    (0x06, FILLER[:2]),  # [disp16]
    (0x47, FILLER[:1]),  # [bx + disp8]
    (0x82, FILLER[:2]),  # [bp + si + disp16]
)
#: With an index register of its own for gathers.
ADDRESSES_VSIB: Final = (
    (0x04, b"\x93"),  # [ebx + v2*4]
    (0x44, b"\x26" + FILLER[:1]),  # [esi + v4 + disp8]
    (0x04, b"\xd5" + FILLER[:4]),  # [v2*8 + disp32]
)

_PREFIX_BYTES: Final[dict[tuple[int, ...], bytes]] = {
    (PREFIX_66,): b"\x66",
    (PREFIX_F3,): b"\xf3",
    (PREFIX_F2,): b"\xf2",
}
_ESCAPES: Final = {
    Space.ONE_BYTE: b"",
    Space.MAP_0F: b"\x0f",
    Space.MAP_0F38: b"\x0f\x38",
    Space.MAP_0F3A: b"\x0f\x3a",
}
_SIZED_BY_PREFIX: Final = frozenset({"v", "z", "bs", "a", "p", "en", "sv"})


def all_examples() -> Iterator[tuple[Row, bytes]]:
    """Every row with every one of its examples."""
    for row in ROWS:
        for code in examples(row):
            yield row, code


def examples(row: Row) -> Iterator[bytes]:
    """Encodings of a row, each a complete instruction.

    Register forms, all shapes of memory operands, both operand sizes, LOCK and REP where they belong, both lengths of
    VEX prefixes.

    >>> [code.hex() for code in examples(ROWS[0])][:3]
    ['00ca', '000b', 'f0000b']
    """
    form = FORMS[row.index]
    for head in _heads(form.encoding, third=THIRD if form.third else 0):
        for operand_size in (4, 2) if _has_two_sizes(form) else (4,):
            prefix = b"\x66" if operand_size == 2 else b""
            for tail, in_memory in _tails(form):
                instruction = head + tail + _immediates(form.immediate, operand_size)
                if in_memory is None:  # 16-bit addressing
                    yield b"\x67" + prefix + instruction
                    continue
                yield prefix + instruction
                if row.lock and in_memory:
                    yield b"\xf0" + prefix + instruction
                if row.rep:
                    yield b"\xf3" + prefix + instruction
                if row.rep == "repe":
                    yield b"\xf2" + prefix + instruction


def _has_two_sizes(form: Form) -> bool:
    """Whether a 66 makes another instruction of the same row."""
    encoding = form.encoding
    if encoding.space >= Space.VEX_0F or form.near:
        return False
    as_a_size = PREFIX_66 in encoding.classes and encoding.classes != (PREFIX_66,)
    beside = encoding.classes in ((PREFIX_F3,), (PREFIX_F2,))
    return (as_a_size or beside) and any(code.size in _SIZED_BY_PREFIX or code.text == "eAX" for code in form.operands)


def _heads(encoding: Encoding, third: int) -> Iterator[bytes]:
    """Everything up to and with the opcode."""
    if encoding.space < Space.VEX_0F:
        prefix = _PREFIX_BYTES.get(encoding.classes, b"") if encoding.mandatory else b""
        for register in (REG, 7) if encoding.plus_register else (0,):
            yield prefix + _ESCAPES[encoding.space] + bytes([encoding.opcode + register])
        return
    map_number = encoding.space - Space.VEX_0F + 1
    for width in encoding.widths:
        for length in encoding.lengths:
            last = (~third & 0xF) << 3 | length << 2 | encoding.classes[0]
            yield bytes([0xC4, 0xE0 | map_number, width << 7 | last, encoding.opcode])
            if encoding.space == Space.VEX_0F and not width:
                yield bytes([0xC5, 0x80 | last, encoding.opcode])


def _tails(form: Form) -> Iterator[tuple[bytes, bool | None]]:
    """ModRM and what belongs to it; whether that is a memory operand, None for one with a 16-bit address."""
    encoding = form.encoding
    if not encoding.has_modrm:
        if form.immediate is ImmediateRule.OFFSET:
            yield FILLER[:4], True
            yield FILLER[:2], None
        else:
            yield b"", False
        return
    if encoding.fixed is not None:
        for low in (0, REG, 7) if encoding.any_rm else (0,):
            yield bytes([encoding.fixed + low]), False
        return
    field = (REG if encoding.digit is None else encoding.digit) << 3
    methods = {code.method for code in form.operands}
    if methods.isdisjoint(MEMORY_ONLY):
        yield bytes([0xC0 | field | RM]), False
    if form.vsib:
        for modrm, rest in ADDRESSES_VSIB:
            yield bytes([modrm | field]) + rest, True
    elif methods.isdisjoint(REGISTER_ONLY):
        for modrm, rest in ADDRESSES_32:
            yield bytes([modrm | field]) + rest, True
        for modrm, rest in ADDRESSES_16:
            yield bytes([modrm | field]) + rest, None


def _immediates(rule: ImmediateRule, operand_size: int) -> bytes:
    size = {
        ImmediateRule.NONE: 0,
        ImmediateRule.BYTE: 1,
        ImmediateRule.WORD: 2,
        ImmediateRule.WORD_BYTE: 3,
        ImmediateRule.OPERAND: operand_size,
        ImmediateRule.OFFSET: 0,
        ImmediateRule.FAR: operand_size + 2,
    }[rule]
    return FILLER[:size]
