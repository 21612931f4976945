"""The host calls that every C library makes when a program starts, without the instruction table.

Translated code leaves the execution of some instructions to the reference semantics. To load these takes longer than a
short program runs, and of all such instructions a short program only has CPUID, RDTSC (dynamic linkers take the time), and
the load of GS with its thread's selector. These are executed here as the semantics would (:mod:`reference.isa.semantics`),
if nothing about them is out of the ordinary.
"""

from __future__ import annotations

import time
from typing import Final

from reference.cpuid import cpuid
from reference.memory import AddressSpace
from reference.policy import Group, Policy
from reference.registers import CPU, EAX, EBX, ECX, EDX, EIP, MASK32

_CPUID: Final = b"\x0f\xa2"
_RDTSC: Final = b"\x0f\x31"
#: MOV Sreg, r/m16 (SDM volume 2, MOV), and the ModRM bytes that name GS and a register.
_MOV_TO_SEGMENT: Final = 0x8E
_GS_FROM_REGISTER: Final = 0xE8
_NULL_SELECTORS: Final = 3


def assist(cpu: CPU, space: AddressSpace, policy: Policy) -> bool:
    """Execute the instruction at ``cpu.eip`` if it is one of these; whether it was."""
    words = cpu.words
    code = space.fetch(words[EIP], 2)
    if code == _CPUID and Group.CPUID in policy.groups:
        words[EAX], words[EBX], words[ECX], words[EDX] = cpuid(policy, words[EAX], words[ECX])
    elif code == _RDTSC and Group.TIME in policy.groups:
        now = time.perf_counter_ns()
        words[EAX], words[EDX] = now & MASK32, now >> 32 & MASK32
    elif len(code) == 2 and code[0] == _MOV_TO_SEGMENT and code[1] & ~7 == _GS_FROM_REGISTER and policy.thread_pointer:
        selector = words[code[1] & 7] & 0xFFFF
        if selector > _NULL_SELECTORS and selector != cpu.gs_selector:
            return False
    else:
        return False
    words[EIP] += 2
    return True
