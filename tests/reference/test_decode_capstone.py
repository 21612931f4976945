"""The decoder against capstone: every opcode, ModRM and prefix, compared by length, mnemonic and operands.

What may differ, and why, stands in conformance/disassembly.py. The lengths that capstone gives differently are those of
instructions that trap; test_decode_processor.py asks the processor itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import capstone
import pytest

from conformance.disassembly import DIFFERENCES, PREFIX_BYTES, VEX_MAPS, Difference, difference, explanation
from reference.isa.lookup import ENCODINGS

#: What follows ModRM: SIB, displacement and immediate bytes.
TAIL = bytes.fromhex("12345678 1a3b5c7d 11223344 12345678")

#: Every reg with four memory forms, and every pair of registers.
MANY_MODRM = [reg << 3 | form for reg in range(8) for form in (0x00, 0x42, 0x84, 0x05)] + list(range(0xC0, 0x100))
#: Memory and register forms of some.
FEW_MODRM = [0x01, 0x0C, 0x55, 0x9E, 0x22, 0x69, 0xB4, 0x3D, 0xC0, 0xD9, 0xEB, 0xF7]

LEGACY_MAPS = {"one byte": b"", "0f": b"\x0f", "0f 38": b"\x0f\x38", "0f 3a": b"\x0f\x3a"}
#: Prefixes with their ModRM bytes.
PREFIXES: dict[str, Iterable[int]] = {
    "": range(256),
    **dict.fromkeys(("66", "f2", "f3"), MANY_MODRM),
    **dict.fromkeys(
        (
            "f0", "67", "26", "2e", "36", "3e", "64", "65", "6766", "66f2", "f266", "66f3", "f366", "66f0", "f3f0",
            "f2f0", "67f3", "6766f3", "3e65", "652e",
        ),
        FEW_MODRM,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def disassembler() -> capstone.Cs:
    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)


def compare(disassembler: capstone.Cs, codes: Iterable[bytes]) -> None:
    """Compare about every code; fail with the first few differences that nothing explains."""
    unexplained = []
    count = 0
    for code in codes:
        count += 1
        found = difference(disassembler, code[:15])
        if found is not None and explanation(found) is None:
            unexplained.append(f"{code[:15].hex(' ')}: {found}")
    assert count
    assert not unexplained, "\n".join([f"{len(unexplained)} differences:", *unexplained[:20]])


def legacy_codes(map_name: str, prefix: str) -> Iterator[bytes]:
    escape = LEGACY_MAPS[map_name]
    for opcode in range(256):
        if (not escape and opcode in {*PREFIX_BYTES, 0x0F}) or (map_name == "0f" and opcode in (0x38, 0x3A)):
            continue
        for modrm in PREFIXES[prefix]:
            if not escape and modrm >= 0xC0 and opcode in (0x62, 0xC4, 0xC5):
                continue  # EVEX and VEX
            yield bytes.fromhex(prefix) + escape + bytes([opcode, modrm]) + TAIL


@pytest.mark.parametrize("known", DIFFERENCES, ids=lambda known: known.example)
def test_no_explained_difference_is_out_of_date(disassembler: capstone.Cs, known: Difference) -> None:
    found = difference(disassembler, bytes.fromhex(known.example))
    assert found is not None
    assert re.fullmatch(known.pattern, found)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("map_name", LEGACY_MAPS)
def test_every_legacy_opcode_and_modrm_decodes_as_capstone_does(
    disassembler: capstone.Cs, map_name: str, prefix: str
) -> None:
    compare(disassembler, legacy_codes(map_name, prefix))


def vex_codes(map_name: str, pp: int) -> Iterator[bytes]:
    number = VEX_MAPS[map_name]
    known = {
        (encoding.opcode, width, length)
        for encoding in ENCODINGS
        if encoding.space == 3 + number and pp in encoding.classes
        for width in encoding.widths
        for length in encoding.lengths
    }
    for width in (0, 1):
        for length in (0, 1):
            for opcode in range(256):
                is_known = (opcode, width, length) in known
                for third, modrms in ((0, MANY_MODRM), (1, FEW_MODRM)) if is_known else ((0, FEW_MODRM),):
                    head = bytes([0xC4, 0xE0 | number, width << 7 | (15 - third) << 3 | length << 2 | pp, opcode])
                    for modrm in modrms:
                        yield head + bytes([modrm]) + TAIL


@pytest.mark.parametrize("pp", range(4))
@pytest.mark.parametrize("map_name", VEX_MAPS)
def test_every_vex_opcode_and_modrm_decodes_as_capstone_does(disassembler: capstone.Cs, map_name: str, pp: int) -> None:
    compare(disassembler, vex_codes(map_name, pp))


@pytest.mark.parametrize("start", ["8b", "66 0f 6f", "c5 f8 28", "67 8b", "c4 e2 69 92", "dd", "80"])
def test_every_sib_byte_decodes_as_capstone_does(disassembler: capstone.Cs, start: str) -> None:
    def codes() -> Iterator[bytes]:
        for modrm in (0x04, 0x44, 0x84, 0x0C, 0x7C, 0xBC):
            for sib in range(256):
                yield bytes.fromhex(start) + bytes([modrm, sib]) + TAIL[1:]

    compare(disassembler, codes())


@pytest.mark.parametrize("start", ["eb", "74", "e8", "e9", "0f 84", "e2", "e3", "67 e3"])
def test_branch_targets_wrap_at_four_gigabytes_as_in_capstone(disassembler: capstone.Cs, start: str) -> None:
    tails = [f"{low:02x} 00 00 00" for low in range(256)] + [f"00 00 00 {high:02x}" for high in range(256)]
    compare(disassembler, (bytes.fromhex(start) + bytes.fromhex(tail) for tail in tails))
