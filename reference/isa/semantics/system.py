"""What an operating system would see to: CPUID, the time-stamp counter, XGETBV, random numbers; and what has no effect."""

from __future__ import annotations

import os

from reference.cpuid import cpuid as virtual_cpuid
from reference.cpuid import xcr0
from reference.flags import CF, STATUS
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import EAX, EBX, ECX, EDX, EFLAGS, MASK32
from reference.traps import GuestTrap, protection_fault


@semantics("cpuid")
def cpuid(m: Machine, op: Operation) -> int:
    """The virtual machine, by leaf and subleaf."""
    words = m.words
    words[EAX], words[EBX], words[ECX], words[EDX] = virtual_cpuid(m.policy, words[EAX], words[ECX])
    return op.next


@semantics("rdtsc")
def rdtsc(m: Machine, op: Operation) -> int:
    """The engine's clock to EDX:EAX."""
    now = m.clock()
    m.words[EAX], m.words[EDX] = now & MASK32, now >> 32 & MASK32
    return op.next


@semantics("rdtscp")
def rdtscp(m: Machine, op: Operation) -> int:
    """RDTSC, and processor number 0 to ECX."""
    now = m.clock()
    m.words[EAX], m.words[EDX], m.words[ECX] = now & MASK32, now >> 32 & MASK32, 0
    return op.next


@semantics("xgetbv")
def xgetbv(m: Machine, op: Operation) -> int:
    """XCR0; there is no other."""
    if m.words[ECX]:
        raise GuestTrap(protection_fault(op.eip, "xgetbv of a register that does not exist"))
    m.words[EAX], m.words[EDX] = xcr0(m.policy), 0
    return op.next


@semantics("rdrand", "rdseed")
def rdrand(m: Machine, op: Operation) -> int:
    """A random number; CF tells that there was one, all other status flags are cleared."""
    op.store(int.from_bytes(os.urandom(op.size), "little"))
    m.words[EFLAGS] = m.words[EFLAGS] & ~STATUS | CF
    return op.next


@semantics(
    "nop", "pause", "endbr32", "endbr64", "lfence", "mfence", "sfence", "prefetch", "prefetchw", "prefetchwt1",
    "prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2",
)  # fmt: skip
def nop(m: Machine, op: Operation) -> int:
    """No effect; a memory operand is not accessed."""
    return op.next


@semantics("clflush")
def clflush(m: Machine, op: Operation) -> int:
    """No effect but that of a byte load as far as faults go."""
    m.load(op.segment, op.address(), 1)
    return op.next
