"""The stack: PUSH POP, PUSHA POPA, PUSHF POPF, ENTER LEAVE.

The stack segment is 32 bits wide: ESP and EBP move as a whole whatever the operand size. Instructions that push several
values store them one by one, and one that faults midway has already stored the first ones below ESP, as hardware does;
ESP and the other registers change only when all is done.
"""

from __future__ import annotations

from reference.flags import ALWAYS_SET, GUEST_WRITABLE, RF, VM
from reference.isa.instruction import Immediate
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import EBP, EDI, EFLAGS, ESP, MASK32
from reference.traps import Access


@semantics("push")
def push(m: Machine, op: Operation) -> int:
    """The operand as it is before ESP moves, so that PUSH ESP stores the old ESP. An immediate has operand size."""
    value = op.load()
    m.push(value, op.instruction.operand_size)
    return op.next


@semantics("pop")
def pop(m: Machine, op: Operation) -> int:
    """ESP moves before the destination's address is computed; POP ESP ends up with the value popped."""
    words = m.words
    top = words[ESP]
    value = m.pop(op.instruction.operand_size)
    try:
        op.store(value)
    except Exception:
        words[ESP] = top
        raise
    return op.next


@semantics("pusha")
def pusha(m: Machine, op: Operation) -> int:
    """EAX ECX EDX EBX, the old ESP, EBP ESI EDI."""
    size, words = op.instruction.operand_size, m.words
    top, mask = words[ESP], (1 << 8 * size) - 1
    for register in range(8):
        top = top - size & MASK32
        m.writers[size](m.stack_linear(top, size, Access.WRITE), words[register] & mask)
    words[ESP] = top
    return op.next


@semantics("popa")
def popa(m: Machine, op: Operation) -> int:
    """The reverse; the value for ESP is skipped."""
    size, words = op.instruction.operand_size, m.words
    top, keep = words[ESP], MASK32 & ~((1 << 8 * size) - 1)
    values = {}
    for register in range(EDI, -1, -1):
        values[register] = m.peek(top, size)
        top = top + size & MASK32
    for register, value in values.items():
        words[register] = words[register] & keep | value
    words[ESP] = top
    return op.next


@semantics("pushf")
def pushf(m: Machine, op: Operation) -> int:
    """EFLAGS, RF and VM as zeros."""
    size = op.instruction.operand_size
    flags = (m.words[EFLAGS] | ALWAYS_SET) & ~(RF | VM)
    m.push(flags if size == 4 else flags & 0xFFFF, size)
    return op.next


@semantics("popf")
def popf(m: Machine, op: Operation) -> int:
    """What a guest may change of EFLAGS (reference.flags); the rest keeps its value."""
    size = op.instruction.operand_size
    writable = GUEST_WRITABLE if size == 4 else GUEST_WRITABLE & 0xFFFF
    value = m.pop(size)
    m.words[EFLAGS] = m.words[EFLAGS] & ~writable | value & writable
    return op.next


@semantics("enter")
def enter(m: Machine, op: Operation) -> int:
    """A stack frame of ``first`` bytes at nesting level ``second`` modulo 32 (SDM volume 2, ENTER).

    EBP is pushed; for a level above zero the frame pointers of the enclosing levels are copied, and that of this frame
    pushed. ENTER faults where a store at the final ESP would.
    """
    size, words = op.instruction.operand_size, m.words
    first, second = op.operands
    assert isinstance(first, Immediate)
    assert isinstance(second, Immediate)
    level, mask, write = second.value & 31, (1 << 8 * size) - 1, m.writers[size]
    frame = top = words[ESP] - size & MASK32
    write(m.stack_linear(top, size, Access.WRITE), words[EBP] & mask)
    pointer = words[EBP]
    for _ in range(level - 1):
        pointer = pointer - size & MASK32
        top = top - size & MASK32
        write(m.stack_linear(top, size, Access.WRITE), m.peek(pointer, size))
    if level:
        top = top - size & MASK32
        write(m.stack_linear(top, size, Access.WRITE), frame & mask)
    top = top - first.value & MASK32
    m.memory.check(m.stack_linear(top, size, Access.WRITE), size, Access.WRITE)
    words[EBP] = words[EBP] & ~mask | frame & mask
    words[ESP] = top
    return op.next


@semantics("leave")
def leave(m: Machine, op: Operation) -> int:
    """ESP from EBP, then POP EBP."""
    size, words = op.instruction.operand_size, m.words
    frame, mask = words[EBP], (1 << 8 * size) - 1
    value = m.peek(frame, size)
    words[EBP] = frame & ~mask | value
    words[ESP] = frame + size & MASK32
    return op.next
