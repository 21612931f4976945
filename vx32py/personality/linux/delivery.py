"""How signals come to threads: they are sent, become pending, and are delivered before a thread goes on (kernel/signal.c).

A thread with something to deliver has ``attention``; then the scheduler calls :func:`deliver` before it runs, also if it waits
in a call. Signals of instructions (:mod:`vx32py.personality.linux.faults`) are delivered at once.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from reference.errors import MemoryFault
from reference.records import replace
from reference.registers import EAX, EIP, MASK32
from vx32py._calls import tell
from vx32py._wait import WouldBlock
from vx32py.personality.linux import cputime, faults, frames, ids, siginfo, threads
from vx32py.personality.linux.frames import Action
from vx32py.personality.linux.pending import (
    DEFAULT,
    SIG_DFL,
    SIG_IGN,
    ProcessSignals,
    ThreadSignals,
    living,
    of_process,
    of_thread,
    retarget,
    set_mask,
)
from vx32py.personality.linux.siginfo import (
    CLD_CONTINUED,
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    IGNORED,
    SI_KERNEL,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGKILL,
    SIGSEGV,
    SIGSTOP,
    STOPPING,
    STOPPING_BITS,
    bit,
)
from vx32py.personality.linux.table import TABLE

if TYPE_CHECKING:
    from reference.traps import Trap
    from vx32py._group import ThreadGroup
    from vx32py._task import Task


class SignalWait(WouldBlock):
    """A wait that also ends when one of ``signals`` (a mask) is pending, without a handler."""

    def __init__(self, task: Task, signals: int, deadline: float | None = None) -> None:
        thread, process = of_thread(task), of_process(task.group)
        super().__init__(lambda: bool((thread.pending.bits | process.pending.bits) & signals), deadline, restart=False)
        self.signals = signals


class Sleep(WouldBlock):
    """A wait for time to pass. ``interrupted`` is called if a signal handler ends it."""

    interrupted: Callable[[], None]

    def __init__(self, ready: Callable[[], bool], deadline: float | None, interrupted: Callable[[], None]) -> None:
        super().__init__(ready, deadline, restart=False)
        self.interrupted = interrupted


def send(group: ThreadGroup, number: int, info: bytes, *, thread: Task | None = None, source: object = None) -> bool:
    """Send a signal to a process, or to one ``thread`` of it. False if it is lost, because too many are pending."""
    process = of_process(group)
    target = thread or next(living(group), None)
    if target is None or not group.alive:
        return True
    _cancel_contrary(group, process, number)
    if not _is_wanted(target, process, number):
        return True
    queue = of_thread(thread).pending if thread is not None else process.pending
    if not queue.add(number, info, source):
        return False
    if number == SIGKILL:
        group.stopped = False
        for task in living(group):
            task.attention = True
    elif thread is not None:
        thread.attention |= not of_thread(thread).mask & bit(number)
    else:
        retarget(group)
    return True


def _cancel_contrary(group: ThreadGroup, process: ProcessSignals, number: int) -> None:
    """A signal that stops and the one that continues take each other back, whatever is done about them (prepare_signal)."""
    if number not in STOPPING and number != SIGCONT:
        return
    contrary = STOPPING_BITS if number == SIGCONT else bit(SIGCONT)
    process.pending.discard(contrary)
    for task in living(group):
        of_thread(task).pending.discard(contrary)
    if number == SIGCONT and group.stopped:
        group.stopped = False
        process.news = CLD_CONTINUED, SIGCONT
        _tell_parent(group, CLD_CONTINUED, SIGCONT)


def _is_wanted(target: Task, process: ProcessSignals, number: int) -> bool:
    """Whether a signal is not ignored. One that is blocked is not: its action may be another one by then (sig_ignored)."""
    wait = target.waiting
    blocked = of_thread(target).mask
    if isinstance(wait, SignalWait):
        blocked |= wait.signals
    if blocked & bit(number):
        return True
    handler = process.actions.get(number, DEFAULT).handler
    return handler != SIG_IGN and not (handler == SIG_DFL and number in IGNORED)


def force(task: Task, number: int, info: bytes) -> None:
    """Send a thread a signal that it cannot keep from coming: if it is blocked or ignored it ends the process
    (force_sig_info)."""
    thread, process = of_thread(task), of_process(task.group)
    action = process.actions.get(number, DEFAULT)
    if action.handler == SIG_IGN or thread.mask & bit(number):
        process.actions[number] = replace(action, handler=SIG_DFL)
        thread.mask &= ~bit(number)
    thread.pending.add(number, info)
    task.attention = True


def deliver(task: Task, wait: WouldBlock | None) -> bool:
    """Build frames for all signals that are to be handled, or end or stop the process. Whether the call that waits is over."""
    thread, process = of_thread(task), of_process(task.group)
    if wait is None and thread.saved_mask is not None:  # the call that would have set it back has been given up
        thread.mask, thread.saved_mask = thread.saved_mask, None
    over = False
    while True:
        mask = ~thread.mask
        if isinstance(wait, SignalWait) and not over:
            mask &= ~wait.signals
        found = _take(thread, process, mask)
        if found is None:
            return over
        number, info, source = found
        if source is not None:
            info = source.collected(info)  # type: ignore[attr-defined]
        action = process.actions.get(number, DEFAULT)
        if number != SIGKILL and (action.handler == SIG_IGN or (action.handler == SIG_DFL and number in IGNORED)):
            continue
        if info:  # there is none of SIGKILL
            tell(task.observers, "signalled", task, info)
        if action.handler == SIG_DFL or number == SIGKILL:
            if number not in STOPPING:
                task.exit_by_signal(number)
            if number != SIGSTOP and is_orphaned(task.group):
                continue
            _stop(task, number)
            return over
        if wait is not None and not over:
            _end_wait(task, wait, action)
            over = True
        _handle(task, thread, process, number, action, info)


def _take(thread: ThreadSignals, process: ProcessSignals, mask: int) -> tuple[int, bytes, object] | None:
    """The next signal of a thread: SIGKILL before all, then its own, then those of the process."""
    kill = bit(SIGKILL)
    if (thread.pending.bits | process.pending.bits) & kill:
        return SIGKILL, b"", None
    return thread.pending.take(mask) or process.pending.take(mask)


def _handle(
    task: Task, thread: ThreadSignals, process: ProcessSignals, number: int, action: Action, info: bytes
) -> None:
    saved = thread.mask if thread.saved_mask is None else thread.saved_mask
    if action.flags & frames.SA_RESETHAND:
        process.actions[number] = replace(action, handler=SIG_DFL)
    try:
        frames.enter(task, number, action, info, saved, thread.stack, thread.fault)
    except frames.BadFrame:
        if number == SIGSEGV:
            task.exit_by_signal(SIGSEGV)
        force(task, SIGSEGV, siginfo.of_sender(SIGSEGV, SI_KERNEL, 0, 0))
        return
    thread.saved_mask = None
    blocked = thread.mask | action.mask
    if not action.flags & frames.SA_NODEFER:
        blocked |= bit(number)
    set_mask(task, blocked)


def _end_wait(task: Task, wait: WouldBlock, action: Action) -> None:
    """What becomes of a call that a handler interrupts: what it has done so far, or it is made again, or EINTR (signal(7))."""
    words = task.registers.words
    if task.progress and wait.restart:
        words[EAX] = task.progress
    elif wait.restart and action.flags & frames.SA_RESTART:
        words[EIP] = words[EIP] - 2 & MASK32  # back to the INT 0x80; EAX still has the number
    else:
        words[EAX] = -errno.EINTR & MASK32
        if isinstance(wait, Sleep):
            try:
                wait.interrupted()
            except MemoryFault:
                words[EAX] = -errno.EFAULT & MASK32


def _stop(task: Task, number: int) -> None:
    group = task.group
    group.stopped = True
    of_process(group).news = CLD_STOPPED, number
    # Whatever else is pending comes when it goes on.
    for other in living(group):
        other.attention = True
    _tell_parent(group, CLD_STOPPED, number)


def fault(task: Task, trap: Trap) -> bool:
    """A trap of an instruction's. Whether the guest goes on, in a handler; else it is to end of it."""
    if faults.is_return(task, trap) or threads.loads_gs(task, trap):
        return True
    described = faults.describe(task, trap)
    if described is None:
        return False
    number, info = described
    thread, process = of_thread(task), of_process(task.group)
    handler = process.actions.get(number, DEFAULT).handler
    if handler in (SIG_DFL, SIG_IGN) or thread.mask & bit(number):
        tell(task.observers, "signalled", task, info)
        return False
    force(task, number, info)
    return True


