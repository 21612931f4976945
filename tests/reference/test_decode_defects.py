"""Defects of the original's scanner, each with the test that would have found it. The numbers are the paper's list."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reference.isa.decode import decode
from reference.isa.instruction import Instruction, InvalidOpcode, Kind
from reference.isa.lookup import ENCODINGS, FORMS, ImmediateRule
from reference.isa.opcodes import ROWS
from reference.policy import Policy

EVERYTHING = Policy.everything()
TAIL = bytes(11)


def admitted(code: bytes, policy: Policy = EVERYTHING) -> Instruction | None:
    try:
        return decode(code[:15], 0x1000, policy)
    except InvalidOpcode:
        return None


# -- 3: LOCK was skipped without a look at what it prefixed ----------------------------------------------------------

#: SDM volume 2, LOCK: one-byte opcodes, and two-byte opcodes, that take it with a memory operand; groups with their /digits.
LOCKABLE = {
    *(bytes([8 * operation + form]) for operation in range(7) for form in (0, 1)),
    b"\x86", b"\x87", b"\x0f\xb0", b"\x0f\xb1", b"\x0f\xc0", b"\x0f\xc1", b"\x0f\xab", b"\x0f\xb3", b"\x0f\xbb",
}  # fmt: skip
LOCKABLE_DIGITS = {
    b"\x80": range(7), b"\x81": range(7), b"\x82": range(7), b"\x83": range(7), b"\xf6": (2, 3), b"\xf7": (2, 3),
    b"\xfe": (0, 1), b"\xff": (0, 1), b"\x0f\xba": (5, 6, 7), b"\x0f\xc7": (1,),
}  # fmt: skip


@pytest.mark.parametrize("escape", [b"", b"\x0f"])
def test_defect_03_lock_exactly_where_the_manual_has_it(escape: bytes) -> None:
    for byte in range(256):
        opcode = escape + bytes([byte])
        if opcode in (b"\x0f", b"\x0f\x38", b"\x0f\x3a") or (not escape and byte in (0xF0, 0xF2, 0xF3, 0x66, 0x67)):
            continue
        if not escape and byte in (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65):
            continue
        for modrm in range(256):
            digits = LOCKABLE_DIGITS.get(opcode, ())
            expected = modrm < 0xC0 and (opcode in LOCKABLE or modrm >> 3 & 7 in digits)
            assert (admitted(b"\xf0" + opcode + bytes([modrm]) + TAIL) is not None) == expected, (opcode, modrm)


@pytest.mark.parametrize(
    "code", ["f0c5f858c1", "f0c4e270f2c2", "f0d9e8", "f00f38c8c1", "f0660f3800c1", "f0cd80", "f00f05"]
)
def test_defect_03_no_lock_before_anything_else(code: str) -> None:
    assert admitted(bytes.fromhex(code)) is None


# -- 4: scanner and processor disagreed about where instructions start -----------------------------------------------


@pytest.mark.parametrize(
    ("code", "length"),
    [
        ("660f3800c1", 5),
        ("660f380000", 5),
        ("660f38004412 34", 7),
        ("660f3800812cd00408", 9),
        ("660f3a0fc107", 6),
        ("f20f38f1c1", 5),
        ("66f20f38f1c1", 6),
        ("0f38f000", 4),
        ("0f3800c1", 4),
    ],
)
def test_defect_04_length_in_the_three_byte_maps(code: str, length: int) -> None:
    instruction = admitted(bytes.fromhex(code) + TAIL)
    assert instruction is not None
    assert instruction.length == length


def test_defect_04_every_three_byte_opcode_has_modrm_and_0f_3a_one_more_byte() -> None:
    for row in ROWS:
        space = ENCODINGS[row.index].space.name
        if space.endswith(("0F38", "0F3A")):
            assert ENCODINGS[row.index].has_modrm
            expected = ImmediateRule.BYTE if space.endswith("0F3A") else ImmediateRule.NONE
            assert FORMS[row.index].immediate is expected, row.opcode


# -- 8: it refused what today's compilers emit -----------------------------------------------------------------------

COMPILERS_EMIT = {
    "pause": "f390",
    "nop word cs:[eax + eax]": "662e0f1f840000000000",
    "data16 data16 nop word cs:[eax + eax]": "66662e0f1f840000000000",
    "nop dword [eax]": "0f1f00",
    "nop word [eax + eax]": "660f1f440000",
    "xchg ax, ax": "6690",
    "lea esi, [esi]": "8db42600000000",
    "lea esi, ds:[esi + eiz]": "3e8d742600",
    "rep ret": "f3c3",
    "bnd jmp eax": "f2ffe0",
    "notrack jmp eax": "3effe0",
    "endbr32": "f30f1efb",
    "bt eax, 5": "0fbae005",
    "bts dword [eax], 5": "0fba2805",
    "clc": "f8",
    "stc": "f9",
    "cmc": "f5",
    "pusha": "60",
    "popa": "61",
    "lfence": "0faee8",
    "mfence": "0faef0",
    "sfence": "0faef8",
    "jecxz": "e300",
    "xgetbv": "0f01d0",
    "emms": "0f77",
    "paddb mm0, mm1": "0ffcc1",
    "movq mm0, [eax]": "0f6f00",
    "pshufw mm0, mm1, 0": "0f70c100",
    "prefetcht0": "0f1808",
    "prefetchw": "0f0d08",
    "cmov": "0f44c1",
    "tzcnt": "f30fbcc1",
    "ud2": "0f0b",
    "rdtscp": "0f01f9",
    "ret 4": "c20400",
    "call [eax]": "ff10",
    "lock or dword [esp], 0": "f0830c2400",
    "xlat": "d7",
    "enter": "c8000000",
    "cpuid": "0fa2",
    "vaddps ymm0, ymm1, ymm2": "c5f458c2",
    "vzeroupper": "c5f877",
    "andn eax, ecx, edx": "c4e270f2c2",
    "vfmadd231ss": "c4e271b9c2",
    "crc32": "f20f38f1c1",
    "rdrand": "0fc7f0",
    "rdsspd (as a no-operation)": "f30f1ec8",
    "ffreep": "dfc0",
    "fwait; fnstcw": "9b",
}


@pytest.mark.parametrize("name", COMPILERS_EMIT)
def test_defect_08_what_compilers_emit_is_admitted(name: str) -> None:
    code = bytes.fromhex(COMPILERS_EMIT[name])
    instruction = admitted(code)
    assert instruction is not None
    assert instruction.raw == code


# -- 12: holes in the x87 map were copied ----------------------------------------------------------------------------


def ranges(*bounds: tuple[int, int]) -> set[int]:
    return {modrm for low, high in bounds for modrm in range(low, high + 1)}


#: SDM volume 2, tables A-7 to A-22: /digits with a memory operand, and ModRM bytes from C0 on (and FFREEP, DF C0).
X87_MEMORY = {
    0xD8: range(8), 0xD9: (0, 2, 3, 4, 5, 6, 7), 0xDA: range(8), 0xDB: (0, 1, 2, 3, 5, 7), 0xDC: range(8),
    0xDD: (0, 1, 2, 3, 4, 6, 7), 0xDE: range(8), 0xDF: range(8),
}  # fmt: skip
X87_REGISTERS = {
    0xD8: ranges((0xC0, 0xFF)),
    0xD9: ranges((0xC0, 0xD0), (0xE0, 0xE1), (0xE4, 0xE5), (0xE8, 0xEE), (0xF0, 0xFF)),
    0xDA: ranges((0xC0, 0xDF), (0xE9, 0xE9)),
    0xDB: ranges((0xC0, 0xDF), (0xE2, 0xE3), (0xE8, 0xF7)),
    0xDC: ranges((0xC0, 0xCF), (0xE0, 0xFF)),
    0xDD: ranges((0xC0, 0xC7), (0xD0, 0xEF)),
    0xDE: ranges((0xC0, 0xCF), (0xD9, 0xD9), (0xE0, 0xFF)),
    0xDF: ranges((0xC0, 0xC7), (0xE0, 0xE0), (0xE8, 0xF7)),
}


def x87_codes() -> Iterator[tuple[int, int]]:
    for opcode in range(0xD8, 0xE0):
        for modrm in range(256):
            yield opcode, modrm


@pytest.mark.parametrize("prefix", [b"", b"\x66", b"\xf2", b"\xf3", b"\x3e", b"\x67"])
def test_defect_12_the_x87_map_has_its_holes_where_the_manual_has_them(prefix: bytes) -> None:
    for opcode, modrm in x87_codes():
        known = modrm in X87_REGISTERS[opcode] if modrm >= 0xC0 else modrm >> 3 & 7 in X87_MEMORY[opcode]
        instruction = admitted(prefix + bytes([opcode, modrm]) + TAIL)
        assert (instruction is not None) == known, (hex(opcode), hex(modrm))


def test_defect_12_what_stores_code_addresses_is_not_copied() -> None:
    """FIP in the x87 environment would be an address in the code cache."""
    stores = {"fnstenv", "fnsave", "fxsave", "xsave", "xsavec", "xsaveopt"}
    assert {row.mnemonic for row in ROWS if row.mnemonic in stores and row.kind is Kind.ASSIST} == stores
    assert not any(row.kind is Kind.COPY for row in ROWS if row.mnemonic in stores)
