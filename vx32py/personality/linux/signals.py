"""The calls about signals (kernel/signal.c, signal(7)): actions, masks, waiting for signals, alternate stacks, sending them, and
the return of handlers."""

from __future__ import annotations

import errno
import struct
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._errors import CallError
from vx32py._wait import WouldBlock
from vx32py.personality.linux import delivery, frames, ids, siginfo
from vx32py.personality.linux.frames import SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, Action
from vx32py.personality.linux.layouts import timespec
from vx32py.personality.linux.pending import (
    DEFAULT,
    SIG_DFL,
    SIG_IGN,
    living,
    of_process,
    of_thread,
    set_mask,
)
from vx32py.personality.linux.siginfo import (
    IGNORED,
    SI_KERNEL,
    SI_TKILL,
    SI_USER,
    SIGKILL,
    SIGPIPE,
    SIGSEGV,
    SIGSTOP,
    UNBLOCKABLE,
    bit,
)
from vx32py.personality.linux.table import MASK32, call

if TYPE_CHECKING:
    from vx32py._group import ThreadGroup
    from vx32py._process import Process
    from vx32py._task import Task

SIGSET_BYTES: Final = 8

#: Struct sigaction of the kernel on i386: handler, flags, restorer, mask; and the old one: handler, mask, flags, restorer.
_ACTION: Final = struct.Struct("<IIIQ")
_OLD_ACTION: Final = struct.Struct("<IIII")
#: The flags that exist, and no others are remembered (UAPI_SA_FLAGS); among them SA_EXPOSE_TAGBITS.
_FLAGS: Final = (
    frames.SA_NOCLDSTOP | frames.SA_NOCLDWAIT | frames.SA_SIGINFO | frames.SA_RESTORER | frames.SA_ONSTACK
    | frames.SA_RESTART | frames.SA_NODEFER | frames.SA_RESETHAND | 0x800
)  # fmt: skip
#: stack_t: ss_sp, ss_flags, ss_size. MINSIGSTKSZ.
_STACK: Final = struct.Struct("<III")
_LEAST_STACK: Final = 2048


def is_default(process: Task, number: int) -> bool:
    """Whether a signal still has its default action."""
    return of_process(process.group).actions.get(number, DEFAULT).handler == SIG_DFL


def broken_pipe(process: Task) -> None:
    """SIGPIPE for a thread that has written where nobody reads; the call then fails with EPIPE."""
    send_to_thread(process, process, SIGPIPE, SI_USER)


def send_to_thread(sender: Task, target: Task, number: int, code: int) -> None:
    """Send a signal to a thread, with the sender in the siginfo. Raises CallError(EAGAIN)."""
    info = siginfo.of_sender(number, code, sender.pid, ids.of(sender).real)
    if not delivery.send(target.group, number, info, thread=target):
        raise CallError(errno.EAGAIN)


# -- actions -----------------------------------------------------------------------------------------------------


def _set_action(process: Process, number: int, action: Action | None) -> Action:
    """Set what is done about a signal (None: nothing is changed); what was done. Raises CallError(EINVAL)."""
    if not 1 <= number <= 64 or (action is not None and number in (SIGKILL, SIGSTOP)):
        raise CallError(errno.EINVAL)
    state = of_process(process.group)
    before = state.actions.get(number, DEFAULT)
    if action is not None:
        state.actions[number] = action
        if action.handler == SIG_IGN or (action.handler == SIG_DFL and number in IGNORED):
            state.pending.discard(bit(number))
            for task in living(process.group):
                of_thread(task).pending.discard(bit(number))
    return before


@call(174, "rt_sigaction")
def rt_sigaction(process: Process, number: int, action: int, old_action_out: int, size: int) -> None:
    """Set what is done about a signal."""
    if size != SIGSET_BYTES:
        raise CallError(errno.EINVAL)
    new = None
    if action:
        handler, flags, restorer, mask = _ACTION.unpack(process.memory.read(action, _ACTION.size))
        new = Action(handler, flags & _FLAGS, restorer, mask & ~UNBLOCKABLE)
    old = _set_action(process, number, new)
    if old_action_out:
        process.memory.write(old_action_out, _ACTION.pack(old.handler, old.flags, old.restorer, old.mask))


