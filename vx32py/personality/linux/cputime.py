"""Processor time of threads and processes: what their engines have spent in guest code and on its translation. Made-up time
is one for all. What the host does on their behalf is nobody's."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import ref

from vx32py.personality.linux.pending import of_process

if TYPE_CHECKING:
    from vx32py._group import ThreadGroup
    from vx32py._task import Task


def of_thread(task: Task) -> int:
    """A thread's, in nanoseconds."""
    if task.clock.virtual:
        return task.clock.cpu()
    task.engine.settle()
    stats = task.engine.stats
    return int((stats.seconds_running + stats.seconds_translating) * 1e9)


def of_group(group: ThreadGroup) -> int:
    """A process's, with that of threads that have ended."""
    if group.family.clock.virtual:
        return group.family.clock.cpu()
    return of_process(group).used + sum(of_thread(task) for task in group.tasks if not task.ended and group.alive)


def clock_of_group(group: ThreadGroup) -> Callable[[], int]:
    """A function that tells a process's processor time, as long as there is the process."""
    weak = ref(group)

    def now() -> int:
        group = weak()
        return of_group(group) if group is not None else 0

    return now


def clock_of_thread(task: Task) -> Callable[[], int]:
    """The same of a thread."""
    weak = ref(task)

    def now() -> int:
        task = weak()
        return of_thread(task) if task is not None else 0

    return now


def thread_ends(task: Task) -> None:
    """Remember what a thread has used."""
    if not task.clock.virtual:
        of_process(task.group).used += of_thread(task)


def of_children(group: ThreadGroup) -> int:
    """That of all children that a process has waited for, and of theirs."""
    return of_process(group).used_by_children


def add_child(group: ThreadGroup, child: ThreadGroup) -> None:
    """``group`` has waited for a child: what that used is on its account, and what its own children have used."""
    of_process(group).used_by_children += of_group(child) + of_process(child).used_by_children


def usage(nanoseconds: int) -> bytes:
    """struct rusage: the time that a user's code has taken, and zeros."""
    microseconds = nanoseconds // 1000
    return struct.pack("<ii64x", microseconds // 10**6 & 0x7FFF_FFFF, microseconds % 10**6)
