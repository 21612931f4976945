"""How notes come to processes (/sys/src/9/pc/trap.c: notify, noted), and what instructions do that cannot be done (trap).

A note interrupts the call that waits. Then the process's handler is entered: below the stack pointer are 256 bytes that are
left alone, the registers (struct Ureg), the address of the Ureg of the interruption before, the text, and the arguments of
the handler. noted(2) takes the registers from there again.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, cast

from reference.errors import MemoryFault
from reference.registers import EAX, EBP, EBX, ECX, EDI, EDX, EFLAGS, EIP, ESI, ESP, MASK32
from reference.traps import SOFTWARE_INTERRUPT, Access, Trap, Vector
from vx32py.plan9 import notes
from vx32py.plan9.calls.table import TABLE
from vx32py.plan9.errors import ERRMAX, Eintr
from vx32py.plan9.notes import NDEBUG, NUSER, Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vx32py._task import Task
    from vx32py._wait import WouldBlock
    from vx32py.plan9.proc import Proc

#: struct Ureg (/386/include/ureg.h): di si bp nsp bx dx cx ax gs fs es ds trap ecode pc cs flags sp ss.
UREG: Final = struct.Struct("<19I")
#: The general registers, in its order; nsp is the kernel's stack pointer, of no meaning.
_GENERAL: Final = (EDI, ESI, EBP, None, EBX, EDX, ECX, EAX)
#: UDSEL and UESEL.
DATA_SELECTOR: Final = 0x1B
CODE_SELECTOR: Final = 0x23
#: The flags that a process may change in its Ureg.
_FLAGS: Final = 0xCD5
#: What noted(2) is told.
NCONT, NDFLT, NSAVE, NRSTR = range(4)
_LEFT_ALONE: Final = 256
_NAMES: Final = {
    Vector.DIVIDE_ERROR: "divide error", Vector.DEBUG: "debug exception", Vector.OVERFLOW: "overflow",
    Vector.BOUND: "bounds check", Vector.INVALID_OPCODE: "invalid opcode", Vector.FP_OFF: "coprocessor not available",
    Vector.STACK_FAULT: "stack exception", Vector.GENERAL_PROTECTION: "general protection violation",
    Vector.ALIGNMENT: "alignment check", Vector.SYSCALL: "invalid opcode",
}  # fmt: skip
#: Exceptions of the floating-point unit (fpstatus): the flag, and its name in a note.
_FLOATING: Final = (
    (0x01, "invalid operation"), (0x02, "denormalized operand"), (0x04, "division by zero"),
    (0x08, "numeric overflow"), (0x10, "numeric underflow"), (0x20, "precision loss"),
)  # fmt: skip
_SYSCALL_BYTES: Final = 2


def deliver(task: Task, wait: WouldBlock | None) -> bool:
    """See :class:`vx32py._calls.Hooks`: interrupt the call that waits, and enter the handler, or end the process."""
    proc = cast("Proc", task)
    state = proc.notes
    if not state.pending and not proc.doomed:
        return False
    if proc.stops_at_note:  # somebody wants to see it as it is now
        proc.stops_at_note, proc.group.stopped = False, True
        return False
    if wait is not None:
        interrupted = getattr(wait, "interrupted", None)
        if interrupted is None or interrupted() is None:
            proc.error = Eintr
        proc.registers.words[EAX], proc.call = MASK32, ""
    if proc.doomed:
        proc.end("Killed")
    _notify(proc)
    return wait is not None


def _notify(proc: Proc) -> None:
    """What the first note that is pending brings about."""
    state, words = proc.notes, proc.registers.words
    note = state.pending[0]
    if note.flag == notes.NEXIT:  # whatever it would do about it (/sys/src/9/port/proc.c, procctl)
        proc.end("Killed")
    if note.text.startswith("sys:"):
        pc = f" pc=0x{words[EIP]:08x}"
        note = Note(note.text[: ERRMAX - 15] + pc, note.flag)
    if note.flag != NUSER and (state.notified or not state.handler):
        if note.flag == NDEBUG:
            proc.say(f"suicide: {note.text}")
        proc.end(note.text)
    if state.notified:
        state.pending[0] = note._replace(text=state.pending[0].text)
        return
    if not state.handler:
        proc.end(note.text)
    text = note.text.encode(errors="surrogateescape")[: ERRMAX - 1]
    ureg = words[ESP] - _LEFT_ALONE - UREG.size
    esp = ureg - 4 - ERRMAX - 3 * 4
    frame = struct.pack("<3I", 0, ureg & MASK32, esp + 12 & MASK32) + text.ljust(ERRMAX, b"\0")
    frame += struct.pack("<I", state.ureg) + UREG.pack(*registers(proc))
    try:
        proc.memory.check(state.handler, 1)
        proc.memory.write(esp & MASK32, frame)
    except MemoryFault:
        proc.say("suicide: bad address in notify")
        proc.end("Suicide")
    state.ureg, state.notified, state.last = ureg, True, note
    state.hold_floating(ureg, bytes(proc.registers.fp))
    del state.pending[0]
    words[ESP], words[EIP] = esp, state.handler


def registers(proc: Proc) -> list[int]:
    """The words of a Ureg."""
    words = proc.registers.words
    found = [words[register] if register is not None else 0 for register in _GENERAL]
    found += [DATA_SELECTOR] * 4 + [0, 0]
    return [*found, words[EIP], CODE_SELECTOR, words[EFLAGS], words[ESP], DATA_SELECTOR]


def set_registers(proc: Proc, ureg: Sequence[int]) -> None:
    """Give it the registers of a Ureg, as far as they are a process's to change."""
    words = proc.registers.words
    for register, value in zip(_GENERAL, ureg, strict=False):
        if register is not None:
            words[register] = value
    words[EIP], words[ESP] = ureg[14], ureg[17]
    words[EFLAGS] = words[EFLAGS] & ~_FLAGS | ureg[16] & _FLAGS