@call(67, "sigaction")
def sigaction(process: Process, number: int, action: int, old_action_out: int) -> None:
    """The same with masks of 32 bits."""
    new = None
    if action:
        handler, mask, flags, restorer = _OLD_ACTION.unpack(process.memory.read(action, _OLD_ACTION.size))
        new = Action(handler, flags & _FLAGS, restorer, mask & ~UNBLOCKABLE)
    old = _set_action(process, number, new)
    if old_action_out:
        packed = _OLD_ACTION.pack(old.handler, old.mask & MASK32, old.flags, old.restorer)
        process.memory.write(old_action_out, packed)


@call(48, "signal")
def signal(process: Process, number: int, handler: int) -> int:
    """The same with a handler that runs once, and unblocked; the handler before."""
    return _set_action(process, number, Action(handler, frames.SA_RESETHAND | frames.SA_NODEFER)).handler


# -- masks -------------------------------------------------------------------------------------------------------


def mask_argument(process: Process, address: int, size: int) -> int | None:
    """A signal mask that a call is to be made with, None for none. Raises CallError(EINVAL)."""
    if not address:
        return None
    if size != SIGSET_BYTES:
        raise CallError(errno.EINVAL)
    return process.memory.read_u64(address)


class TemporaryMask:
    """``with TemporaryMask(process, mask):`` around all of a call that waits with another mask (ppoll, epoll_pwait, ...): while
    it waits that mask holds, and afterwards the one before; also if it is made again and again. None: no other mask."""

    __slots__ = ("_mask", "_process")

    def __init__(self, process: Task, mask: int | None) -> None:
        self._process = process
        self._mask = mask

    def __enter__(self) -> None:
        thread = of_thread(self._process)
        if self._mask is not None and thread.saved_mask is None:
            thread.saved_mask = thread.mask
            set_mask(self._process, self._mask)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread = of_thread(self._process)
        if thread.saved_mask is not None and not isinstance(error, WouldBlock):
            mask, thread.saved_mask = thread.saved_mask, None
            set_mask(self._process, mask)


def _combine(how: int, old: int, new: int) -> int:
    """The mask that SIG_BLOCK, SIG_UNBLOCK or SIG_SETMASK make. Raises CallError(EINVAL)."""
    if how > 2:
        raise CallError(errno.EINVAL)
    return (old | new, old & ~new, new)[how]


@call(175, "rt_sigprocmask")
def rt_sigprocmask(process: Process, how: int, mask: int, old_mask_out: int, size: int) -> None:
    """Block (``how`` 0), unblock (1) or set (2) which signals are blocked."""
    if size != SIGSET_BYTES:
        raise CallError(errno.EINVAL)
    before = of_thread(process).mask
    if mask:
        set_mask(process, _combine(how, before, process.memory.read_u64(mask)))
    if old_mask_out:
        process.memory.write_u64(old_mask_out, before)


@call(126, "sigprocmask")
def sigprocmask(process: Process, how: int, mask: int, old_mask_out: int) -> None:
    """The same for the first 32 signals."""
    before = of_thread(process).mask
    if mask:
        low = _combine(how, before & MASK32, process.memory.read_u32(mask))
        set_mask(process, before & ~MASK32 | low & MASK32)
    if old_mask_out:
        process.memory.write_u32(old_mask_out, before & MASK32)


@call(68, "sgetmask")
def sgetmask(process: Process) -> int:
    """Which of the first 32 signals are blocked."""
    return of_thread(process).mask & MASK32


@call(69, "ssetmask")
def ssetmask(process: Process, mask: int) -> int:
    """Set which signals are blocked; which of the first 32 were."""
    before = of_thread(process).mask
    set_mask(process, mask)
    return before & MASK32


def _blocked_pending(process: Process) -> int:
    thread = of_thread(process)
    return (thread.pending.bits | of_process(process.group).pending.bits) & thread.mask


@call(176, "rt_sigpending")
def rt_sigpending(process: Process, mask_out: int, size: int) -> None:
    """Which signals are pending and blocked."""
    if size > SIGSET_BYTES:
        raise CallError(errno.EINVAL)
    process.memory.write(mask_out, _blocked_pending(process).to_bytes(SIGSET_BYTES, "little")[:size])


