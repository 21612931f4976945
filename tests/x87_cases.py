"""Cases for x87 instructions: operands of every kind that the 80-bit format knows, and states in which they meet.

    case = Draw(seed).case(row)

gives one instruction of a row of the table with random control word, TOP, tags and exceptions, to be run on two engines
(:mod:`conformance.outcome`).
"""

from __future__ import annotations

import random
from typing import Final

from conformance.case import DATA, ENTRY, STACK, Case
from reference.isa.instruction import Kind, Row
from reference.isa.opcodes import ROWS
from reference.registers import CPU

SIGN: Final = 1 << 79
INTEGER_BIT: Final = 1 << 63
BIAS: Final = 0x3FFF
SPECIAL: Final = 0x7FFF
ONE: Final = BIAS << 64 | INTEGER_BIT

#: The rows of the x87, FISTTP among them, FWAIT too.
X87_ROWS: Final = tuple(
    row
    for row in ROWS
    if row.mnemonic.startswith("f")
    and row.opcode[:2] in {*(f"D{i:X}" for i in range(8, 16)), "9B"}
    and row.kind is not Kind.REFUSE
)
#: Those that engines leave to the reference semantics.
ENVIRONMENT: Final = frozenset({"fldenv", "fnstenv", "fnsave", "frstor"})
#: Those whose results may be off by one unit in the last place.
FUNCTIONS: Final = frozenset({"f2xm1", "fyl2x", "fyl2xp1", "fptan", "fpatan", "fsin", "fcos", "fsincos"})

#: Exponents at which something ends: ranges of formats, of integers, of the register.
_EXPONENTS: Final = (
    *(BIAS + at for at in (-149, -126, 127, 128, -1074, -1022, 1023, 1024, 15, 16, 31, 32, 53, 59, 60, 63, 64)),
    *(1, 2, 3, 64, 65, 66, SPECIAL - 1, SPECIAL - 2, BIAS - 8192, BIAS + 8191, BIAS - 8191, BIAS + 8192),
)  # fmt: skip
#: Integers around which stores and conversions turn over.
_INTEGERS: Final = (1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 63, 1 << 62, 10**18, 10**17, 99, 1)
_SIZES: Final = {"w": 2, "d": 4, "q": 8, "t": 10, "en": 28, "sv": 108}


def bits_of(value: int, halvings: int = 0) -> int:
    """An integer, divided by a power of two, as an 80-bit real; what is longer than 64 bits is cut off."""
    if not value:
        return 0
    highest = abs(value).bit_length() - 1
    return (SIGN if value < 0 else 0) | BIAS + highest - halvings << 64 | (abs(value) << 63) >> highest


