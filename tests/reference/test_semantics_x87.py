"""The x87 against the processor: every row of the table with operands, masks, roundings, precisions and stacks of all kinds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import needs
import pytest
from x87_cases import ENVIRONMENT, FUNCTIONS, SIGN, X87_ROWS, Draw, bits_of, registers_of, status_of

from conformance.case import DATA_END, LIMIT, READ_ONLY, Case
from conformance.oracles.engines import EngineBench, bench_of
from conformance.outcome import differences, report
from reference.engines import ReferenceEngine
from reference.isa.instruction import Row
from reference.isa.opcodes import read_table
from reference.isa.semantics.registry import SEMANTICS
from reference.isa.tables import x87 as table
from reference.policy import Policy

pytestmark = pytest.mark.ldt

CASES = 200
EXACT_ROWS = [row for row in X87_ROWS if row.mnemonic not in ENVIRONMENT | FUNCTIONS]
MEMORY_ROWS = [row for row in EXACT_ROWS if row.operands and row.operands[0].startswith("M")]


class Pair:
    """The processor, by way of the native engine, and the reference engine."""

    def __init__(self) -> None:
        self.processor = bench_of("jit", Policy.everything(), low_memory=False)
        self.reference = EngineBench(ReferenceEngine)

    def check(self, case: Case) -> None:
        """Both must agree in everything."""
        found = differences(case, self.processor.run(case), self.reference.run(case))
        assert not found, f"processor or reference\n{report(case, found)}\n  fp {(case.fp or b'')[:160].hex()}"

    def close(self) -> None:
        self.processor.close()
        self.reference.close()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    needs.engine("jit")
    made = Pair()
    yield made
    made.close()


def name(row: Row) -> str:
    return f"{row.opcode} {row.mnemonic}"


def test_every_row_of_the_table_is_compared_somewhere() -> None:
    """FWAIT and FISTTP among them; functions and the environment have test files of their own."""
    rows = read_table(table.TABLE)
    covered = {(row.opcode, row.mnemonic) for row in X87_ROWS}
    assert {(row.opcode, row.mnemonic) for row in rows} == covered
    assert {row.mnemonic for row in rows} <= set(SEMANTICS)
    assert {name(row) for row in X87_ROWS} == {
        *map(name, EXACT_ROWS),
        *(name(row) for row in X87_ROWS if row.mnemonic in ENVIRONMENT | FUNCTIONS),
    }


@pytest.mark.parametrize("row", EXACT_ROWS, ids=name)
def test_row_agrees_with_the_processor(pair: Pair, row: Row) -> None:
    draw = Draw(name(row))
    for _ in range(CASES):
        pair.check(draw.case(row))


@pytest.mark.parametrize("row", MEMORY_ROWS, ids=name)
def test_faulting_operand_leaves_everything_as_it_was(pair: Pair, row: Row) -> None:
    """A pending exception comes before the fault; an unmasked one of the store itself does not hide it."""
    draw = Draw(f"fault {name(row)}")
    for address in (0x123, READ_ONLY + 0x10, DATA_END + 0x10, DATA_END - 1, READ_ONLY - 1, 0xFFFF_FFFE, LIMIT - 1) * 8:
        pair.check(draw.case(row, address=address))


@pytest.mark.parametrize("row", [row for row in EXACT_ROWS if row.operands and row.operands[-1] == "STi"], ids=name)
def test_register_forms_with_nothing_masked(pair: Pair, row: Row) -> None:
    draw = Draw(f"unmasked {name(row)}")
    for _ in range(100):
        case = draw.case(row)
        fp = bytearray(case.fp or b"")
        fp[0:4] = bytes([fp[0] & 0xC0, fp[1], 0, fp[3] & 0x7F])
        pair.check(dataclasses.replace(case, fp=bytes(fp)))


def _with(case: Case, *, control: int, registers: tuple[int, ...]) -> Case:
    fp = bytearray(case.fp or b"")
    fp[0:5] = control.to_bytes(2, "little") + b"\0\0" + bytes([(1 << len(registers)) - 1])
    for i, bits in enumerate(registers):
        fp[32 + 16 * i : 42 + 16 * i] = bits.to_bytes(10, "little")
    return dataclasses.replace(case, fp=bytes(fp))


@pytest.mark.parametrize(
    "row", [row for row in EXACT_ROWS if row.mnemonic in ("fist", "fistp", "fisttp", "fbstp")], ids=name
)
def test_stores_of_integers_at_the_ends_of_their_range(pair: Pair, row: Row) -> None:
    """The ends, one more and less, halves and quarters and the smallest steps between them, in all roundings."""
    draw = Draw(f"ends {name(row)}")
    size = {"w": 16, "d": 32, "q": 64, "t": 0}[row.operands[0][1:]]
    end = 1 << size - 1 if size else 10**18
    values = {
        bits_of(4 * near + quarters, 2) for near in (end, end - 1, end + 1, end - 2, 0, 1) for quarters in range(-4, 5)
    }
    for bits in sorted(values):
        for neighbour in (bits, bits + 1, bits - 1 if bits & (1 << 63) - 1 else bits):
            for rounding in range(4):
                for masks in (0x3F, 0x1E, 0x1F):
                    control = 0x340 | rounding << 10 | masks
                    case = draw.case(row)
                    pair.check(_with(case, control=control, registers=(neighbour,)))
                    pair.check(_with(case, control=control, registers=(neighbour ^ SIGN,)))


@pytest.mark.parametrize("mnemonic", ["fst", "fstp"])
@pytest.mark.parametrize(("letter", "precision", "lowest", "highest"), [("d", 24, -149, 127), ("q", 53, -1074, 1023)])
def test_stores_of_reals_at_the_ends_of_their_range(
    pair: Pair, mnemonic: str, letter: str, precision: int, lowest: int, highest: int
) -> None:
    """Overflow and underflow turn over exactly where the processor's do, masked and unmasked."""
    row = next(row for row in EXACT_ROWS if row.mnemonic == mnemonic and row.operands == (f"M{letter}",))
    draw = Draw(f"ends {name(row)}")
    ones = (1 << 64) - 1
    half = 1 << 63 - precision
    significands = [1 << 63, (1 << 63) + 1, ones, ones - half, ones - half + 1, ones - 2 * half + 1, (1 << 63) + half,
                    (1 << 63) + half - 1, (1 << 63) + half + 1]  # fmt: skip
    smallest = lowest + precision - 1
    for exponent in (highest, highest + 1, smallest, smallest - 1, smallest - 2, lowest, lowest - 1, lowest - 2):
        for significand in significands:
            for rounding in range(4):
                for masks in (0x3F, 0x2F, 0x37, 0x1F, 0):
                    bits = draw.sign() | exponent + 0x3FFF << 64 | significand
                    pair.check(_with(draw.case(row), control=0x340 | rounding << 10 | masks, registers=(bits,)))


