"""Floating-point instructions of SSE, AVX, FMA and F16C: every encoding of the tables does what the processor does.

The native engine makes the processor the oracle: of results, of what else is in the registers, of MXCSR and of traps.
Roundings, DAZ, FTZ, masks and flags are random. Each row of the table is compared on hundreds of cases, with operands in
registers and in memory, at both vector lengths.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import host_cpu
import needs
import pytest
from float_operands import INTEGERS, addend, anything, ordinary, related

from conformance.case import DATA, DATA_END, ENTRY, STACK, Case
from conformance.oracles.engines import EngineBench, bench_of
from conformance.outcome import Outcome, differences, report
from reference.engines import ReferenceEngine
from reference.flags import STATUS
from reference.floating import DOUBLE, HALF, SINGLE, Format, Kind
from reference.isa.decode import decode
from reference.isa.enumerate import examples
from reference.isa.instruction import File, Instruction, Memory, Register, Row
from reference.isa.lookup import FORMS
from reference.isa.opcodes import ROWS
from reference.isa.semantics.registry import SEMANTICS
from reference.isa.semantics.simd.approximate import APPROXIMATE, RELATIVE_ERROR
from reference.policy import Group, Policy
from reference.registers import CPU, EBX, ESP, MASK32
from reference.traps import Vector

#: Cases of each shape, by engine.
PER_SHAPE: Final = {"jit": 60, "translated": 6}

#: What these tests are about, by mnemonic.
OURS: Final = re.compile(
    r"v?(add|sub|mul|div|sqrt|min|max|cmp|round)[ps][sd]|v?(addsub|hadd|hsub|dp)p[sd]|v?u?comis[sd]|v?r(cp|sqrt)[ps]s"
    r"|v?cvt.*|vf(n?m(add|sub)(132|213|231)[ps][sd]|m(addsub|subadd)(132|213|231)p[sd])"
)
ROWS_OF_OURS: Final = [row for row in ROWS if OURS.fullmatch(row.mnemonic)]

#: The formats of what conversions begin with, by what follows "cvt" or "cvtt"; None is an integer.
_SOURCES: Final = {
    "ps": SINGLE,
    "ss": SINGLE,
    "pd": DOUBLE,
    "sd": DOUBLE,
    "ph": HALF,
    "dq": None,
    "pi": None,
    "si": None,
}
#: What Linux calls the groups.
_CPU_FLAGS: Final = {
    Group.SSE: "sse", Group.SSE2: "sse2", Group.SSE3: "pni", Group.SSE41: "sse4_1", Group.AVX: "avx", Group.FMA: "fma",
    Group.F16C: "f16c",
}  # fmt: skip


def source_format(mnemonic: str) -> Format | None:
    """The format of an instruction's sources, None for integers."""
    conversion = re.fullmatch(r"v?cvtt?(..)2..", mnemonic)
    return _SOURCES[conversion[1] if conversion else mnemonic[-2:]]


# -- shapes: encodings of a row, to vary ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """A row with its operand in a register or in memory, at one vector length. ``code`` is an example of it."""

    row: Row
    code: bytes
    memory: bool

    @property
    def label(self) -> str:
        return f"{self.row.opcode} {self.row.mnemonic} {'memory' if self.memory else 'register'}"

    def instruction(self, code: bytes) -> Instruction:
        return decode(code, ENTRY, Policy.everything())


def shapes(row: Row) -> Iterator[Shape]:
    """A register and a memory form for each vector length."""
    seen = set()
    for code in examples(row):
        instruction = decode(code, ENTRY, Policy.everything())
        memory = [operand for operand in instruction.operands if isinstance(operand, Memory)]
        if memory and (memory[0].base != EBX or instruction.displacement_size or memory[0].index is not None):
            continue
        key = bool(memory), instruction.vector_length
        if instruction.address_size == 4 and key not in seen:
            seen.add(key)
            yield Shape(row, code, bool(memory))


# -- cases ---------------------------------------------------------------------------------------------------------------


