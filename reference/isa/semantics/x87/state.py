"""The x87 state, and what all of its instructions share: the register stack, the exceptions, the pointers.

Eight registers of 80 bits form a stack; TOP, in the status word, says which of them is ST(0), and a tag tells for each
whether it holds anything (SDM volume 1, section 8.1). They stand in the XSAVE image of the CPU, which keeps ST(0) first
wherever TOP points: so a change of TOP moves the registers of the image around, while the tags keep their places.

An instruction goes through these steps, and :func:`conclude` is the only one that changes the status word:

    begin      wait for an exception that is still pending; what is loaded from memory is loaded after that
    compute    a :class:`Result`: bits, exceptions, whether rounding went up; on no register yet
    conclude   status word and pointers; tells whether the result may be stored
    store      write, push, pop

What an exception leaves behind depends on its mask (section 8.5). Masked, there is a result. Unmasked, the next waiting
instruction traps, and: invalid, denormal and divide-by-zero exceptions leave the operands as they were; overflow and
underflow leave a result with a scaled exponent in a register, and nothing in memory; precision leaves the usual result.

What the manual leaves open, and the few things in which processors differ from it, are as AMD's have them; the functions
say so where that is the case. They were measured on Zen 4.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from reference.floating import EXTENDED, Kind, Real, Rounding, exact, normalised, round_real
from reference.isa.instruction import Instruction, Memory
from reference.isa.semantics.machine import X87_SUMMARY, Machine
from reference.isa.semantics.operation import Operation
from reference.registers import MASK32, Segment

#: The status word (section 8.1.3): condition codes, stack fault, busy.
C0, C1, C2, C3 = 1 << 8, 1 << 9, 1 << 10, 1 << 14
CONDITIONS: Final = C0 | C1 | C2 | C3
STACK_FAULT: Final = 1 << 6
BUSY: Final = 1 << 15
TOP_SHIFT: Final = 11

#: The exceptions, as bits of the status word, and their masks, as bits of the control word.
INVALID, DENORMAL, DIVIDE_BY_ZERO, OVERFLOW, UNDERFLOW, PRECISION = (1 << bit for bit in range(6))
ALL_EXCEPTIONS: Final = 0x3F
#: Those that are found before there is a result, and leave the operands unchanged where they are not masked.
PREVENTING: Final = INVALID | DENORMAL | DIVIDE_BY_ZERO

INDEFINITE: Final = EXTENDED.indefinite
#: What an unmasked overflow takes from the exponent, and an unmasked underflow adds to it (section 8.5.4).
EXPONENT_ADJUSTMENT: Final = 3 << 13

# Words of 64 bits in the image. The first holds control word, status word, tags (a bit for each register, 1: not empty) and
# opcode; the next two the pointers to the last instruction and to its operand.
_POINTER, _OPERAND, _ST0 = 1, 2, 4
_REGISTERS: Final = slice(_ST0, _ST0 + 16)
_TAGS_SHIFT: Final = 32
_MASK16: Final = 0xFFFF
_MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF


class Control(NamedTuple):
    """The control word, taken apart: rounding, bits of significand (section 8.1.5.2), masked exceptions."""

    rounding: Rounding
    precision: int
    masked: int


class Result(NamedTuple):
    """What an instruction has computed. ``bits`` may be anything where an unmasked exception prevents the result;
    ``exceptions`` are bits of the status word, the stack fault among them; ``up``: C1, the magnitude was rounded up."""

    bits: int
    exceptions: int = 0
    up: bool = False


#: Results of masked invalid operations.
INVALID_RESULT: Final = Result(INDEFINITE, INVALID)
STACK_UNDERFLOW: Final = Result(INDEFINITE, INVALID | STACK_FAULT)
STACK_OVERFLOW: Final = Result(INDEFINITE, INVALID | STACK_FAULT, up=True)


@cache
def _control(word: int) -> Control:
    return Control(Rounding(word >> 10 & 3), (24, 64, 53, 64)[word >> 8 & 3], word & ALL_EXCEPTIONS)


def control(m: Machine) -> Control:
    """The control word, taken apart."""
    return _control(m.image[0] & 0x0F3F)


# -- control word, status word, tags -----------------------------------------------------------------------------------


def control_word(m: Machine) -> int:
    """The control word."""
    return m.image[0] & _MASK16


def set_control_word(m: Machine, value: int) -> None:
    """Load the control word; its reserved bits are fixed (section 8.1.5)."""
    m.image[0] = m.image[0] & ~_MASK16 | value & 0x1F3F | 0x40
    _summarise(m)


def status_word(m: Machine) -> int:
    """The status word."""
    return m.image[0] >> 16 & _MASK16


def set_status_word(m: Machine, value: int) -> None:
    """Replace the status word but TOP; ES and B are made to say what the exceptions and their masks mean."""
    kept = 7 << TOP_SHIFT
    m.image[0] = m.image[0] & ~((_MASK16 & ~kept) << 16) | (value & ~kept) << 16
    _summarise(m)


def _summarise(m: Machine) -> None:
    word = m.image[0]
    pending = (word >> 16) & ~word & ALL_EXCEPTIONS
    summary = (X87_SUMMARY | BUSY) << 16
    m.image[0] = word | summary if pending else word & ~summary


def set_conditions(m: Machine, value: int) -> None:
    """Replace the four condition codes."""
    m.image[0] = m.image[0] & ~(CONDITIONS << 16) | value << 16


def set_condition(m: Machine, code: int, on: bool) -> None:
    """One of the condition codes."""
    m.image[0] = m.image[0] | code << 16 if on else m.image[0] & ~(code << 16)


def top(m: Machine) -> int:
    """TOP."""
    return m.image[0] >> 16 + TOP_SHIFT & 7


def set_tags(m: Machine, value: int) -> None:
    """Replace the tags: a bit for each register, by its own number and not from TOP on, 1 where it is not empty."""
    m.image[0] = m.image[0] & ~(0xFF << _TAGS_SHIFT) | value << _TAGS_SHIFT


# -- the stack ---------------------------------------------------------------------------------------------------------


def empty(m: Machine, i: int) -> bool:
    """Whether ST(i) holds nothing."""
    word = m.image[0]
    return not word >> _TAGS_SHIFT + ((word >> 16 + TOP_SHIFT) + i & 7) & 1


def read(m: Machine, i: int) -> int:
    """The 80 bits of ST(i), empty or not."""
    return m.image[_ST0 + 2 * i] | (m.image[_ST0 + 1 + 2 * i] & _MASK16) << 64


def write(m: Machine, i: int, bits: int) -> None:
    """Replace ST(i), which is not empty then."""
    image = m.image
    image[_ST0 + 2 * i] = bits & _MASK64
    image[_ST0 + 1 + 2 * i] = bits >> 64
    image[0] |= 1 << _TAGS_SHIFT + ((image[0] >> 16 + TOP_SHIFT) + i & 7)


def set_registers(m: Machine, stored: bytes) -> None:
    """Replace all registers, from ST(0) on, with ten bytes each, and no tag."""
    for i in range(8):
        at = 10 * i
        m.image[_ST0 + 2 * i] = int.from_bytes(stored[at : at + 8], "little")
        m.image[_ST0 + 1 + 2 * i] = int.from_bytes(stored[at + 8 : at + 10], "little")


def release(m: Machine, i: int) -> None:
    """Mark ST(i) as empty; it keeps its bits."""
    m.image[0] &= ~(1 << _TAGS_SHIFT + (top(m) + i & 7))


def rotate(m: Machine, by: int) -> None:
    """Add to TOP; the image has the registers in the order of the stack."""
    image = m.image
    by &= 7
    registers = bytes(image[_REGISTERS])
    image[_REGISTERS] = memoryview(registers[16 * by :] + registers[: 16 * by]).cast("Q")
    image[0] = image[0] & ~(7 << 16 + TOP_SHIFT) | (top(m) + by & 7) << 16 + TOP_SHIFT


def push(m: Machine, bits: int) -> None:
    """A new ST(0)."""
    rotate(m, -1)
    write(m, 0, bits)


def pop(m: Machine, times: int = 1) -> None:
    """Empty ST(0), and make ST(1) the new one."""
    for _ in range(times):
        release(m, 0)
        rotate(m, 1)


# -- the steps of an instruction ---------------------------------------------------------------------------------------


def begin(m: Machine, op: Operation) -> None:
    """Raise an exception that an earlier instruction has left pending."""
    m.wait_for_x87(op.eip)


def conclude(m: Machine, op: Operation, result: Result, *, keep_c1: bool = False) -> bool:
    """Note the instruction's exceptions and C1, and where it stands; whether the result may be stored, and popped."""
    word = m.image[0]
    exceptions = result.exceptions
    unmasked = exceptions & ~word & ALL_EXCEPTIONS
    status = exceptions | (C1 if result.up else 0)
    if unmasked:
        status |= X87_SUMMARY | BUSY
    m.image[0] = (word if keep_c1 else word & ~(C1 << 16)) | status << 16
    point(m, op)
    return not unmasked & PREVENTING