@call(73, "sigpending")
def sigpending(process: Process, mask_out: int) -> None:
    """Which of the first 32 are."""
    process.memory.write_u32(mask_out, _blocked_pending(process) & MASK32)


# -- waiting -----------------------------------------------------------------------------------------------------


def _suspend(process: Process, mask: int | None) -> None:
    with TemporaryMask(process, mask):
        raise WouldBlock(lambda: False, restart=False)


@call(29, "pause")
def pause(process: Process) -> None:
    """Wait for a signal that is handled."""
    _suspend(process, None)


@call(179, "rt_sigsuspend")
def rt_sigsuspend(process: Process, mask: int, size: int) -> None:
    """The same with another mask."""
    if size != SIGSET_BYTES:
        raise CallError(errno.EINVAL)
    _suspend(process, process.memory.read_u64(mask))


@call(72, "sigsuspend")
def sigsuspend(process: Process, history0: int, history1: int, mask: int) -> None:
    """The same with a mask of 32 bits; the first two arguments mean nothing."""
    _suspend(process, mask)


@call(177, "rt_sigtimedwait")
def rt_sigtimedwait(process: Process, mask: int, info_out: int, timeout: int, size: int) -> int:
    """Wait for one of the signals in ``mask``, without a handler."""
    return _wait_for_signal(process, mask, info_out, timeout, size, wide=False)


@call(421, "rt_sigtimedwait_time64")
def rt_sigtimedwait_time64(process: Process, mask: int, info_out: int, timeout: int, size: int) -> int:
    """The same with a 64-bit timespec."""
    return _wait_for_signal(process, mask, info_out, timeout, size, wide=True)


def _wait_for_signal(process: Process, mask: int, info_out: int, timeout: int, size: int, *, wide: bool) -> int:
    if size != SIGSET_BYTES:
        raise CallError(errno.EINVAL)
    wanted = process.memory.read_u64(mask) & ~UNBLOCKABLE
    seconds = timespec(process, timeout, wide=wide)
    thread, shared = of_thread(process), of_process(process.group)
    if found := thread.pending.take(wanted) or shared.pending.take(wanted):
        number, info, source = found
        if source is not None:
            info = source.collected(info)  # type: ignore[attr-defined]
        if info_out:
            process.memory.write(info_out, info)
        return number
    deadline = None
    if seconds is not None:
        left = process.wait(seconds)
        if seconds == 0 or left <= 0 or process.clock.virtual:
            process.give_way()
            raise CallError(errno.EAGAIN)
        deadline = time.monotonic() + left
    raise delivery.SignalWait(process, wanted, deadline)


# -- alternate stacks and the end of handlers ----------------------------------------------------------------------


@call(186, "sigaltstack")
def sigaltstack(process: Process, stack: int, old_stack_out: int) -> None:
    """Set or read the alternate stack."""
    new = process.memory.read(stack, _STACK.size) if stack else None
    current, esp = of_thread(process).stack, process.registers.esp
    old = _STACK.pack(current.start, current.state(esp) | current.flags & SS_AUTODISARM, current.size)
    if new is not None:
        _set_stack(process, new)
    if old_stack_out:
        process.memory.write(old_stack_out, old)


def _set_stack(process: Task, packed: bytes) -> None:
    """Take over a stack_t (do_sigaltstack). Raises CallError."""
    start, flags, size = _STACK.unpack(packed)
    stack = of_thread(process).stack
    if stack.in_use(process.registers.esp):
        raise CallError(errno.EPERM)
    mode = flags & ~SS_AUTODISARM
    if mode not in (0, SS_DISABLE, SS_ONSTACK):
        raise CallError(errno.EINVAL)
    if mode == SS_DISABLE:
        start = size = 0
    elif size < _LEAST_STACK:
        raise CallError(errno.ENOMEM)
    stack.start, stack.size, stack.flags = start, size, flags


@call(119, "sigreturn")
def sigreturn(process: Task) -> int:
    """The end of a handler without SA_SIGINFO: back to where the frame says."""
    try:
        mask = frames.leave_old(process)
    except frames.BadFrame:
        return _bad_frame(process)
    set_mask(process, mask)
    return process.registers.eax


