"""Control of the x87: FNINIT FNCLEX, control and status word, FLDENV FNSTENV, FRSTOR FNSAVE.

In memory the environment has seven words of 32 or, with the 16-bit operand size, of 16 bits (SDM volume 1, figures 8-9 to
8-12): control, status and tag word, the last instruction's EIP and code selector, its operand's offset and data selector.
With 32 bits the opcode shares a word with the code selector. Selectors are zero, as processors have it that no longer keep
them.

The tag word tells more than the processor keeps: two bits for each register, made from its content when they are stored;
of what is loaded, only whether a register is empty counts (section 8.1.7).
"""

from __future__ import annotations

from typing import Final

from reference.floating import EXTENDED, Kind
from reference.isa.semantics.machine import X87_SUMMARY, Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.isa.semantics.x87 import state as x87
from reference.registers import INITIAL_X87_CONTROL
from reference.traps import Access

_VALID, _ZERO, _SPECIAL, _EMPTY = range(4)
_MASK16: Final = 0xFFFF
#: What processors store in the unused upper halves of 32-bit words.
_UNUSED: Final = 0xFFFF << 16
_REGISTER_BYTES: Final = 10


# -- control and status word -------------------------------------------------------------------------------------------


@semantics("fninit")
def fninit(m: Machine, op: Operation) -> int:
    """The initial state; the registers keep their bits, but are empty."""
    _initialise(m)
    return op.next


def _initialise(m: Machine) -> None:
    x87.rotate(m, -x87.top(m))
    x87.set_control_word(m, INITIAL_X87_CONTROL)
    x87.set_status_word(m, 0)
    x87.set_tags(m, 0)
    x87.set_pointers(m, 0, 0, 0)


@semantics("fnclex")
def fnclex(m: Machine, op: Operation) -> int:
    """Forget all exceptions, pending ones too."""
    cleared = x87.ALL_EXCEPTIONS | x87.STACK_FAULT | X87_SUMMARY | x87.BUSY
    x87.set_status_word(m, x87.status_word(m) & ~cleared)
    return op.next


@semantics("fldcw")
def fldcw(m: Machine, op: Operation) -> int:
    """Load the control word; an exception that is no longer masked is pending from now on."""
    x87.begin(m, op)
    x87.set_control_word(m, op.load())
    return op.next


@semantics("fnstcw")
def fnstcw(m: Machine, op: Operation) -> int:
    """Store the control word."""
    op.store(x87.control_word(m))
    return op.next


@semantics("fnstsw")
def fnstsw(m: Machine, op: Operation) -> int:
    """Store the status word."""
    op.store(x87.status_word(m))
    return op.next


# -- the environment ---------------------------------------------------------------------------------------------------


def _tag(bits: int) -> int:
    """What a register that is not empty is tagged as."""
    value = EXTENDED.unpack(bits)
    if value.kind is Kind.ZERO:
        return _ZERO
    return _VALID if value.kind is Kind.FINITE and not value.denormal else _SPECIAL


def full_tags(m: Machine) -> int:
    """The tag word: two bits for each register, by its own number."""
    word = 0
    for i in range(8):
        found = _EMPTY if x87.empty(m, i) else _tag(x87.read(m, i))
        word |= found << 2 * (x87.top(m) + i & 7)
    return word


def _environment(m: Machine, size: int) -> bytes:
    eip, opcode, operand = x87.pointers(m)
    words = [x87.control_word(m), x87.status_word(m), full_tags(m), eip, 0, operand, 0]
    if size == 2:
        return b"".join((word & _MASK16).to_bytes(2, "little") for word in words)
    words[4] = opcode << 16
    for i in (0, 1, 2, 6):
        words[i] |= _UNUSED
    return b"".join(word.to_bytes(4, "little") for word in words)


def _load_environment(m: Machine, stored: bytes, size: int) -> None:
    words = [int.from_bytes(stored[at : at + size], "little") for at in range(0, 7 * size, size)]
    control, status, tags = (word & _MASK16 for word in words[:3])
    x87.rotate(m, (status >> x87.TOP_SHIFT) - x87.top(m))
    x87.set_control_word(m, control)
    x87.set_status_word(m, status)
    x87.set_tags(m, sum(1 << i for i in range(8) if tags >> 2 * i & 3 != _EMPTY))
    opcode = words[4] >> 16 & 0x7FF if size == 4 else 0
    x87.set_pointers(m, words[3], opcode, words[5])


def _read(m: Machine, op: Operation, length: int) -> bytes:
    return m.memory.read(m.segments.linear(op.segment, op.address(), length, Access.READ), length)


def _write(m: Machine, op: Operation, data: bytes) -> None:
    m.memory.write(m.segments.linear(op.segment, op.address(), len(data), Access.WRITE), data)


@semantics("fnstenv")
def fnstenv(m: Machine, op: Operation) -> int:
    """Store the environment, then mask all exceptions."""
    _write(m, op, _environment(m, op.instruction.operand_size))
    x87.set_control_word(m, x87.control_word(m) | x87.ALL_EXCEPTIONS)
    return op.next


@semantics("fldenv")
def fldenv(m: Machine, op: Operation) -> int:
    """Load the environment."""
    x87.begin(m, op)
    size = op.instruction.operand_size
    _load_environment(m, _read(m, op, 7 * size), size)
    return op.next


@semantics("fnsave")
def fnsave(m: Machine, op: Operation) -> int:
    """Store the environment and the registers from ST(0) on, then initialise."""
    registers = (x87.read(m, i).to_bytes(_REGISTER_BYTES, "little") for i in range(8))
    _write(m, op, _environment(m, op.instruction.operand_size) + b"".join(registers))
    _initialise(m)
    return op.next


@semantics("frstor")
def frstor(m: Machine, op: Operation) -> int:
    """Load what FNSAVE has stored."""
    x87.begin(m, op)
    size = op.instruction.operand_size
    stored = _read(m, op, 7 * size + 8 * _REGISTER_BYTES)
    _load_environment(m, stored, size)
    x87.set_registers(m, stored[7 * size :])
    return op.next