def noted(proc: Proc, what: int) -> None:
    """The handler is done: take back the registers, or end."""
    state, memory, words = proc.notes, proc.memory, proc.registers.words
    if what != NRSTR and not state.notified:
        _suicide(proc, "call to noted() when not notified")
    state.notified = False
    try:
        before = memory.read_u32(state.ureg - 4 & MASK32)
        ureg = UREG.unpack(memory.read(state.ureg, UREG.size))
    except MemoryFault:
        _suicide(proc, "bad ureg in noted or call to noted when not notified")
    if ureg[15] & 0xFFFF != CODE_SELECTOR or any(
        selector & 0xFFFF != DATA_SELECTOR for selector in (*ureg[8:12], ureg[18])
    ):
        _suicide(proc, "bad segment selector in noted")
    set_registers(proc, ureg)
    proc.replaced = True  # EAX is what it was
    if what in (NCONT, NRSTR, NSAVE):
        try:
            memory.check(words[EIP], 1)
            memory.check(words[ESP], 4)
            if what == NSAVE:
                esp = state.ureg - 4 * 4 - ERRMAX & MASK32
                memory.write(esp, struct.pack("<2I", 0, state.ureg))
                words[ESP] = esp
        except MemoryFault:
            _suicide(proc, "suicide: trap in noted")
        if what != NSAVE:
            floating = state.floating.pop(state.ureg, None)
            if floating is not None:
                proc.registers.fp[:] = floating
            state.ureg = before
        proc.attention = bool(state.pending) or proc.doomed
        return
    if what != NDFLT:
        proc.say(f"unknown noted arg {what:#x}")
        state.last = state.last._replace(flag=NDEBUG)
    if state.last.flag == NDEBUG:
        proc.say(f"suicide: {state.last.text}")
    proc.end(state.last.text)


def _suicide(proc: Proc, message: str) -> None:
    proc.say(message)
    proc.end("Suicide")


def fault(task: Task, trap: Trap) -> bool:
    """A trap of an instruction's: the process gets a note, or ends."""
    proc = cast("Proc", task)
    text = _text_of(proc, trap)
    notes.post(proc, text, NDEBUG)
    return True


def _text_of(proc: Proc, trap: Trap) -> str:
    """The note about a trap; EIP is put to the instruction where the processor would have left it."""
    from vx32py.personality.linux import faults  # what it knows of instructions; most programs do nothing wrong

    words, number = proc.registers.words, trap.number
    if number == Vector.PAGE_FAULT and trap.vector not in (Vector.GENERAL_PROTECTION, Vector.STACK_FAULT):
        return _fault_text(trap.address, trap.access)
    if number == Vector.INVALID_OPCODE and faults.is_privileged(proc, trap.eip):
        number = Vector.GENERAL_PROTECTION
    if number == Vector.PAGE_FAULT:
        beyond = faults.beyond_limit(proc, trap)
        if beyond is not None:
            return _fault_text(*beyond)
        return f"sys: trap: {_NAMES[Vector(trap.vector or Vector.GENERAL_PROTECTION)]}"
    if number == Vector.BREAKPOINT:
        words[EIP] = words[EIP] - 1 & MASK32
        return "sys: breakpoint"
    if number in (Vector.FP_ERROR, Vector.SIMD_ERROR):
        return _floating_text(proc, trap)
    if SOFTWARE_INTERRUPT <= number < SOFTWARE_INTERRUPT + 0x100 or number == Vector.SYSCALL:
        # Gates that are the kernel's, and instructions that a 386 has not.
        words[EIP] = words[EIP] - _SYSCALL_BYTES & MASK32
    if SOFTWARE_INTERRUPT <= number < SOFTWARE_INTERRUPT + 0x100:
        number = Vector.GENERAL_PROTECTION
    name = _NAMES.get(Vector(number)) if number in Vector._value2member_map_ else None
    return f"sys: trap: {name or f'{number} (reserved)'}"


def _fault_text(address: int, access: Access) -> str:
    return f"sys: trap: fault {'write' if access & Access.WRITE else 'read'} addr=0x{address:x}"


def _floating_text(proc: Proc, trap: Trap) -> str:
    control, status = struct.unpack_from("<HH", proc.registers.fp)
    raised = status & ~control
    if trap.number == Vector.SIMD_ERROR:
        (status,) = struct.unpack_from("<I", proc.registers.fp, 24)
        raised = status & ~(status >> 7)
    name = next((name for flag, name in _FLOATING if raised & flag), "unknown")
    if status & 0x41 == 0x41 and trap.number != Vector.SIMD_ERROR:
        name = "stack overflow" if status & 0x200 else "stack underflow"
    return f"sys: fp: {name} fppc=0x{trap.eip:x} status=0x{status:x}"


TABLE.hooks.deliver = deliver
TABLE.hooks.fault = fault
