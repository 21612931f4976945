"""Control transfers: JMP Jcc JECXZ LOOP CALL RET, and the instructions that trap on purpose.

INT n, INT3, INTO, SYSCALL leave EIP behind them; BOUND and invalid opcodes leave it at them (DESIGN: the VX ABI).
"""

from __future__ import annotations

from collections.abc import Callable

from reference.flags import OF, ZF
from reference.isa.instruction import Memory
from reference.isa.semantics.integer.multiply import signed
from reference.isa.semantics.integer.status import CONDITIONS
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import ECX, EFLAGS, ESP, MASK32
from reference.traps import SOFTWARE_INTERRUPT, GuestTrap, Trap, Vector, processor_trap


@semantics("jmp")
def jmp(m: Machine, op: Operation) -> int:
    """To the operand: relative, or the content of a register or memory."""
    return m.target(op.load())


def _conditional_jump(holds: Callable[[int], int]) -> Callable[[Machine, Operation], int]:
    def jcc(m: Machine, op: Operation) -> int:
        if holds(m.words[EFLAGS]):
            return m.target(op.target)
        return op.next

    return jcc


for _name, _holds in CONDITIONS.items():
    semantics(f"j{_name}")(_conditional_jump(_holds))


def _count_mask(op: Operation) -> int:
    """ECX counts, or CX with 16-bit addressing."""
    return MASK32 if op.instruction.address_size == 4 else 0xFFFF


@semantics("jecxz")
def jecxz(m: Machine, op: Operation) -> int:
    """If the counter is zero."""
    return op.next if m.words[ECX] & _count_mask(op) else m.target(op.target)


def _loop(goes_on: Callable[[int], int]) -> Callable[[Machine, Operation], int]:
    """Count down, jump while not zero and the condition holds. No flag changes."""

    def loop(m: Machine, op: Operation) -> int:
        words, mask = m.words, _count_mask(op)
        count = words[ECX] - 1 & mask
        again = count and goes_on(words[EFLAGS])
        eip = m.target(op.target) if again else op.next
        words[ECX] = words[ECX] & ~mask | count
        return eip

    return loop


semantics("loop")(_loop(lambda flags: 1))
semantics("loope")(_loop(lambda flags: flags & ZF))
semantics("loopne")(_loop(lambda flags: not flags & ZF))


@semantics("call")
def call(m: Machine, op: Operation) -> int:
    """The target is read, and found inside CS, before the return address is pushed."""
    eip = m.target(op.load())
    m.push(op.next, 4)
    return eip


@semantics("ret")
def ret(m: Machine, op: Operation) -> int:
    """Pop EIP; then the operand's number of bytes is dropped."""
    words = m.words
    eip = m.target(m.peek(words[ESP], 4))
    words[ESP] = words[ESP] + 4 + (op.load() if op.operands else 0) & MASK32
    return eip


@semantics("int")
def int_(m: Machine, op: Operation) -> int:
    """To the host, with a number."""
    raise GuestTrap(Trap(SOFTWARE_INTERRUPT + op.load(), op.next))


@semantics("int3")
def int3(m: Machine, op: Operation) -> int:
    """To the host: a breakpoint."""
    raise GuestTrap(processor_trap(Vector.BREAKPOINT, op.next))


@semantics("into")
def into(m: Machine, op: Operation) -> int:
    """To the host if OF is set."""
    if m.words[EFLAGS] & OF:
        raise GuestTrap(processor_trap(Vector.OVERFLOW, op.next))
    return op.next


@semantics("syscall")
def syscall(m: Machine, op: Operation) -> int:
    """To the host: a system call of the VX ABI. Unlike on hardware no register changes."""
    raise GuestTrap(Trap(Vector.SYSCALL, op.next))


@semantics("bound")
def bound(m: Machine, op: Operation) -> int:
    """Trap unless the signed first operand is within the two bounds in memory, both inclusive."""
    memory = op.operands[1]
    assert isinstance(memory, Memory)
    size, offset = op.size, op.address()
    wrap = MASK32 if memory.address_size == 4 else 0xFFFF
    lower = signed(m.load(op.segment, offset, size), op.sign)
    upper = signed(m.load(op.segment, offset + size & wrap, size), op.sign)
    if not lower <= signed(op.load(), op.sign) <= upper:
        raise GuestTrap(processor_trap(Vector.BOUND, op.eip))
    return op.next


@semantics("ud0", "ud1", "ud2", "hlt", "sysenter")
def invalid(m: Machine, op: Operation) -> int:
    """Not for guests: an invalid opcode at its own EIP."""
    raise GuestTrap(processor_trap(Vector.INVALID_OPCODE, op.eip, op.instruction.mnemonic))