@pytest.mark.parametrize("mnemonic", ["fadd", "fmul", "fdiv", "fsub", "fsqrt"])
def test_ends_of_the_register_s_range_in_every_precision(pair: Pair, mnemonic: str) -> None:
    """Overflow and underflow, scaled results where they are not masked, with results of 24, 53 and 64 bits."""
    row = next(row for row in EXACT_ROWS if row.mnemonic == mnemonic and row.operands in (("ST0", "STi"), ()))
    draw = Draw(f"range {name(row)}")
    for _ in range(1500):
        first = draw.finite(-16382, 16384)
        wanted = draw.rng.choice((-16382, 16384, 16383, -16383, -16446, -16400)) + draw.rng.randrange(-2, 3)
        exponent = first >> 64 & 0x7FFF
        other = {"fmul": wanted + 0x3FFF - exponent, "fdiv": exponent - wanted - 0x3FFF}.get(mnemonic, wanted)
        second = draw.finite(0, 1) + (min(max(other, -16382), 16383) << 64)
        pair.check(draw.case(row, (first, second) * 4))


def test_scaling_far_beyond_the_range(pair: Pair) -> None:
    """FSCALE goes further than a scaled result reaches: what becomes of that is neither the masked nor the scaled result."""
    row = next(row for row in EXACT_ROWS if row.mnemonic == "fscale")
    draw = Draw("fscale")
    for _ in range(1500):
        first = draw.rng.choice((draw.finite(-16382, 16384), draw.fraction(63)))
        exponent = max(first >> 64 & 0x7FFF, 1) - 0x3FFF
        wanted = draw.rng.choice((16384, -16382, -16445, 40960, -40958, -41021)) + draw.rng.randrange(-4, 5)
        pair.check(draw.case(row, (first, bits_of(wanted - exponent))))


@pytest.mark.parametrize("mnemonic", ["fprem", "fprem1"])
def test_remainders_of_operands_at_all_distances(pair: Pair, mnemonic: str) -> None:
    """Quotients at all bits, ties, and partial remainders, which go as far as the processor's."""
    row = next(row for row in EXACT_ROWS if row.mnemonic == mnemonic)
    draw = Draw(mnemonic)
    for distance in [*range(-3, 140), *range(140, 32000, 611)]:
        for _ in range(6):
            low = draw.rng.choice((-16382, draw.rng.randrange(-16382, max(16383 - max(distance, 0), -16381))))
            first = draw.finite(low, low + 1) + (max(min(distance, 16383 - low), 0) << 64)
            pair.check(draw.case(row, (first, draw.finite(low, low + 1))))


def test_remainder_loop_ends_with_the_exact_remainder(pair: Pair) -> None:
    """As programs use FPREM: repeat while C2 is set. The end is known from exact arithmetic."""
    row = next(row for row in EXACT_ROWS if row.mnemonic == "fprem")
    draw = Draw("loop")
    for _ in range(20):
        first, second = draw.finite(1000, 5000), draw.finite(-100, 100)
        value = (first & (1 << 64) - 1) << (first >> 64 & 0x7FFF) - (second >> 64 & 0x7FFF)
        expected = value % (second & (1 << 64) - 1)
        case = _with(draw.case(row), control=0x37F, registers=(first, second))
        while True:
            outcome = pair.reference.run(case)
            assert outcome.fp is not None
            case = dataclasses.replace(case, fp=outcome.fp)
            if not status_of(outcome.fp) & 0x400:
                break
        result = registers_of(outcome.fp)[0]
        shift = (result >> 64 & 0x7FFF) - (second >> 64 & 0x7FFF)
        assert result & (1 << 64) - 1 == expected << -shift
