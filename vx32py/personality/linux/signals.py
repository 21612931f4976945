"""Signals: actions and masks are recorded, handlers are never run. A fatal signal to oneself ends the process."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._errors import CallError
from vx32py.personality.linux.table import SIG_DFL, LinuxState, ThreadState, call

if TYPE_CHECKING:
    from vx32py._process import Process
    from vx32py._task import Task

SIGKILL, SIGPIPE, SIGSTOP = 9, 13, 19
#: struct sigaction of the kernel on i386: handler, flags, restorer, mask (64 bits).
ACTION_BYTES: Final = 20
SIGSET_BYTES: Final = 8
#: What the kernel ignores by default: SIGCHLD, SIGCONT, SIGURG, SIGWINCH; and what stops: nobody could continue it.
_HARMLESS: Final = frozenset({17, 18, 20, 21, 22, 23, 28})


def handler(process: Task, number: int) -> int:
    """The recorded handler of a signal: SIG_DFL, SIG_IGN or a guest address."""
    action = process.state(LinuxState).actions.get(number)
    return SIG_DFL if action is None else int.from_bytes(action[:4], "little")


def is_default(process: Process, number: int) -> bool:
    """Whether a signal still has its default action."""
    return handler(process, number) == SIG_DFL


@call(174, "rt_sigaction")
def rt_sigaction(process: Process, number: int, action: int, old_action_out: int, size: int) -> None:
    """Record what to do about a signal."""
    if size != SIGSET_BYTES or not 1 <= number <= 64 or (action and number in (SIGKILL, SIGSTOP)):
        raise CallError(errno.EINVAL)
    actions = process.state(LinuxState).actions
    new = process.memory.read(action, ACTION_BYTES) if action else None
    if old_action_out:
        process.memory.write(old_action_out, actions.get(number, bytes(ACTION_BYTES)))
    if new is not None:
        actions[number] = new


@call(48, "signal")
def signal(process: Process, number: int, action: int) -> int:
    """The same, with a handler alone; the handler before."""
    if not 1 <= number <= 64 or number in (SIGKILL, SIGSTOP):
        raise CallError(errno.EINVAL)
    before = handler(process, number)
    process.state(LinuxState).actions[number] = action.to_bytes(4, "little").ljust(ACTION_BYTES, b"\0")
    return before


@call(175, "rt_sigprocmask")
def rt_sigprocmask(process: Process, how: int, mask: int, old_mask_out: int, size: int) -> None:
    """Record which signals are blocked: ``how`` 0 blocks, 1 unblocks, 2 sets."""
    if size != SIGSET_BYTES:
        raise CallError(errno.EINVAL)
    state = process.state(ThreadState)
    before = state.mask
    if mask:
        new, old = process.memory.read_u64(mask), int.from_bytes(before, "little")
        if how > 2:
            raise CallError(errno.EINVAL)
        state.mask = (old | new, old & ~new, new)[how].to_bytes(SIGSET_BYTES, "little")
    if old_mask_out:
        process.memory.write(old_mask_out, before)


@call(176, "rt_sigpending")
def rt_sigpending(process: Process, mask_out: int, size: int) -> None:
    """Nothing is ever pending."""
    process.memory.write(mask_out, bytes(min(size, SIGSET_BYTES)))


@call(177, "rt_sigtimedwait")
def rt_sigtimedwait(process: Process, mask: int, info_out: int, timeout: int, size: int) -> None:
    """Nothing ever comes."""
    process.give_way()
    raise CallError(errno.EAGAIN)


@call(179, "rt_sigsuspend")
def rt_sigsuspend(process: Process, mask: int, size: int) -> None:
    """Returns at once, as if a signal had come, after the other processes had a chance."""
    process.give_way()
    raise CallError(errno.EINTR)


@call(186, "sigaltstack")
def sigaltstack(process: Process, stack: int, old_stack_out: int) -> None:
    """Record an alternate stack."""
    state = process.state(ThreadState)
    new = process.memory.read(stack, 12) if stack else None
    if old_stack_out:
        process.memory.write(old_stack_out, state.alternate_stack)
    if new is not None:
        state.alternate_stack = new


@call(37, "kill")
def kill(process: Process, pid: int, number: int) -> None:
    """Send a signal to this process or a child; other processes do not exist."""
    wanted = signed(pid)
    if wanted in (0, -1, process.pid, -process.pid):
        raise_signal(process, number)
        return
    for child in process.children():
        if child.pid == abs(wanted):
            if number > 64:
                raise CallError(errno.EINVAL)
            leader = child.leader
            if number and leader and child.alive and number not in _HARMLESS and handler(leader, number) == SIG_DFL:
                child.terminate(number)
            return
    raise CallError(errno.ESRCH)


@call(238, "tkill")
def tkill(process: Process, thread: int, number: int) -> None:
    """Send a signal to the only thread."""
    if thread != process.pid:
        raise CallError(errno.ESRCH)
    raise_signal(process, number)


@call(270, "tgkill")
def tgkill(process: Process, group: int, thread: int, number: int) -> None:
    """Send a signal to the only thread."""
    if group != process.pid:
        raise CallError(errno.ESRCH)
    tkill(process, thread, number)


def raise_signal(process: Process, number: int) -> None:
    """What a signal to oneself does: by default it ends the process. A handler that is set is not run."""
    if number > 64:
        raise CallError(errno.EINVAL)
    if number == 0 or number in _HARMLESS:
        return
    if number == SIGKILL or is_default(process, number):
        process.exit_by_signal(number)


@call(27, "alarm")
def alarm(process: Process, seconds: int) -> int:
    """Accepted; the signal never comes."""
    return 0


@call(104, "setitimer")
def setitimer(process: Process, which: int, value: int, old_value_out: int) -> None:
    """Accepted; the signal never comes."""
    process.memory.check(value, 16)
    if old_value_out:
        process.memory.write(old_value_out, bytes(16))