@call(173, "rt_sigreturn")
def rt_sigreturn(process: Task) -> int:
    """The end of a handler with SA_SIGINFO."""
    try:
        mask, stack = frames.leave_rt(process)
    except frames.BadFrame:
        return _bad_frame(process)
    set_mask(process, mask)
    with suppress(CallError):  # as the kernel does: the program may have changed its stack, or stands on it
        _set_stack(process, stack)
    return process.registers.eax


def _bad_frame(process: Task) -> int:
    delivery.force(process, SIGSEGV, siginfo.of_sender(SIGSEGV, SI_KERNEL, 0, 0))
    return process.registers.eax


@call(0, "restart_syscall")
def restart_syscall(process: Process) -> None:
    """Nothing is ever restarted in this way."""
    raise CallError(errno.EINTR)


# -- sending -----------------------------------------------------------------------------------------------------


def _kill(process: Process, group: ThreadGroup, number: int) -> None:
    """Send a signal, or (0) do nothing, to a process that is there. Raises CallError(EINVAL)."""
    if number > 64:
        raise CallError(errno.EINVAL)
    if number:
        delivery.send(group, number, siginfo.of_sender(number, SI_USER, process.pid, ids.of(process).real))


@call(37, "kill")
def kill(process: Process, pid: int, number: int) -> None:
    """Send a signal to a process, a process group, or to everybody else; there are no others than the jail's."""
    wanted, everybody = signed(pid), tuple(process.family.processes.values())
    if wanted > 0:
        targets = [group for group in everybody if group.pid == wanted]
    elif wanted == -1:
        targets = [group for group in everybody if group is not process.group]
    else:
        pgid = -wanted or process.group.pgid
        targets = [group for group in everybody if group.pgid == pgid]
    if not targets:
        raise CallError(errno.ESRCH)
    for group in targets:
        _kill(process, group, number)


def _thread(process: Process, group: int | None, thread: int) -> Task:
    """A thread by its number, and that of its process. Raises CallError."""
    if signed(thread) <= 0 or (group is not None and signed(group) <= 0):
        raise CallError(errno.EINVAL)
    task = process.family.tasks.get(thread)
    if task is None or not task.alive or task.ended or (group is not None and task.pid != group):
        raise CallError(errno.ESRCH)
    return task


def _tkill(process: Process, group: int | None, thread: int, number: int) -> None:
    target = _thread(process, group, thread)
    if number > 64:
        raise CallError(errno.EINVAL)
    if number:
        send_to_thread(process, target, number, SI_TKILL)


@call(238, "tkill")
def tkill(process: Process, thread: int, number: int) -> None:
    """Send a signal to a thread."""
    _tkill(process, None, thread, number)


@call(270, "tgkill")
def tgkill(process: Process, group: int, thread: int, number: int) -> None:
    """Send a signal to a thread of a process."""
    _tkill(process, group, thread, number)


def _info_argument(process: Process, target: int, number: int, info: int) -> bytes:
    """A siginfo that the guest has made up. Only to itself it may pretend that somebody else was the sender."""
    copied = siginfo.made_up(process.memory.read(info, siginfo.INFO_BYTES), number)
    code = siginfo.code(copied)
    if (code >= 0 or code == SI_TKILL) and target != process.pid:
        raise CallError(errno.EPERM)
    return copied


@call(178, "rt_sigqueueinfo")
def rt_sigqueueinfo(process: Process, pid: int, number: int, info: int) -> None:
    """Send a signal to a process, with a siginfo."""
    copied = _info_argument(process, pid, number, info)
    group = process.family.processes.get(pid)
    if group is None:
        raise CallError(errno.ESRCH)
    if number > 64:
        raise CallError(errno.EINVAL)
    if number and not delivery.send(group, number, copied):
        raise CallError(errno.EAGAIN)


@call(335, "rt_tgsigqueueinfo")
def rt_tgsigqueueinfo(process: Process, group: int, thread: int, number: int, info: int) -> None:
    """Send a signal to a thread, with a siginfo."""
    copied = _info_argument(process, thread, number, info)
    target = _thread(process, group, thread)
    if number > 64:
        raise CallError(errno.EINVAL)
    if number and not delivery.send(target.group, number, copied, thread=target):
        raise CallError(errno.EAGAIN)
