"""Signal frames: what a handler finds on its stack, and what sigreturn makes of it.

The layouts are struct sigframe_ia32 and rt_sigframe_ia32 (arch/x86/include/asm/sigframe.h) with struct sigcontext_32
(arch/x86/include/uapi/asm/sigcontext.h) and struct ucontext_ia32; how they are built and undone, arch/x86/kernel/signal_32.c
and signal.c. Segments are those of a 32-bit kernel.

A frame comes back as the guest pleases. It can set its general registers, EIP, and those flags that POPF could set, too; the
segments it cannot change, and the floating-point state is checked in :mod:`vx32py.personality.linux.fpstate`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from reference.errors import MemoryFault
from reference.policy import Group
from reference.records import dataclass
from reference.registers import EAX, EBP, EBX, ECX, EDI, EDX, EFLAGS, EIP, ESI, ESP, MASK32
from vx32py.personality.linux import fpstate
from vx32py.personality.linux.fpstate import USER_CS, USER_DS

if TYPE_CHECKING:
    from vx32py._task import Task

SA_NOCLDSTOP, SA_NOCLDWAIT, SA_SIGINFO = 1, 2, 4
SA_RESTORER, SA_ONSTACK, SA_RESTART = 0x0400_0000, 0x0800_0000, 0x1000_0000
SA_NODEFER, SA_RESETHAND = 0x4000_0000, 0x8000_0000
SS_ONSTACK, SS_DISABLE, SS_AUTODISARM = 1, 2, 0x8000_0000
INFO_BYTES: Final = 128

#: struct sigcontext_32, by words: gs fs es ds, edi esi ebp esp ebx edx ecx eax, trapno err eip cs eflags esp ss, fpstate
#: oldmask cr2.
_CONTEXT: Final = struct.Struct("<22I")
_CONTEXT_REGISTERS: Final = (EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX)
_FPSTATE_32_BYTES: Final = 624
#: pretcode and sig in front of the context; the (unused) floating-point state, extramask and retcode behind it.
_OLD_HEAD: Final = struct.Struct("<II")
_OLD_TAIL: Final = struct.Struct(f"<{_FPSTATE_32_BYTES}xI8s")
_OLD_EXTRA_MASK: Final = _OLD_HEAD.size + _CONTEXT.size + _FPSTATE_32_BYTES
#: pretcode, sig, pinfo, puc; siginfo; uc_flags, uc_link, uc_stack (sp, flags, size); the context; uc_sigmask and retcode.
_RT_HEAD: Final = struct.Struct("<IIII")
_RT_INFO: Final = _RT_HEAD.size
_RT_UC: Final = _RT_INFO + INFO_BYTES
_UC_HEAD: Final = struct.Struct("<IIIII")
_RT_TAIL: Final = struct.Struct("<Q8s")
_UC_FP_XSTATE: Final = 1
OLD_FRAME_BYTES: Final = _OLD_HEAD.size + _CONTEXT.size + _OLD_TAIL.size
RT_FRAME_BYTES: Final = _RT_UC + _UC_HEAD.size + _CONTEXT.size + _RT_TAIL.size
#: pop eax; mov eax, 119 (sigreturn); int 0x80. And mov eax, 173 (rt_sigreturn); int 0x80.
OLD_RETURN: Final = bytes.fromhex("58b877000000cd80")
RT_RETURN: Final = bytes.fromhex("b8ad000000cd8000")

#: CF PF AF ZF SF DF OF, which a guest may set (FIX_EFLAGS, without AC, TF and RF); TF DF RF, which a handler begins without.
_USER_FLAGS: Final = 0xCD5
_CLEARED_FLAGS: Final = 0x1_0500
#: Selectors a frame may name: those of a 32-bit kernel, or of a 64-bit one, which programs may have written themselves.
_CODE_SELECTORS: Final = frozenset({USER_CS, 0x23})
_DATA_SELECTORS: Final = frozenset({USER_DS, 0x2B})


class BadFrame(Exception):
    """There is no room for a frame, or what is there is no frame: SIGSEGV."""


@dataclass(frozen=True, slots=True)
class Action:
    """The kernel's struct sigaction on i386. ``handler``: SIG_DFL, SIG_IGN or an address. ``mask``: bit n - 1 for signal n."""

    handler: int = 0
    flags: int = 0
    restorer: int = 0
    mask: int = 0


@dataclass
class SignalStack:
    """An alternate stack: ``size`` 0 for none. ``flags``: as they were set."""

    start: int = 0
    size: int = 0
    flags: int = 0

    def holds(self, esp: int) -> bool:
        """Whether ``esp`` is on it (__on_sig_stack)."""
        return esp > self.start and esp - self.start <= self.size

    def in_use(self, esp: int) -> bool:
        """The same (on_sig_stack): a stack that disarms itself is never in use."""
        return not self.flags & SS_AUTODISARM and self.holds(esp)

    def state(self, esp: int) -> int:
        """SS_DISABLE, SS_ONSTACK or 0 (sas_ss_flags)."""
        if not self.size:
            return SS_DISABLE
        return SS_ONSTACK if self.in_use(esp) else 0

    def disarm(self) -> None:
        """There is none any more."""
        self.start, self.size, self.flags = 0, 0, SS_DISABLE