class Draw:
    """A source of random cases."""

    def __init__(self, seed: object) -> None:
        self.rng = random.Random(str(seed))

    # -- operands ------------------------------------------------------------------------------------------------------

    def significand(self) -> int:
        """With the integer bit: random, or so that 24, 53 or 64 bits hold it exactly, to half a unit, or almost."""
        rng, kind = self.rng, self.rng.randrange(8)
        if kind < 2:
            return INTEGER_BIT | rng.getrandbits(63)
        if kind == 2:
            return INTEGER_BIT | rng.choice((0, 1, 2))
        if kind == 3:
            return (1 << 64) - 1 - rng.choice((0, 1, 1 << 10, 1 << 39))
        if kind == 4:
            return INTEGER_BIT | rng.getrandbits(62) >> rng.randrange(62)
        width = rng.choice((23, 24, 25, 52, 53, 54, 31, 62))  # bits behind the integer bit
        value = INTEGER_BIT | rng.getrandbits(width) << 63 - width
        return value | rng.choice((0, 0, 1, INTEGER_BIT >> width))

    def finite(self, low: int, high: int) -> int:
        """A normal number with an exponent from ``low`` to below ``high``."""
        return self.sign() | BIAS + self.rng.randrange(low, high) << 64 | self.significand()

    def sign(self) -> int:
        """The highest bit, or none."""
        return self.rng.getrandbits(1) << 79

    def fraction(self, bits: int) -> int:
        """Random bits, rarely zero, often small."""
        return max(self.rng.getrandbits(bits) >> self.rng.choice((0, 1, bits // 2, bits - 1)), self.rng.getrandbits(1))

    def unusual(self) -> int:
        """What is not a normal number, the encodings included that processors no longer make or accept."""
        rng = self.rng
        return self.sign() | rng.choice(
            (
                0,
                SPECIAL << 64 | INTEGER_BIT,
                SPECIAL << 64 | 3 << 62 | self.fraction(62),
                SPECIAL << 64 | INTEGER_BIT | (self.fraction(62) or 1),
                SPECIAL << 64 | self.fraction(63),  # pseudo-infinity, pseudo-NaN
                rng.randrange(1, SPECIAL) << 64 | self.fraction(63),  # unnormal
                self.fraction(63),  # denormal
                INTEGER_BIT | self.fraction(63),  # pseudo-denormal
            )
        )

    def real(self, near: int = 0) -> int:
        """Any 80 bits; ``near``: often of an exponent not far from that of another operand, or its negative."""
        rng, kind = self.rng, self.rng.randrange(20)
        if kind < 5:
            return self.unusual()
        if kind < 9 and near:
            exponent = (near >> 64 & SPECIAL) + rng.randrange(-70, 70)
            return self.sign() | min(max(exponent, 1), SPECIAL - 1) << 64 | self.significand()
        if kind == 9 and near:
            return near ^ SIGN ^ rng.getrandbits(2)
        if kind < 13:
            return self.finite(-3, 4)
        if kind < 15:
            return self.finite(-64, 66)
        if kind < 17:
            return bits_of(4 * rng.choice(_INTEGERS) + rng.randrange(-9, 10) >> 1, 1) ^ self.sign()
        if kind < 19:
            exponent = rng.choice(_EXPONENTS) + rng.randrange(-2, 3)
            return self.sign() | min(max(exponent, 1), SPECIAL - 1) << 64 | self.significand()
        return self.sign() | rng.randrange(1, SPECIAL) << 64 | self.significand()

    def memory_real(self, exponent_bits: int, fraction_bits: int) -> int:
        """Any bits of a shorter format, an end of its range or a number of moderate size more often."""
        rng = self.rng
        special = (1 << exponent_bits) - 1
        exponent = rng.choice(
            (
                0,
                0,
                1,
                2,
                special,
                special,
                special - 1,
                *(special // 2 + i for i in range(-3, 4)),
                rng.randrange(special),
            )
        )
        sign = rng.getrandbits(1) << exponent_bits + fraction_bits
        return sign | exponent << fraction_bits | rng.choice((0, self.fraction(fraction_bits)))

    def integer(self, bits: int) -> int:
        """A two's complement number."""
        rng = self.rng
        value = rng.choice(
            (0, 1, -1, (1 << bits - 1) - 1, -(1 << bits - 1), 1 - (1 << bits - 1), self.fraction(bits - 1))
        )
        return value & (1 << bits) - 1

    def decimal(self) -> int:
        """A packed decimal number, now and then with digits above nine and rubbish beside the sign."""
        rng = self.rng
        digits = int(str(rng.randrange(10 ** rng.choice((1, 9, 17, 18)))), 16)
        if not rng.randrange(8):
            return rng.getrandbits(80)
        return digits | rng.getrandbits(1) << 79

    def memory(self, row: Row) -> bytes:
        """Bytes for the memory operand of a row; none where it has none."""
        operand = row.operands[0] if row.operands else ""
        if not operand.startswith("M"):
            return b""
        size = _SIZES[operand[1:]]
        if row.mnemonic.startswith("fi"):
            value = self.integer(8 * size)
        elif row.mnemonic == "fbld":
            value = self.decimal()
        elif size == 4:
            value = self.memory_real(8, 23)
        elif size == 8:
            value = self.memory_real(11, 52)
        else:
            value = self.real() if size == 10 else self.rng.getrandbits(8 * size)
        return value.to_bytes(size, "little")

    # -- states --------------------------------------------------------------------------------------------------------

    def control(self) -> int:
        """A control word: all masks, all but one, or any; each precision, the reserved one too, and each rounding."""
        rng = self.rng
        masks = rng.choice((0x3F, 0x3F, 0x3F & ~(1 << rng.randrange(6)), rng.getrandbits(6)))
        return masks | 0x40 | rng.choice((3, 3, 2, 0, 1)) << 8 | rng.getrandbits(2) << 10 | rng.getrandbits(1) << 12

    def image(self, registers: tuple[int, ...] = ()) -> bytes:
        """A floating-point image with these registers from ST(0) on."""
        rng, fp = self.rng, bytearray(CPU().fp)
        control = self.control()
        status = rng.choice((0, 0, rng.getrandbits(6) & control, 0x40)) | (rng.getrandbits(16) & 0x7F00)
        if not rng.randrange(40) and ~control & 0x3F:
            status |= ~control & 0x3F | 0x8080  # pending
        top = status >> 11 & 7
        kind = rng.randrange(20)
        count = 8 if kind < 6 else rng.choice((2, 2, 2, 3, 7))
        tags = sum(1 << (top + i & 7) for i in range(count)) if kind < 16 else rng.getrandbits(8) & rng.getrandbits(8)
        fp[0:5] = control.to_bytes(2, "little") + status.to_bytes(2, "little") + bytes([tags])
        near = 0
        for i in range(8):
            value = registers[i] if i < len(registers) else self.real(near)
            fp[32 + 16 * i : 42 + 16 * i] = value.to_bytes(10, "little")
            near = value
        return bytes(fp)

    def code(self, row: Row) -> bytes:
        """An encoding of a row; a memory operand is at [EDX]."""
        opcode, _, second = row.opcode.partition(" ")
        if second.startswith("/"):
            return bytes.fromhex(opcode) + bytes([int(second[1]) << 3 | 2])
        if second.endswith("+i"):
            return bytes.fromhex(opcode) + bytes([int(second[:2], 16) + self.rng.randrange(8)])
        return bytes.fromhex(opcode + second)

    def case(self, row: Row, registers: tuple[int, ...] = (), *, address: int | None = None) -> Case:
        """One instruction of a row. ``address`` is that of its memory operand, if not some place where it can be."""
        rng = self.rng
        words = [rng.getrandbits(32) for _ in range(8)]
        words[2] = DATA + 0x100 + rng.randrange(64) if address is None else address
        words[4] = STACK + 0x800
        flags = 0x202 | rng.choice((0, 0x890)) | rng.getrandbits(1) | rng.getrandbits(1) << 2 | rng.getrandbits(1) << 6
        content = self.memory(row)
        memory = ((words[2] - 4, b"\xa5" * 4 + content + b"\x5a" * 4),) if content and address is None else ()
        label = f"{row.opcode} {row.mnemonic} {','.join(row.operands)}"
        return Case(label, self.code(row), (*words, ENTRY, flags), memory, 0, fp=self.image(registers))


def registers_of(fp: bytes | bytearray, count: int = 8) -> list[int]:
    """The 80 bits of ST(0) and so on in an image."""
    return [int.from_bytes(fp[32 + 16 * i : 42 + 16 * i], "little") for i in range(count)]


def status_of(fp: bytes | bytearray) -> int:
    """The status word of an image."""
    return int.from_bytes(fp[2:4], "little")


def distance(a: int, b: int) -> int:
    """How many representable numbers lie between two finite 80-bit reals, one of them included."""
    ordered = [(bits >> 64 & SPECIAL) << 63 | bits & INTEGER_BIT - 1 for bits in (a, b)]
    signed = [-value if bits & SIGN else value for bits, value in zip((a, b), ordered, strict=True)]
    return abs(signed[0] - signed[1])
