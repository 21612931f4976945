"""What the manual leaves undefined for exactly these operands; the instruction table only knows it of some operands.

Processors do something definite in each case, and different ones do different things: so it is not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from conformance.encodings import DOUBLE_SHIFTS, ROTATIONS, SHIFTS
from reference.flags import AF, CF, OF
from reference.isa.instruction import Immediate, Instruction, Memory, Register
from reference.policy import Group
from reference.registers import EAX, ECX, EDX

_C0, _C1, _C2, _C3 = 1 << 8, 1 << 9, 1 << 10, 1 << 14
_CONDITION: Final = _C0 | _C1 | _C2 | _C3
#: Condition codes (SDM volume 2, "FPU Flags Affected" of each instruction): of most only C1 is defined.
_FSW: Final = {
    **dict.fromkeys(
        (
            "fcom", "fcomp", "fcompp", "fucom", "fucomp", "fucompp", "ficom", "ficomp", "ftst", "fxam", "fprem", "fprem1",
            "fcomi", "fcomip", "fucomi", "fucomip", "fninit", "fnsave", "frstor", "fldenv",
        ),
        0,
    ),
    **dict.fromkeys(("fsin", "fcos", "fsincos", "fptan"), _C0 | _C3),
    **dict.fromkeys(
        ("fnclex", "fldcw", "fnstcw", "fnstsw", "fwait", "fnop", "ffree", "ffreep", "fnstenv"), _CONDITION
    ),
}  # fmt: skip
_OTHER_X87: Final = _C0 | _C2 | _C3

#: Registers that no case can foresee.
_REGISTERS: Final = {"rdtsc": 1 << EAX | 1 << EDX, "rdtscp": 1 << EAX | 1 << EDX | 1 << ECX}
_RANDOM: Final = frozenset({"rdrand", "rdseed"})


def flags(instruction: Instruction, words: Sequence[int]) -> int:
    """EFLAGS that are undefined after an instruction that began with these registers."""
    mnemonic, row = instruction.mnemonic, instruction.row
    if mnemonic in _RANDOM:
        return row.writes
    if mnemonic not in SHIFTS | ROTATIONS | DOUBLE_SHIFTS:
        return row.undefined
    first, last = instruction.operands[0], instruction.operands[-1]
    assert isinstance(first, Register | Memory)
    count = (last.value if isinstance(last, Immediate) else words[ECX]) & 31
    if count == 0:
        return 0
    undefined = 0 if count == 1 else OF
    if mnemonic in ROTATIONS:
        return undefined
    if mnemonic in ("shl", "shr") and count >= 8 * first.size:
        undefined |= CF
    return undefined | AF


def status_word(instruction: Instruction) -> int:
    """Bits of the x87 status word that are undefined after an instruction."""
    if instruction.row.group is not Group.X87 and instruction.mnemonic != "fisttp":
        return 0
    return _FSW.get(instruction.mnemonic, _OTHER_X87)


def registers(instruction: Instruction) -> int:
    """A bit for each general register that nobody can foresee."""
    if instruction.mnemonic in _RANDOM:
        operand = instruction.operands[0]
        assert isinstance(operand, Register)
        return 1 << operand.number
    return _REGISTERS.get(instruction.mnemonic, 0)
