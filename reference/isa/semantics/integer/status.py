"""The status flags: how results become CF, PF, AF, ZF, SF and OF, and how conditions read them.

Every arithmetic flag that the integer instructions write is computed here (SDM volume 1, section 3.4.3.1, and the "Flags
Affected" of each instruction in volume 2). A function takes the EFLAGS before and returns the EFLAGS after; ``mask`` and
``sign`` are those of the operand width: all its bits, and its highest bit.

Where Intel leaves a flag undefined, the value is the one that is simplest to compute; most often it is also what current
processors do. Nothing compares undefined flags: the table of instructions lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference.flags import AF, CF, OF, PF, SF, STATUS, ZF
from reference.registers import MASK32

#: PF for each value of a result's low byte: set where the number of ones is even.
PARITY: Final = tuple(0 if value.bit_count() & 1 else PF for value in range(256))

_OTHERS: Final = MASK32 & ~STATUS
_OTHERS_AND_CF: Final = _OTHERS | CF


def after_add(flags: int, a: int, b: int, total: int, mask: int, sign: int) -> int:
    """``total`` is the exact sum of the operands (and a carry), not yet cut to its width."""
    result = total & mask
    return (
        flags & _OTHERS
        | PARITY[result & 0xFF]
        | (a ^ b ^ total) & AF
        | (CF if total > mask else 0)
        | (SF if result & sign else 0)
        | (0 if result else ZF)
        | (OF if (a ^ total) & (b ^ total) & sign else 0)
    )


def after_subtract(flags: int, a: int, b: int, difference: int, mask: int, sign: int) -> int:
    """``difference`` is the exact ``a - b`` (less a borrow): negative where CF is set."""
    result = difference & mask
    return (
        flags & _OTHERS
        | PARITY[result & 0xFF]
        | (a ^ b ^ difference) & AF
        | (CF if difference < 0 else 0)
        | (SF if result & sign else 0)
        | (0 if result else ZF)
        | (OF if (a ^ b) & (a ^ difference) & sign else 0)
    )


def after_increment(flags: int, result: int, sign: int) -> int:
    """INC: CF stays. Overflow is the step from the largest positive number to the smallest negative one."""
    return (
        flags & _OTHERS_AND_CF
        | PARITY[result & 0xFF]
        | (0 if result & 0xF else AF)
        | (SF if result & sign else 0)
        | (0 if result else ZF)
        | (OF if result == sign else 0)
    )


def after_decrement(flags: int, result: int, sign: int) -> int:
    """DEC: CF stays. Overflow is the step from the smallest negative number to the largest positive one."""
    return (
        flags & _OTHERS_AND_CF
        | PARITY[result & 0xFF]
        | (AF if result & 0xF == 0xF else 0)
        | (SF if result & sign else 0)
        | (0 if result else ZF)
        | (OF if result == sign - 1 else 0)
    )


def after_logic(flags: int, result: int, sign: int, carry: int = 0) -> int:
    """AND, OR, XOR, TEST, and whatever else clears OF: CF is ``carry`` (0 or 1), AF is cleared."""
    return flags & _OTHERS | PARITY[result & 0xFF] | carry | (SF if result & sign else 0) | (0 if result else ZF)


def after_shift(flags: int, result: int, sign: int, carry: int, overflow: int) -> int:
    """SHL, SHR, SAR, SHLD, SHRD by a count that is not zero. ``carry`` and ``overflow`` are truth values."""
    return (
        flags & _OTHERS
        | PARITY[result & 0xFF]
        | AF
        | (CF if carry else 0)
        | (SF if result & sign else 0)
        | (0 if result else ZF)
        | (OF if overflow else 0)
    )


def with_carry_overflow(flags: int, carry: int, overflow: int) -> int:
    """Multiplications and rotations: CF and OF only. Both are truth values."""
    return flags & ~(CF | OF) | (CF if carry else 0) | (OF if overflow else 0)


def with_carry(flags: int, carry: int) -> int:
    """Bit tests and carry instructions: CF only."""
    return flags | CF if carry else flags & ~CF


def with_carry_zero(flags: int, carry: int, zero: int) -> int:
    """LZCNT and TZCNT: CF and ZF, the others undefined and left alone."""
    return flags & ~(CF | ZF) | (CF if carry else 0) | (ZF if zero else 0)


def sign_zero_parity(result: int, sign: int) -> int:
    """SF, ZF and PF of a result alone, for the decimal adjustments."""
    return PARITY[result & 0xFF] | (SF if result & sign else 0) | (0 if result else ZF)


def _less(flags: int) -> bool:
    return (flags & SF == 0) != (flags & OF == 0)


#: The sixteen conditions by the names of Intel's mnemonics (SDM volume 1, appendix B): EFLAGS to a truth value.
CONDITIONS: Final[dict[str, Callable[[int], int]]] = {
    "o": lambda flags: flags & OF,
    "no": lambda flags: not flags & OF,
    "b": lambda flags: flags & CF,
    "ae": lambda flags: not flags & CF,
    "e": lambda flags: flags & ZF,
    "ne": lambda flags: not flags & ZF,
    "be": lambda flags: flags & (CF | ZF),
    "a": lambda flags: not flags & (CF | ZF),
    "s": lambda flags: flags & SF,
    "ns": lambda flags: not flags & SF,
    "p": lambda flags: flags & PF,
    "np": lambda flags: not flags & PF,
    "l": _less,
    "ge": lambda flags: not _less(flags),
    "le": lambda flags: flags & ZF or _less(flags),
    "g": lambda flags: not (flags & ZF or _less(flags)),
}
