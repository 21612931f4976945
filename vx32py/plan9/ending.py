"""How processes end, and what their parents are told (wait(2), /sys/src/9/port/proc.c, pexit)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from vx32py.plan9 import memory
from vx32py.plan9.errors import ERRMAX

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc

#: So many wait messages are kept for a parent that does not ask for them. (Plan 9 keeps 128, and then loses them.)
MOST_WAITS: Final = 4096
#: What each of them counts.
_MESSAGE: Final = 512


class WaitMessage:
    """What a parent is told of a child that has ended: times are in ms (user, system, real)."""

    __slots__ = ("pid", "text", "times")

    def __init__(self, pid: int, times: tuple[int, int, int], text: str) -> None:
        self.pid = pid
        self.times = times
        self.text = text.encode(errors="surrogateescape")[: ERRMAX - 1].decode(errors="surrogateescape")


def take_message(proc: Proc) -> WaitMessage:
    """The first message of those that a process has."""
    proc.kernel.account.give(_MESSAGE)
    return proc.wait_queue.popleft()


def ended(proc: Proc) -> None:
    """A process has ended: give back what it had, and tell its parent."""
    kernel = proc.kernel
    while proc.wait_queue:
        take_message(proc)
    if proc.alarm is not None:
        proc.alarm.cancel()
    interrupted = getattr(proc.waiting, "interrupted", None)
    if interrupted is not None:  # nobody is to wait for it
        interrupted()
    proc.stack = None
    for segment in proc.segments:
        memory.leave(segment)
        memory.drop(proc, segment, proc.mm)
    proc.segments = []
    if proc in proc.note_group.members:
        proc.note_group.members.remove(proc)
    groups: tuple[Any, ...] = (proc.fds, proc.names, proc.env, proc.rendezvous, proc.note_group)
    for group in groups:
        group.leave()
    for channel in (proc.dot, proc.slash):
        channel.close()
    proc.group.reap()
    status = proc.status if proc.status is not None else "killed"
    proc.status = status
    times = times_of(proc)
    parent = kernel.proc(proc.ppid) if proc.waited_for else None
    if parent is not None and parent.alive:
        parent.child_count -= 1
        if len(parent.wait_queue) < MOST_WAITS and kernel.account.left >= _MESSAGE:
            kernel.account.take(_MESSAGE)
            parent.child_times[0] += times[0]
            parent.child_times[1] += times[1]
            text = f"{proc.text} {proc.pid}: {status}" if status else ""
            parent.wait_queue.append(WaitMessage(proc.pid, times, text))
    kernel.ended(proc)


def times_of(proc: Proc) -> tuple[int, int, int]:
    """User time (its own and that of ended children), system time, and time since it began, in ms."""
    user = int(proc.seconds_running * 1000) + proc.child_times[0]
    return user, proc.child_times[1], int((time.monotonic() - proc.started) * 1000)
