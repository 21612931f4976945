"""Traps of instructions as signals: which one, with what code and address, and what a frame tells of it
(arch/x86/kernel/traps.c, arch/x86/mm/fault.c, fpu__exception_code).

A breach of a segment limit, which the processor reports without an address, is what other systems have as an access to
addresses that nobody has: where the instruction says which address it was, the signal tells it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from reference.errors import MemoryFault, NotModelled
from reference.memory import BEYOND, MAPPED, PAGE_SHIFT
from reference.registers import CPU
from reference.traps import HOST_SIGNAL, SOFTWARE_INTERRUPT, Access, Trap, Vector
from vx32py.personality.linux import frames, siginfo
from vx32py.personality.linux.pending import of_thread
from vx32py.personality.linux.siginfo import SI_KERNEL, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP

if TYPE_CHECKING:
    from vx32py._task import Task

SEGV_MAPERR, SEGV_ACCERR = 1, 2
ILL_ILLOPN, BUS_ADRERR, BUS_ADRALN, TRAP_BRKPT = 2, 2, 1, 1
FPE_INTDIV, FPE_FLTDIV, FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES, FPE_FLTINV = 1, 3, 4, 5, 6, 7
#: Bits of a page fault's error code (SDM volume 3, section 4.7).
_PRESENT, _WRITE, _USER, _FETCH = 1, 2, 4, 16
#: Exception flags, as the x87's status word and MXCSR have them, and the codes; the first one that is set counts.
_FLOATING: Final = ((0x01, FPE_FLTINV), (0x04, FPE_FLTDIV), (0x08, FPE_FLTOVF), (0x12, FPE_FLTUND), (0x20, FPE_FLTRES))


#: Prefixes, and the opcodes of HLT, CLI, STI, IN, OUT, INS and OUTS; and behind 0F of CLTS, INVD, WBINVD, moves to and from
#: control and debug registers, WRMSR and RDMSR.
_PREFIXES: Final = bytes.fromhex("66 67 f2 f3 f0 2e 36 3e 26 64 65")
_PRIVILEGED: Final = frozenset(bytes([b]) for b in bytes.fromhex("f4 fa fb e4 e5 e6 e7 ec ed ee ef 6c 6d 6e 6f"))
_PRIVILEGED_0F: Final = frozenset(bytes([b]) for b in bytes.fromhex("06 08 09 20 21 22 23 30 32"))


def describe(task: Task, trap: Trap) -> tuple[int, bytes] | None:
    """The signal of a trap, with its siginfo; None if it is no signal. What frames tell of it is noted for the thread."""
    found = _describe(task, trap)
    if found is None:
        return None
    number, code, address, vector, error = found
    last = of_thread(task).fault
    last.vector, last.error = vector, error
    if vector == Vector.PAGE_FAULT:
        last.address = address
    if code == SI_KERNEL:
        return number, siginfo.of_sender(number, SI_KERNEL, 0, 0)
    return number, siginfo.of_fault(number, code, address)


def _describe(task: Task, trap: Trap) -> tuple[int, int, int, int, int] | None:
    """Signal, code, address, vector and error code."""
    number = trap.number
    match number:
        case Vector.DIVIDE_ERROR:
            return SIGFPE, FPE_INTDIV, trap.eip, 0, 0
        case Vector.DEBUG:
            return SIGTRAP, TRAP_BRKPT, trap.eip, 1, 0
        case Vector.BREAKPOINT:
            return SIGTRAP, SI_KERNEL, 0, 3, 0
        case Vector.OVERFLOW | Vector.BOUND:
            return SIGSEGV, SI_KERNEL, 0, number, 0
        case Vector.INVALID_OPCODE if is_privileged(task, trap.eip):
            return SIGSEGV, SI_KERNEL, 0, int(Vector.GENERAL_PROTECTION), 0
        case Vector.INVALID_OPCODE | Vector.SYSCALL:
            return SIGILL, ILL_ILLOPN, trap.eip, int(Vector.INVALID_OPCODE), 0
        case Vector.FP_ERROR | Vector.SIMD_ERROR:
            return SIGFPE, _floating(task, simd=number == Vector.SIMD_ERROR), trap.eip, number, 0
        case Vector.ALIGNMENT:
            return SIGBUS, BUS_ADRALN, trap.address, number, 0
        case Vector.STACK_FAULT | Vector.GENERAL_PROTECTION:
            return SIGSEGV, SI_KERNEL, 0, number, 0
        case Vector.PAGE_FAULT:
            return _page_fault(task, trap)
    if number == HOST_SIGNAL + SIGBUS:
        return SIGBUS, BUS_ADRERR, trap.address, int(Vector.PAGE_FAULT), _USER
    if SOFTWARE_INTERRUPT <= number < SOFTWARE_INTERRUPT + 0x100:
        return SIGSEGV, SI_KERNEL, 0, int(Vector.GENERAL_PROTECTION), (number - SOFTWARE_INTERRUPT) * 8 + 2
    return None


def is_privileged(task: Task, eip: int) -> bool:
    """Whether the instruction is one of the system's: a processor knows it, and refuses it with a protection fault."""
    code = task.engine.space.fetch(eip, 15).lstrip(_PREFIXES)
    return code[:1] in _PRIVILEGED if code[:1] != b"\x0f" else code[1:2] in _PRIVILEGED_0F