def ended(group: ThreadGroup) -> None:
    """A process has ended: tell its parent, and its children if they want to know (exit_notify)."""
    process = of_process(group)
    if process.timers is not None:
        process.timers.cancel()
    for child in group.children:
        if number := of_process(child).parent_death_signal:
            send(child, number, siginfo.of_sender(number, siginfo.SI_USER, group.pid, ids.of_group(group).real))
    _hang_up_orphans(group)
    _give_away_children(group)
    parent = group.parent
    if parent is None or not parent.alive:
        return
    action = of_process(parent).actions.get(SIGCHLD, DEFAULT)
    if group.signal is not None:
        _tell_parent(group, CLD_KILLED, group.signal, process.exit_signal)
    else:
        _tell_parent(group, CLD_EXITED, group.exit_code or 0, process.exit_signal)
    if process.exit_signal != SIGCHLD:
        return
    if action.handler == SIG_IGN or action.flags & frames.SA_NOCLDWAIT:
        group.reap()


def _tell_parent(group: ThreadGroup, code: int, status: int, number: int = SIGCHLD) -> None:
    parent = group.parent
    if parent is None or not parent.alive or not number:
        return
    action = of_process(parent).actions.get(SIGCHLD, DEFAULT)
    stop_or_go = code in (CLD_STOPPED, CLD_CONTINUED)
    if stop_or_go and (action.handler == SIG_IGN or action.flags & frames.SA_NOCLDSTOP):
        return
    send(parent, number, siginfo.of_child(code, group.pid, ids.of_group(group).real, status, number=number))


