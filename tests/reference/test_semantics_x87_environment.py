"""FNSTENV FLDENV FNSAVE FRSTOR in both operand sizes against the processor, and the layouts byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import needs
import pytest
from asm import assemble
from one_instruction import DATA, Bench, image
from x87_cases import ENVIRONMENT, INTEGER_BIT, ONE, SIGN, SPECIAL, Draw

from reference.registers import CPU
from reference.traps import Vector

#: Bytes of the environment by operand size; the registers follow it in what FNSAVE stores.
ENVIRONMENT_BYTES = {2: 14, 4: 28}
#: Where the pointers are, which the native engine keeps from whoever runs an instruction on the bare processor.
POINTERS = {2: slice(6, 14), 4: slice(12, 28)}


@pytest.fixture(scope="module")
def processor() -> Iterator[Bench]:
    needs.engine("jit")
    with Bench("jit", alone=True) as bench:
        yield bench


@pytest.fixture(scope="module")
def reference() -> Iterator[Bench]:
    with Bench("reference") as bench:
        yield bench


def code(mnemonic: str, size: int) -> bytes:
    return b"\x66" * (size == 2) + assemble(f"{mnemonic} [ebx]")


def with_pointers(fp: bytes, eip: int, opcode: int, operand: int) -> bytes:
    return fp[:6] + struct.pack("<HQQ", opcode, eip, operand) + fp[24:]


def pointers_of(fp: bytes) -> tuple[int, int, int]:
    opcode, eip, operand = struct.unpack_from("<HQQ", fp, 6)
    return eip, opcode, operand


@pytest.mark.ldt
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("mnemonic", sorted(ENVIRONMENT))
def test_everything_but_pointers_agrees_with_the_processor(
    processor: Bench, reference: Bench, mnemonic: str, size: int
) -> None:
    """Registers of every kind, whose tags follow from what they hold; any bytes are loaded, reserved bits and all."""
    draw = Draw(f"{mnemonic} {size}")
    where = slice(0, 0) if mnemonic in ("fldenv", "frstor") else POINTERS[size]
    for _ in range(400):
        stored = draw.rng.randbytes(ENVIRONMENT_BYTES[size]) + b"".join(
            draw.real().to_bytes(10, "little") for _ in range(8)
        )
        outcomes = [
            bench.run(code(mnemonic, size), fp=fp, data=stored, ebx=DATA + 2)
            for fp in [draw.image()]
            for bench in (processor, reference)
        ]
        one, other = ([*outcome.memory[: 2 + len(stored)]] for outcome in outcomes)
        for memory in (one, other):
            memory[2 + where.start : 2 + where.stop] = [0] * (where.stop - where.start)
        assert bytes(one) == bytes(other)
        assert outcomes[0].trap == outcomes[1].trap
        assert outcomes[0].state == outcomes[1].state
        assert outcomes[0].words == outcomes[1].words


def test_layout_of_the_32_bit_environment(reference: Bench) -> None:
    fp = with_pointers(image(fcw=0x027F, fsw=0x3922, ftw=0b1000_0001, st0=ONE, st1=0), 0x12345678, 0x5AB, 0x9ABCDEF0)
    after = reference.run(code("fnstenv", 4), fp=fp, ebx=DATA)
    words = struct.unpack_from("<7I", after.memory)
    assert words == (0xFFFF027F, 0xFFFF3922, 0xFFFF3FFD, 0x12345678, 0x05AB0000, 0x9ABCDEF0, 0xFFFF0000)
    assert after.fp[:2] == b"\x7f\x02", "exceptions were masked already"


def test_layout_of_the_16_bit_environment(reference: Bench) -> None:
    fp = with_pointers(image(fcw=0x027F, fsw=0x3922, ftw=0), 0x12345678, 0x5AB, 0x9ABCDEF0)
    after = reference.run(code("fnstenv", 2), fp=fp, ebx=DATA)
    assert struct.unpack_from("<8H", after.memory) == (0x027F, 0x3922, 0xFFFF, 0x5678, 0, 0xDEF0, 0, 0)


def test_saved_registers_begin_with_st0(reference: Bench) -> None:
    registers = {f"st{i}": ONE + i for i in range(8)}
    fp = image(fsw=0x2800, ftw=0xFF, **registers)
    after = reference.run(code("fnsave", 4), fp=fp, ebx=DATA)
    assert [int.from_bytes(after.memory[28 + 10 * i : 38 + 10 * i], "little") for i in range(8)] == [
        ONE + i for i in range(8)
    ]
    assert after.memory[108:] == bytes(len(after.memory) - 108)
    assert after.fp[:5] == b"\x7f\x03\0\0\0", "as after FNINIT"
    assert pointers_of(after.fp) == (0, 0, 0)
    again = reference.run(code("frstor", 4), fp=after.fp, data=after.memory[:108], ebx=DATA)
    assert again.fp == fp


@pytest.mark.parametrize(
    ("bits", "tag"),
    [
        (ONE, 0), (SIGN | 1 << 64 | INTEGER_BIT, 0), (0, 1), (SIGN, 1), (1, 2), (INTEGER_BIT, 2), (SPECIAL << 64, 2),
        (SPECIAL << 64 | INTEGER_BIT, 2), (SPECIAL << 64 | 3 << 62, 2), (SPECIAL << 64 | INTEGER_BIT | 1, 2), (5 << 64, 2),
    ],
)  # fmt: skip
def test_tags_follow_from_the_registers(reference: Bench, bits: int, tag: int) -> None:
    """SDM volume 1, section 8.1.7: valid, zero, special, empty."""
    fp = image(fsw=0x1000, ftw=0b100, st0=bits)
    after = reference.run(code("fnstenv", 4), fp=fp, ebx=DATA)
    assert struct.unpack_from("<H", after.memory, 8)[0] == 0xFFFF & ~(3 << 4) | tag << 4


def test_loading_makes_an_exception_pending_or_forgets_it(reference: Bench) -> None:
    """Whether one is pending follows from flags and masks, whatever the loaded summary says."""
    for control, status, pending in ((0x37E, 0x0001, True), (0x37F, 0x8081, False), (0x37F, 0x0001, False)):
        stored = struct.pack("<7I", control, status, 0xFFFF, 0, 0, 0, 0)
        after = reference.run(code("fldenv", 4), fp=bytes(CPU().fp), data=stored, ebx=DATA)
        assert after.fp[2:4] == (b"\x81\x80" if pending else bytes([status & 1, 0]))
        trap = reference.run(assemble("fwait"), fp=after.fp).trap
        assert (trap is not None and trap[0] == Vector.FP_ERROR) == pending


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("mnemonic", sorted(ENVIRONMENT))
def test_faulting_operand_changes_nothing(reference: Bench, mnemonic: str, size: int) -> None:
    fp = Draw(mnemonic).image()
    fp = fp[:2] + bytes([0, fp[3] & 0x7F]) + fp[4:]  # nothing pending
    last = DATA + 0x2000 - ENVIRONMENT_BYTES[size] + 1
    after = reference.run(code(mnemonic, size), fp=fp, ebx=last)
    assert after.trap is not None
    assert after.trap[0] == Vector.PAGE_FAULT
    assert after.fp == fp
    assert after.memory == bytes(len(after.memory))


def test_pointers_are_loaded_and_stored(reference: Bench) -> None:
    """And the 16-bit form has no opcode, and half of each address."""
    stored = struct.pack("<7I", 0x37F, 0, 0xFFFF, 0x11223344, 0xFFFF_5678, 0x55667788, 0xFFFF_FFFF)
    after = reference.run(code("fldenv", 4), fp=bytes(CPU().fp), data=stored, ebx=DATA)
    assert pointers_of(after.fp) == (0x11223344, 0x7FF, 0x55667788)
    stored = struct.pack("<7H", 0x37F, 0, 0xFFFF, 0x3344, 0x5678, 0x7788, 0xFFFF)
    after = reference.run(code("fldenv", 2), fp=after.fp, data=stored, ebx=DATA)
    assert pointers_of(after.fp) == (0x3344, 0, 0x7788)