@dataclass
class LastFault:
    """What the processor has told about the last fault of a thread: it stays in all later frames."""

    vector: int = 0
    error: int = 0
    address: int = 0


def enter(
    task: Task, number: int, action: Action, info: bytes, mask: int, stack: SignalStack, fault: LastFault
) -> None:
    """Build a frame and set the registers to the beginning of the handler. ``mask`` is what sigreturn will set.
    Raises BadFrame when there is no room; registers and stack pointer are then what they were."""
    cpu, words, memory, policy = task.registers, task.registers.words, task.memory, task.engine.policy
    realtime = bool(action.flags & SA_SIGINFO)
    esp = words[ESP]
    on_stack = stack.in_use(esp)
    top = esp
    if action.flags & SA_ONSTACK and stack.state(esp) == 0:
        top, on_stack = stack.start + stack.size & MASK32, True
    extended = (top - fpstate.size(policy)) & -64
    saved = extended - fpstate.FNSAVE_BYTES
    frame = ((saved - (RT_FRAME_BYTES if realtime else OLD_FRAME_BYTES) + 4) & -16) - 4
    if frame < 0 or (on_stack and not stack.holds(frame)):
        raise BadFrame
    context = _CONTEXT.pack(
        cpu.gs_selector or 0, 0, USER_DS, USER_DS, *(words[r] for r in _CONTEXT_REGISTERS), fault.vector, fault.error,
        words[EIP], USER_CS, words[EFLAGS], esp, USER_DS, saved, mask & MASK32, fault.address,
    )  # fmt: skip
    info_at, context_at = 0, 0
    if realtime:
        info_at, context_at = frame + _RT_INFO, frame + _RT_UC
        restorer = action.restorer if action.flags & SA_RESTORER else frame + RT_FRAME_BYTES - len(RT_RETURN)
        data = b"".join((
            _RT_HEAD.pack(restorer, number, info_at, context_at), info,
            _UC_HEAD.pack(_UC_FP_XSTATE * (Group.XSAVE in policy.groups), 0, stack.start, stack.flags, stack.size),
            context, _RT_TAIL.pack(mask, RT_RETURN),
        ))  # fmt: skip
    else:
        restorer = action.restorer if action.flags & SA_RESTORER else frame + OLD_FRAME_BYTES - len(OLD_RETURN)
        data = _OLD_HEAD.pack(restorer, number) + context + _OLD_TAIL.pack(mask >> 32, OLD_RETURN)
    try:
        memory.write(saved, fpstate.pack(cpu, policy))
        memory.write(frame, data)
    except MemoryFault:
        raise BadFrame from None
    if stack.flags & SS_AUTODISARM:
        stack.disarm()
    fpstate.initialise(cpu)
    words[ESP], words[EIP] = frame, action.handler
    words[EAX], words[EDX], words[ECX] = number, info_at, context_at  # for handlers that take arguments in registers
    words[EFLAGS] &= ~_CLEARED_FLAGS


def leave_old(task: Task) -> int:
    """Undo the frame of a handler without SA_SIGINFO, as sigreturn finds it: the mask. Raises BadFrame."""
    frame = task.registers.esp - _OLD_HEAD.size
    try:
        context = _CONTEXT.unpack(task.memory.read(frame + _OLD_HEAD.size, _CONTEXT.size))
        mask: int = context[20] | task.memory.read_u32(frame + _OLD_EXTRA_MASK) << 32
        _restore(task, context)
    except (MemoryFault, fpstate.BadState):
        raise BadFrame from None
    return mask


def leave_rt(task: Task) -> tuple[int, bytes]:
    """Undo the frame of a handler with SA_SIGINFO: the mask, and the stack_t (sp, flags, size). Raises BadFrame."""
    uc = task.registers.esp - 4 + _RT_UC
    try:
        head = task.memory.read(uc, _UC_HEAD.size)
        context = _CONTEXT.unpack(task.memory.read(uc + _UC_HEAD.size, _CONTEXT.size))
        mask = task.memory.read_u64(uc + _UC_HEAD.size + _CONTEXT.size)
        _restore(task, context)
    except (MemoryFault, fpstate.BadState):
        raise BadFrame from None
    return mask, head[8:]


def _restore(task: Task, context: tuple[int, ...]) -> None:
    """Take over the registers of a context. Raises BadState and MemoryFault, and has then changed nothing."""
    cpu, words = task.registers, task.registers.words
    code, flags, data, state = context[15], context[16], context[18], context[19]
    if (code | 3) & 0xFFFF not in _CODE_SELECTORS or (data | 3) & 0xFFFF not in _DATA_SELECTORS:
        raise fpstate.BadState
    fpstate.load(cpu, task.engine.policy, task.memory, state)
    for register, value in zip(_CONTEXT_REGISTERS, context[4:12], strict=True):
        words[register] = value
    words[EIP] = context[14]
    words[EFLAGS] = words[EFLAGS] & ~_USER_FLAGS | flags & _USER_FLAGS


assert (OLD_FRAME_BYTES, RT_FRAME_BYTES) == (732, 268)