def is_orphaned(group: ThreadGroup, without: ThreadGroup | None = None) -> bool:
    """Whether nobody of its session, outside of its process group, looks after the jobs of that group
    (will_become_orphaned_pgrp). ``without``: somebody who is about to go."""
    for member in group.family.processes.values():
        parent = member.parent
        if member.pgid != group.pgid or not member.alive or member is without or parent is None or not parent.alive:
            continue
        if parent.pgid != group.pgid and parent.sid == group.sid and parent is not without:
            return False
    return True


def _give_away_children(group: ThreadGroup) -> None:
    """Who has asked for it by PR_SET_CHILD_SUBREAPER is from now on the parent of those whose parent has ended."""
    from vx32py.personality.linux.system import Settings

    heir = group.parent
    while heir is not None and not (heir.alive and Settings in heir.states and heir.states[Settings].subreaper):
        heir = heir.parent
    if heir is not None:
        for child in group.children:
            child.parent = heir


def _hang_up_orphans(group: ThreadGroup) -> None:
    """A process group that is left without anybody to continue it, and has stopped, is told (kill_orphaned_pgrp)."""
    for child in group.children:
        if child.alive and child.stopped and child.pgid != group.pgid and is_orphaned(child, group):
            for member in tuple(group.family.processes.values()):
                if member.pgid == child.pgid and member.alive:
                    for number in (SIGHUP, SIGCONT):
                        send(member, number, siginfo.of_sender(number, SI_KERNEL, 0, 0))


def thread_ends(task: Task) -> None:
    """What was meant for this thread but is for the process is another one's to deliver."""
    cputime.thread_ends(task)
    task.attention = False
    retarget(task.group)


def send_of_host(group: ThreadGroup, number: int) -> None:
    """The host sends a signal to a process."""
    send(group, number, siginfo.of_sender(number, SI_KERNEL, 0, 0))


TABLE.hooks.deliver = deliver
TABLE.hooks.fault = fault
TABLE.hooks.ended = ended
TABLE.hooks.send = send_of_host
