"""What is compared inexactly, and why.

Nearly every result is a function of the operands to the last bit. The exceptions are few, and each has its reason here,
which reports show. The rules are for two implementations that may both be off, so each of them doubles what the manual
grants to one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from reference.isa.opcodes import ROWS

#: Bits of the x87 status word.
PRECISION: Final = 1 << 5
C1: Final = 1 << 9

Accepts = Callable[[bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One exception: ``accepts`` says whether two contents of a register of the kind ``registers`` (``st``, or ``xmm`` for
    any vector register) are equal enough; ``status`` are bits of the x87 status word that may differ."""

    mnemonics: tuple[str, ...]
    reason: str
    registers: str
    accepts: Accepts
    status: int = 0


def _lanes_within(relative: float) -> Accepts:
    def accepts(a: bytes, b: bytes) -> bool:
        for one, other in zip(struct.iter_unpack("<f", a), struct.iter_unpack("<f", b), strict=True):
            x, y = one[0], other[0]
            if x == y or (math.isnan(x) and math.isnan(y)):
                continue
            if not (math.isfinite(x) and math.isfinite(y)) or abs(x - y) > relative * max(abs(x), abs(y)):
                return False
        return True

    return accepts


def _extended_within(units: int) -> Accepts:
    """80-bit reals as integers of sign and magnitude: neighbours differ by one, also where the exponent changes."""

    def ordinal(register: bytes) -> int:
        mantissa, exponent = int.from_bytes(register[:8], "little"), int.from_bytes(register[8:10], "little")
        magnitude = (exponent & 0x7FFF) << 63 | mantissa & (1 << 63) - 1
        return -magnitude if exponent >> 15 else magnitude

    def accepts(a: bytes, b: bytes) -> bool:
        return abs(ordinal(a) - ordinal(b)) <= units

    return accepts


RULES: Final = (
    Rule(
        ("rcpps", "rcpss", "rsqrtps", "rsqrtss", "vrcpps", "vrcpss", "vrsqrtps", "vrsqrtss"),
        "approximations: the manual grants a relative error of 1.5 * 2^-12, and processors differ",
        "xmm",
        _lanes_within(2 * 1.5 * 2**-12 * (1 + 2**-10)),
    ),
    Rule(
        ("fsin", "fcos", "fsincos", "fptan", "fpatan", "f2xm1", "fyl2x", "fyl2xp1"),
        "transcendental: the manual grants an error of one unit in the last place; whether such a result counts as rounded"
        " up (C1), or as exact (PE), is left open",
        "st",
        _extended_within(2),
        C1 | PRECISION,
    ),
)  # fmt: skip

_BY_MNEMONIC: Final = {mnemonic: rule for rule in RULES for mnemonic in rule.mnemonics}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The rules that apply to a case; none for most."""

    rules: tuple[Rule, ...]

    @property
    def status(self) -> int:
        """Bits of the x87 status word that are not compared."""
        mask = 0
        for rule in self.rules:
            mask |= rule.status
        return mask

    @property
    def reasons(self) -> list[str]:
        """Why, for reports."""
        return [rule.reason for rule in self.rules]

    def accepts(self, register: str, a: bytes, b: bytes) -> bool:
        """Whether two contents of a register (``st3``, ``xmm1``, ``ymm1 high``) are equal enough."""
        kind = "st" if register.startswith("st") else "xmm"
        return any(rule.registers == kind and rule.accepts(a, b) for rule in self.rules)


@cache
def of_rows(rows: tuple[int, ...]) -> Tolerance:
    """What is compared inexactly in a case made from these rows of the instruction table."""
    found = dict.fromkeys(_BY_MNEMONIC[ROWS[row].mnemonic] for row in rows if ROWS[row].mnemonic in _BY_MNEMONIC)
    return Tolerance(tuple(found))


def reason(mnemonic: str) -> str | None:
    """Why results of an instruction are compared inexactly, or None where they are not."""
    rule = _BY_MNEMONIC.get(mnemonic)
    return None if rule is None else rule.reason
