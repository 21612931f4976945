"""Instructions that save or load the floating-point environment, which are executed alone and then tidied up.

FNSTENV, FNSAVE and FXSAVE store where the last x87 instruction and its operand were: for translated code that is an
address in the code cache, which the guest must not learn. The pointers are stored as zeros, as processors do that have
given them up (SDM volume 1, section 8.1.8), with the selectors and the opcode.
"""

from __future__ import annotations

from typing import Final

from reference.isa.instruction import Instruction, Memory
from reference.isa.semantics.operation import bind_address
from reference.memory import AddressSpace
from reference.registers import CPU

#: Mnemonic to the bytes, from offset to offset, that hold pointers: with a 32-bit, and with a 16-bit operand size.
_POINTERS: Final[dict[str, tuple[range, range]]] = {
    "fnstenv": (range(12, 28), range(6, 14)),
    "fnsave": (range(12, 28), range(6, 14)),
    "fxsave": (range(6, 24), range(6, 24)),
    "fldenv": (range(0), range(0)),
    "frstor": (range(0), range(0)),
    "fxrstor": (range(0), range(0)),
}


def runs_alone(instruction: Instruction) -> bool:
    """Whether the instruction is one of those that this module knows."""
    return instruction.mnemonic in _POINTERS


def operand_address(cpu: CPU, instruction: Instruction) -> int:
    """The guest address of the memory operand."""
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    address = bind_address(cpu.words, operand)()
    return (address + (cpu.gs_base or 0)) & 0xFFFF_FFFF if operand.segment.name == "GS" else address


def hide_pointers(space: AddressSpace, instruction: Instruction, address: int) -> None:
    """Replace the pointers in what the instruction has stored at ``address``."""
    pointers = _POINTERS[instruction.mnemonic][instruction.operand_size == 2]
    if pointers:
        space.write(address + pointers.start, bytes(len(pointers)))