def point(m: Machine, op: Operation) -> None:
    """Remember the instruction, its opcode and its operand (section 8.1.8); without an operand, the old one stays.

    The opcode is the low three bits of the first byte, and the second. The EIP is that of the prefixes, if there are any.
    An operand is remembered by its offset in the data segment; through GS the thread pointer has been added to it.
    """
    image = m.image
    image[0] = image[0] & ~(_MASK16 << 48) | opcode(op.instruction) << 48
    image[_POINTER] = op.eip
    if op.operands and isinstance(op.operands[0], Memory):
        offset = op.address()
        image[_OPERAND] = offset + (m.cpu.gs_base or 0) & MASK32 if op.segment == Segment.GS else offset


def opcode(instruction: Instruction) -> int:
    """What is remembered of an instruction's code."""
    code, at = instruction.raw, instruction.opcode_offset
    return (code[at] & 7) << 8 | code[at + 1]


def pointers(m: Machine) -> tuple[int, int, int]:
    """The last instruction's EIP, its opcode, and its operand's offset."""
    return m.image[_POINTER] & MASK32, m.image[0] >> 48 & 0x7FF, m.image[_OPERAND] & MASK32


def set_pointers(m: Machine, eip: int, code: int, operand: int) -> None:
    """Replace what :func:`pointers` gives."""
    m.image[0] = m.image[0] & ~(_MASK16 << 48) | code << 48
    m.image[_POINTER] = eip
    m.image[_OPERAND] = operand


