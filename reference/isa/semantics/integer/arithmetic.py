"""Addition and subtraction: ADD ADC SUB SBB CMP INC DEC NEG, XADD CMPXCHG CMPXCHG8B, ADCX ADOX."""

from __future__ import annotations

from reference.flags import CF, OF, ZF
from reference.isa.semantics.integer.status import (
    after_add,
    after_decrement,
    after_increment,
    after_subtract,
    with_carry,
)
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import EAX, EBX, ECX, EDX, EFLAGS, MASK32


@semantics("add")
def add(m: Machine, op: Operation) -> int:
    """Destination + source."""
    a, b = op.modify(), op.source()
    total = a + b
    op.store(total & op.mask)
    m.words[EFLAGS] = after_add(m.words[EFLAGS], a, b, total, op.mask, op.sign)
    return op.next


@semantics("adc")
def adc(m: Machine, op: Operation) -> int:
    """Destination + source + CF."""
    a, b = op.modify(), op.source()
    flags = m.words[EFLAGS]
    total = a + b + (flags & CF)
    op.store(total & op.mask)
    m.words[EFLAGS] = after_add(flags, a, b, total, op.mask, op.sign)
    return op.next


@semantics("sub")
def sub(m: Machine, op: Operation) -> int:
    """Destination - source."""
    a, b = op.modify(), op.source()
    difference = a - b
    op.store(difference & op.mask)
    m.words[EFLAGS] = after_subtract(m.words[EFLAGS], a, b, difference, op.mask, op.sign)
    return op.next


@semantics("sbb")
def sbb(m: Machine, op: Operation) -> int:
    """Destination - source - CF."""
    a, b = op.modify(), op.source()
    flags = m.words[EFLAGS]
    difference = a - b - (flags & CF)
    op.store(difference & op.mask)
    m.words[EFLAGS] = after_subtract(flags, a, b, difference, op.mask, op.sign)
    return op.next


@semantics("cmp")
def cmp(m: Machine, op: Operation) -> int:
    """SUB that stores nothing."""
    a, b = op.load(), op.source()
    m.words[EFLAGS] = after_subtract(m.words[EFLAGS], a, b, a - b, op.mask, op.sign)
    return op.next


@semantics("inc")
def inc(m: Machine, op: Operation) -> int:
    """Destination + 1, CF unchanged."""
    result = op.modify() + 1 & op.mask
    op.store(result)
    m.words[EFLAGS] = after_increment(m.words[EFLAGS], result, op.sign)
    return op.next


@semantics("dec")
def dec(m: Machine, op: Operation) -> int:
    """Destination - 1, CF unchanged."""
    result = op.modify() - 1 & op.mask
    op.store(result)
    m.words[EFLAGS] = after_decrement(m.words[EFLAGS], result, op.sign)
    return op.next


@semantics("neg")
def neg(m: Machine, op: Operation) -> int:
    """0 - destination; CF tells whether it was not zero."""
    value = op.modify()
    op.store(-value & op.mask)
    m.words[EFLAGS] = after_subtract(m.words[EFLAGS], 0, value, -value, op.mask, op.sign)
    return op.next


@semantics("xadd")
def xadd(m: Machine, op: Operation) -> int:
    """The sum to the destination, the old destination to the source; of one register, the sum stays."""
    a, b = op.modify(), op.source()
    total = a + b
    op.store(total & op.mask)  # first: the address may depend on the source register
    if op.operands[0] != op.operands[1]:
        op.store_source(a)
    m.words[EFLAGS] = after_add(m.words[EFLAGS], a, b, total, op.mask, op.sign)
    return op.next


@semantics("cmpxchg")
def cmpxchg(m: Machine, op: Operation) -> int:
    """If the accumulator equals the destination, store the source there, else load the accumulator from it."""
    words = m.words
    destination = op.modify()
    accumulator = words[EAX] & op.mask
    if accumulator == destination:
        op.store(op.source())
    else:
        words[EAX] = words[EAX] & ~op.mask | destination
    words[EFLAGS] = after_subtract(words[EFLAGS], accumulator, destination, accumulator - destination, op.mask, op.sign)
    return op.next


@semantics("cmpxchg8b")
def cmpxchg8b(m: Machine, op: Operation) -> int:
    """CMPXCHG of EDX:EAX with ECX:EBX; of the flags only ZF changes."""
    words = m.words
    destination = m.claim(op.segment, op.address(), 8)
    if destination == words[EDX] << 32 | words[EAX]:
        m.store(op.segment, op.address(), 8, words[ECX] << 32 | words[EBX])
        m.set_flag(ZF, True)
    else:
        words[EAX], words[EDX] = destination & MASK32, destination >> 32
        m.set_flag(ZF, False)
    return op.next


@semantics("adcx")
def adcx(m: Machine, op: Operation) -> int:
    """Destination + source + CF, with the carry to CF and no other flag."""
    flags = m.words[EFLAGS]
    total = op.load() + op.source() + (flags & CF)
    op.store(total & MASK32)
    m.words[EFLAGS] = with_carry(flags, total >> 32)
    return op.next


@semantics("adox")
def adox(m: Machine, op: Operation) -> int:
    """Destination + source + OF, with the carry to OF and no other flag."""
    total = op.load() + op.source() + (1 if m.words[EFLAGS] & OF else 0)
    op.store(total & MASK32)
    m.set_flag(OF, total > MASK32)
    return op.next