def _floating(task: Task, *, simd: bool) -> int:
    """The code of the first exception that has occurred and is not masked."""
    control, status = struct.unpack_from("<HH", task.registers.fp)
    (mxcsr,) = struct.unpack_from("<I", task.registers.fp, 24)
    raised = mxcsr & ~(mxcsr >> 7) if simd else status & ~control
    return next((code for flags, code in _FLOATING if raised & flags), SI_KERNEL)


def _page_fault(task: Task, trap: Trap) -> tuple[int, int, int, int, int]:
    address, access, vector = trap.address, trap.access, int(Vector.PAGE_FAULT)
    if trap.vector in (Vector.GENERAL_PROTECTION, Vector.STACK_FAULT):
        beyond = beyond_limit(task, trap)
        if beyond is None:
            return SIGSEGV, SI_KERNEL, 0, int(Vector.GENERAL_PROTECTION), 0
        address, access = beyond
    if _is_beyond(task, address):
        return SIGBUS, BUS_ADRERR, address, vector, _USER | _WRITE * bool(access & Access.WRITE)
    rights = _rights(task, address)
    error = _USER | _WRITE * bool(access & Access.WRITE) | _FETCH * bool(access & Access.EXECUTE)
    if rights is None:
        return SIGSEGV, SEGV_MAPERR, address, vector, error
    return SIGSEGV, SEGV_ACCERR, address, vector, error | _PRESENT * bool(rights)


def _is_beyond(task: Task, address: int) -> bool:
    """Whether a page is behind the end of the file that is mapped there."""
    permissions, page = task.engine.space.permissions, address >> PAGE_SHIFT
    return page < len(permissions) and bool(permissions[page] & BEYOND)


def _rights(task: Task, address: int) -> Access | None:
    """What may be done at an address, None if nothing is mapped there."""
    space = task.engine.space
    state = space.permissions[address >> PAGE_SHIFT] if address < space.limit else 0
    return Access(state & 7) if state & MAPPED else None


def beyond_limit(task: Task, trap: Trap) -> tuple[int, Access] | None:
    """The address that an instruction has tried behind the end of the address space, and how; None if that was not what it
    did. Found by executing it once more, with segments of 4 GiB."""
    from reference.engines import GuestSegments
    from reference.interpreter import Interpreter

    cpu = CPU()
    cpu.copy_from(task.registers)
    flat = Interpreter(cpu, task.engine.space, GuestSegments(cpu, 1 << 32), task.engine.policy)
    try:
        found = flat.run_one()
    except NotModelled:
        return None
    if found is None or found.vector != Vector.PAGE_FAULT:
        return None
    return found.address, found.access


def is_return(task: Task, trap: Trap) -> bool:
    """A handler has returned to the code in its frame, on a stack that is not executable: do what the code says. Elsewhere it
    returns to the vDSO, which guests have not, unless its program has given a restorer."""
    if trap.number != Vector.PAGE_FAULT or trap.access != Access.EXECUTE or trap.address != trap.eip:
        return False
    from vx32py.personality.linux import signals

    esp = task.registers.esp
    try:
        code = task.memory.read(trap.eip, 8)
    except MemoryFault:
        return False
    if code == frames.RT_RETURN and trap.eip == esp - 4 + frames.RT_FRAME_BYTES - 8:
        task.registers.eax = signals.rt_sigreturn(task)
    elif code == frames.OLD_RETURN and trap.eip == esp - 4 + frames.OLD_FRAME_BYTES - 8:
        task.registers.esp = esp + 4
        task.registers.eax = signals.sigreturn(task)
    else:
        return False
    return True