# -- what becomes of operands and results ------------------------------------------------------------------------------


def unpack(m: Machine, i: int) -> Real:
    """What ST(i) stands for."""
    return EXTENDED.unpack(read(m, i))


def not_a_number(*operands: Real) -> Result | None:
    """The result where an operand is a NaN or unsupported, else None (section 4.8.3.5, table 4-7).

    Quiet NaNs prevail over signalling ones, then the larger significand, then the positive one.
    """
    for operand in operands:
        if operand.kind > Kind.INFINITY:
            break
    else:
        return None
    if any(operand.kind is Kind.UNSUPPORTED for operand in operands):
        return INVALID_RESULT
    nans = [operand for operand in operands if operand.nan]
    chosen = max(nans, key=lambda nan: (nan.kind is Kind.QUIET, nan.significand, -nan.sign))
    signalling = any(nan.kind is Kind.SIGNALLING for nan in nans)
    return Result(EXTENDED.nan(chosen.sign, chosen.significand), INVALID if signalling else 0)


def denormals(*operands: Real) -> int:
    """The exception that denormal operands raise."""
    for operand in operands:
        if operand.denormal:
            return DENORMAL
    return 0


def rounded(of: Control, value: Real, exceptions: int = 0, *, precision: int = 64) -> Result:
    """A finite value or zero as the result for a register; ``exceptions`` are those of the operands."""
    found = round_real(value, EXTENDED, of.rounding, precision=precision)
    flags = int(found.exceptions)
    if flags & OVERFLOW & ~of.masked:
        return _scaled(of, value, exceptions | OVERFLOW, -EXPONENT_ADJUSTMENT, precision)
    if found.tiny and UNDERFLOW & ~of.masked:
        return _scaled(of, value, exceptions | UNDERFLOW, EXPONENT_ADJUSTMENT, precision)
    return Result(found.bits, exceptions | flags, found.up)


def _scaled(of: Control, value: Real, exceptions: int, adjustment: int, precision: int) -> Result:
    """Rounded as if the exponent were not limited, then scaled. What is too large even then is infinite, and what is too
    small is zero: only FSCALE goes that far."""
    significand, exponent, inexact, up = normalised(value, precision, of.rounding)
    found = round_real(exact(value.sign, significand, exponent + adjustment), EXTENDED, of.rounding)
    if found.exceptions & OVERFLOW:
        return Result(EXTENDED.infinity(value.sign), exceptions | PRECISION, up=True)
    if found.tiny:
        return Result(EXTENDED.zero(value.sign), exceptions | PRECISION)
    return Result(found.bits, exceptions | (PRECISION if inexact else 0), up)