class _Maker:
    """Cases of one shape."""

    def __init__(self, shape: Shape, seed: str) -> None:
        self.shape = shape
        self.rng = random.Random(f"{seed} {shape.label} {shape.code.hex()}")
        self.format = source_format(shape.row.mnemonic)
        self.code = b""
        self.instruction = shape.instruction(shape.code)

    def cases(self, count: int) -> Iterator[Case]:
        for number in range(count):
            if number % 4 == 0:
                self.code = self._encode()
                self.instruction = self.shape.instruction(self.code)
            yield self._make()

    def _encode(self) -> bytes:
        """Other registers and another immediate."""
        rng, code = self.rng, bytearray(self.shape.code)
        before = self.instruction
        reg, rm, third = rng.randrange(8), rng.randrange(8), rng.randrange(8)
        registers = [operand for operand in before.operands if isinstance(operand, Register)]
        if any(register.file is File.GENERAL for register in registers):
            reg, rm = reg & ~4, rm & ~4  # not ESP
        if self.shape.memory:
            rm = EBX
        code[before.modrm_offset] = code[before.modrm_offset] & 0xC0 | reg << 3 | rm
        if FORMS[self.shape.row.index].third:
            byte = before.opcode_offset + (2 if code[before.opcode_offset] == 0xC4 else 1)
            code[byte] = code[byte] & ~0x78 | (~third & 0xF) << 3
        if before.immediate_size:
            code[before.immediate_offset] = rng.choice((rng.getrandbits(8), rng.getrandbits(5), 0xFF, 0x31))
        return bytes(code)

    def _make(self) -> Case:
        rng = self.rng
        image = bytearray(CPU().fp)
        image[160:288], image[576:704] = rng.randbytes(128), rng.randbytes(128)
        image[24:28] = self._mxcsr().to_bytes(4, "little")
        if any(isinstance(operand, Register) and operand.file is File.MMX for operand in self.instruction.operands):
            self._fill_x87(image)
        words = [rng.getrandbits(32) for _ in range(8)]
        words[ESP] = STACK + 0x800
        memory: tuple[tuple[int, bytes], ...] = ()
        for operand, data in zip(self.instruction.operands, self._operands(), strict=False):
            if isinstance(operand, Memory):
                words[EBX] = self._address(operand.size)
                start = words[EBX] & ~63
                window = bytearray(rng.randbytes(128))
                window[words[EBX] - start : words[EBX] - start + 32] = data
                memory = ((start, bytes(window[: min(128, DATA_END - start)])),)
            elif isinstance(operand, Register):
                _set(image, words, operand, data)
        words[ESP] = STACK + 0x800
        flags = 0x202 | rng.getrandbits(12) & STATUS
        return Case(self.shape.label, self.code, (*words, ENTRY, flags), memory, 0, fp=bytes(image))

    def _mxcsr(self) -> int:
        """All masked mostly; sometimes one exception unmasked, or any."""
        rng = self.rng
        masks = rng.choice((0x3F, 0x3F, 0x3F, rng.getrandbits(6), 0x3F & ~(1 << rng.randrange(6))))
        denormals_are_zeros, flush = rng.randrange(3) == 0, rng.randrange(3) == 0
        flags = rng.choice((0, 0, 0, rng.getrandbits(6)))
        return flush << 15 | rng.randrange(4) << 13 | masks << 7 | denormals_are_zeros << 6 | flags

    def _fill_x87(self, image: bytearray) -> None:
        """Any registers, any TOP, and now and then an exception that is pending."""
        rng = self.rng
        pending = rng.randrange(8) == 0
        image[0:2] = (0x037E if pending else 0x037F).to_bytes(2, "little")
        image[2:4] = (rng.randrange(8) << 11 | (0x8081 if pending else 0)).to_bytes(2, "little")
        image[4] = rng.getrandbits(8)
        for number in range(8):
            image[32 + 16 * number : 42 + 16 * number] = rng.randbytes(10)

    def _address(self, size: int) -> int:
        """Aligned mostly; now and then not, or with a part of the operand behind the end of memory."""
        rng = self.rng
        kind = rng.randrange(12)
        if kind == 0:
            return DATA_END - rng.randrange(1, size + 1)
        return DATA + 0x100 + (rng.randrange(32) if kind == 1 else 0)

    def _operands(self) -> list[bytes]:
        """32 bytes for each of three operands. They have roles, which are not always the same one's: a number, another
        that is related to it, and one that may be added to their product."""
        rng, form = self.rng, self.format
        if form is None:
            return [b"".join(self._integer().to_bytes(4, "little") for _ in range(8)) for _ in range(3)]
        specials = rng.choice((0.0, 0.1, 0.5, 0.9))
        size = form.bits // 8
        roles: list[list[int]] = [[], [], []]
        for _ in range(32 // size):
            x = anything(form, rng) if rng.random() < specials else ordinary(form, rng)
            y = (
                anything(form, rng)
                if rng.random() < specials
                else rng.choice((ordinary(form, rng), related(form, x, rng)))
            )
            z = anything(form, rng) if rng.random() < specials else addend(form, x, y, rng)
            for role, value in zip(roles, (x, y, z), strict=True):
                role.append(value)
        rng.shuffle(roles)
        return [b"".join(value.to_bytes(size, "little") for value in role) for role in roles]

    def _integer(self) -> int:
        rng = self.rng
        return rng.choice(
            (rng.choice(INTEGERS), rng.getrandbits(32), rng.getrandbits(8), -rng.getrandbits(26) & MASK32)
        )


def _set(image: bytearray, words: list[int], register: Register, data: bytes) -> None:
    number = register.number
    if register.file is File.GENERAL:
        words[number] = int.from_bytes(data[:4], "little")
    elif register.file is File.MMX:
        top = image[3] >> 3 & 7
        start = 32 + 16 * (number - top & 7)
        image[start : start + 8] = data[:8]
    else:
        image[160 + 16 * number : 176 + 16 * number] = data[:16]
        image[576 + 16 * number : 592 + 16 * number] = data[16:]


# -- the approximate ones --------------------------------------------------------------------------------------------------


def reconcile(case: Case, shape: Shape, expected: Outcome, actual: Outcome) -> Outcome:
    """What was expected, with ours in place of each lane of the destination where both are near enough to the exact value.

    Near enough is what the manual says. Beyond 2^126 it lets the reciprocal be zero or not.
    """
    assert expected.fp is not None
    assert actual.fp is not None
    destination = decode(case.code, ENTRY, Policy.everything()).operands[0]
    assert isinstance(destination, Register)
    image = bytearray(expected.fp)
    for start in (160 + 16 * destination.number, 576 + 16 * destination.number):
        for at in range(start, start + 16, 4):
            theirs, ours = (SINGLE.unpack(int.from_bytes(fp[at : at + 4], "little")) for fp in (expected.fp, actual.fp))
            if theirs.kind is ours.kind is Kind.FINITE and theirs.sign == ours.sign:
                a, b = (r.significand * Fraction(2) ** r.exponent for r in (theirs, ours))
                if abs(a - b) <= 2 * Fraction(RELATIVE_ERROR) * b:
                    image[at : at + 4] = actual.fp[at : at + 4]
    return replace(expected, fp=bytes(image))


# -- tests -----------------------------------------------------------------------------------------------------------------


def _lacking(name: str, row: Row) -> bool:
    """Whether the processor cannot say, because it does not have the instruction."""
    return name == "jit" and host_cpu.lacks(_CPU_FLAGS[row.group], *(["avx"] if "VEX" in row.opcode else []))


def family(row: Row) -> str:
    """Rows are tested together that are not too many and have something in common."""
    name = row.mnemonic.removeprefix("v")
    for start in ("cvtt", "cvt", "fmadd", "fmsub", "fnmadd", "fnmsub", "addsub", "hadd", "hsub", "dp", "comi", "ucomi"):
        if name.startswith(start):
            return start
    return name[:-2]


FAMILIES: Final = sorted({family(row) for row in ROWS_OF_OURS})


@pytest.mark.parametrize("family_name", FAMILIES)
@pytest.mark.parametrize("name", sorted(PER_SHAPE))
def test_floating_point_instructions_agree(name: str, family_name: str) -> None:
    """With the processor on the native engine, with the interpreter itself as translated code."""
    needs.engine(name)
    oracle = bench_of(name, Policy.everything(), low_memory=False)
    ours = EngineBench(ReferenceEngine)
    failures: list[str] = []
    completed: Counter[str] = Counter()
    trapped: Counter[int] = Counter()
    rows = [row for row in ROWS_OF_OURS if family(row) == family_name and not _lacking(name, row)]
    try:
        for shape in (shape for row in rows for shape in shapes(row)):
            for case in _Maker(shape, name).cases(PER_SHAPE[name]):
                actual, expected = ours.run(case), oracle.run(case)
                if shape.row.mnemonic in APPROXIMATE and name == "jit":
                    expected = reconcile(case, shape, expected, actual)
                completed[shape.label] += actual.trap is None
                if actual.trap is not None:
                    trapped[actual.trap.number] += 1
                found = differences(case, expected, actual)
                if found:
                    mxcsr = case.fp[24:26][::-1].hex() if case.fp else ""
                    failures.append(f"mxcsr {mxcsr}, {report(case, found)}")
    finally:
        ours.close()
        oracle.close()
    assert not failures, f"{len(failures)} cases differ (reference second):\n" + "\n".join(failures[:5])
    if name == "jit":
        hardly = [label for label, number in completed.items() if 3 * number < PER_SHAPE[name]]
        assert not hardly, f"these hardly ever complete: {hardly}"
        assert trapped[Vector.SIMD_ERROR] or family_name in ("rcp", "rsqrt"), "no case has an unmasked exception"


def test_every_row_is_covered() -> None:
    """No row is left out, none is without semantics, and none is tested in a register or in memory only that has both."""
    assert len(ROWS_OF_OURS) > 200
    for row in ROWS_OF_OURS:
        assert row.mnemonic in SEMANTICS, row
        kinds = {(shape.memory, shape.instruction(shape.code).vector_length) for shape in shapes(row)}
        assert {memory for memory, _ in kinds} == {False, True}, row
        lengths = {length for _, length in kinds}
        fixed = re.match(r"VEX\.(128|256)", row.opcode)
        assert lengths == ({0} if "VEX" not in row.opcode else {int(fixed[1]) // 8} if fixed else {16, 32}), row


def test_all_semantics_of_these_modules_have_rows() -> None:
    ours = {name for name, function in SEMANTICS.items() if ".simd." in function.__module__}
    assert ours == {row.mnemonic for row in ROWS_OF_OURS}
