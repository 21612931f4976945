"""Processes that wait for one another: rendezvous and semaphores (rendezvous(2), semacquire(2))."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vx32py._calls import signed
from vx32py._wait import WouldBlock
from vx32py.plan9.calls.table import call
from vx32py.plan9.errors import Ebadarg, Error
from vx32py.plan9.groups import Meeting

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py.plan9.proc import Proc
    from vx32py.plan9.semaphores import Waiter


class Interruptible(WouldBlock):
    """A wait that a note ends, and ``interrupted`` is called: it returns None where that is an error."""

    def __init__(
        self, ready: Callable[[], bool], interrupted: Callable[[], bool | None], deadline: float | None = None
    ) -> None:
        super().__init__(ready, deadline)
        self.interrupted = interrupted


@call(34, "rendezvous")
def rendezvous(proc: Proc, tag: int, value: int) -> int:
    """Wait for another process of the group with the same tag, and exchange values."""
    group, meeting = proc.rendezvous, proc.kept
    if meeting is None:
        waiting = group.waiting.get(tag)
        if waiting:
            other = waiting[-1]
            group.remove(other)
            other.answer = value
            if other.proc.waiting is not None:  # they have met, whatever notes come before it goes on
                other.proc.waiting.interruptible = False
            return other.value
        meeting = proc.kept = Meeting(tag, value, proc)
        group.waiting.setdefault(tag, []).append(meeting)
    if meeting.answer is not None:
        return int(meeting.answer)

    def give_up() -> bool:
        group.remove(meeting)
        return True  # the result is ~0, and no error

    raise Interruptible(lambda: meeting.answer is not None, give_up)


@call(37, "semacquire")
def semacquire(proc: Proc, address: int, block: int) -> int:
    """Take one of a semaphore; 0 where there is none and ``block`` says not to wait."""
    return _acquire(proc, address, block=bool(block), deadline=None)


@call(52, "tsemacquire")
def tsemacquire(proc: Proc, address: int, milliseconds: int) -> int:
    """The same with a time limit: 0 where it has passed."""
    deadline = time.monotonic() + proc.wait(milliseconds / 1000)
    return _acquire(proc, address, block=True, deadline=deadline)


def _acquire(proc: Proc, address: int, *, block: bool, deadline: float | None) -> int:
    proc.memory.check(address, 4, writable=True)
    queues = proc.kernel.semaphores
    waiter: Waiter | None = proc.kept
    key = waiter.key if waiter is not None else _key(proc, address)
    value = signed(proc.memory.read_u32(address))
    if value < 0 and waiter is None:
        raise Error(Ebadarg)
    if value > 0:
        proc.memory.write_u32(address, value - 1)
        queues.leave(key, waiter)
        return 1
    if not block or (deadline is not None and time.monotonic() >= deadline):
        queues.leave(key, waiter)
        return 0
    if waiter is None:
        waiter = proc.kept = queues.wait(key, proc)
    waiter.woken = False
    here = waiter

    def give_up() -> None:
        queues.leave(key, here)

    raise Interruptible(lambda: here.woken, give_up, deadline)


@call(38, "semrelease")
def semrelease(proc: Proc, address: int, count: int) -> int:
    """Give some to a semaphore; how many it has then."""
    proc.memory.check(address, 4, writable=True)
    value, more = signed(proc.memory.read_u32(address)), signed(count)
    if value < 0 or more < 0 or value + more > 0x7FFF_FFFF:
        raise Error(Ebadarg)
    proc.memory.write_u32(address, value + more)
    proc.kernel.semaphores.wake(_key(proc, address), value + more)
    return value + more


def _key(proc: Proc, address: int) -> object:
    """What tells a semaphore from others: a place in memory, whoever sees it where."""
    space = proc.engine.space
    shared = space.shared_at(address)
    return (proc.mm, address) if shared is None else shared
