"""Futexes: words of memory that threads wait on (futex(2), kernel/futex/).

Guests take turns, so what a handler does is one step for all of them. Who waits is in a queue of the family's, by the word:
of an address space, or of what several processes have mapped.
"""

from __future__ import annotations

import errno
import struct
import time
from typing import TYPE_CHECKING, Any, Final

from reference.errors import MemoryFault
from vx32py._calls import signed
from vx32py._clock import VirtualClock
from vx32py._errors import CallError
from vx32py._wait import WouldBlock
from vx32py.personality.linux.layouts import timespec
from vx32py.personality.linux.table import MASK32, call

if TYPE_CHECKING:
    from vx32py._process import Process
    from vx32py._task import Task

WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP = 0, 1, 3, 4, 5
LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_BITSET, WAKE_BITSET = 6, 7, 8, 9, 10
_PRIVATE: Final = 0x80
_REALTIME: Final = 0x100
_COMMAND: Final = 0x7F
#: The word of a robust lock: the owner's thread number, and two flags.
_OWNER: Final = 0x3FFF_FFFF
_OWNER_DIED: Final = 0x4000_0000
_WAITERS: Final = 0x8000_0000
#: struct robust_list_head: the first entry, the distance from an entry to its lock, the entry that is being taken.
ROBUST_HEAD: Final = struct.Struct("<IiI")
#: ROBUST_LIST_LIMIT.
_MOST_LOCKS: Final = 2048

Key = tuple[Any, int]


class Waiter:
    """One thread that waits. It does as long as it is what its task keeps of the call that is being made."""

    __slots__ = ("bits", "key", "task", "woken")

    def __init__(self, task: Task, key: Key, bits: int) -> None:
        self.task = task
        self.key = key
        self.bits = bits
        self.woken = False

    @property
    def waits(self) -> bool:
        """Whether it still does."""
        return not self.woken and self.task.kept is self and self.task.alive


class Queues:
    """Who waits, by word, in the order in which they came."""

    def __init__(self) -> None:
        self._queues: dict[Key, list[Waiter]] = {}

    def add(self, waiter: Waiter) -> None:
        """It waits from now on."""
        queue = self._queues.setdefault(waiter.key, [])
        queue[:] = [each for each in queue if each.waits]
        queue.append(waiter)

    def take(self, key: Key, most: int, bits: int = MASK32) -> list[Waiter]:
        """The first that wait there, with one of these bits; they are out of the queue."""
        queue = self._queues.get(key)
        if queue is None:
            return []
        taken: list[Waiter] = []
        left: list[Waiter] = []
        for waiter in queue:
            if waiter.waits:
                (taken if len(taken) < most and waiter.bits & bits else left).append(waiter)
        if left:
            queue[:] = left
        else:
            del self._queues[key]
        return taken


def key_of(task: Task, address: int, *, private: bool) -> Key:
    """What tells a word from every other. Raises CallError(EINVAL)."""
    if address % 4:
        raise CallError(errno.EINVAL)
    if not private:
        shared = task.mm.space.shared_at(address)
        if shared is not None:
            return shared
    return task.mm, address


def wake(task: Task, key: Key, most: int, bits: int = MASK32) -> int:
    """Wake those that wait at a word; how many."""
    woken = _queues(task).take(key, most, bits)
    for waiter in woken:
        waiter.woken = True
    return len(woken)


def _queues(task: Task) -> Queues:
    """Those of the family."""
    family = task.family
    if family.futexes is None:
        family.futexes = Queues()
    assert isinstance(family.futexes, Queues)
    return family.futexes


@call(240, "futex")
def futex(process: Process, word: int, operation: int, value: int, timeout: int, word2: int, value3: int) -> int:
    """Wait at a word, or wake those that do."""
    return _futex(process, (word, operation, value, timeout, word2, value3), wide=False)


@call(422, "futex_time64")
def futex_time64(process: Process, word: int, operation: int, value: int, timeout: int, word2: int, value3: int) -> int:
    """The same with a 64-bit timespec."""
    return _futex(process, (word, operation, value, timeout, word2, value3), wide=True)


def _futex(process: Process, arguments: tuple[int, ...], *, wide: bool) -> int:
    word, operation, value, timeout, word2, value3 = arguments
    private = bool(operation & _PRIVATE)
    match operation & _COMMAND:
        case 0 | 9 as command:
            bits = value3 if command == WAIT_BITSET else MASK32
            return _wait(process, word, operation, value, timeout, bits, wide=wide)
        case 1 | 10 as command:
            bits = value3 if command == WAKE_BITSET else MASK32
            if not bits:
                raise CallError(errno.EINVAL)
            process.memory.check(word, 4)
            return wake(process, key_of(process, word, private=private), _count(value), bits)
        case 3 | 4 as command:
            if command == CMP_REQUEUE and process.memory.read_u32(word) != value3:
                raise CallError(errno.EAGAIN)
            return _requeue(process, word, word2, value, timeout, private=private, count_all=command == CMP_REQUEUE)
        case 5:
            return _wake_op(process, word, word2, value, timeout, value3, private=private)
    raise CallError(errno.ENOSYS)


def _count(value: int) -> int:
    return max(signed(value), 1)  # the kernel wakes one at least


def _wait(process: Process, word: int, operation: int, value: int, timeout: int, bits: int, *, wide: bool) -> int:
    waiter = process.kept
    absolute = operation & _COMMAND == WAIT_BITSET
    if waiter is None:
        if not bits:
            raise CallError(errno.EINVAL)
        seconds = timespec(process, timeout, wide=wide)
        key = key_of(process, word, private=bool(operation & _PRIVATE))
        if process.memory.read_u32(word) != value:
            raise CallError(errno.EAGAIN)
        if seconds is not None:
            if absolute:
                now = process.clock.realtime() if operation & _REALTIME else process.clock.monotonic()
                seconds -= now / 1e9
            if isinstance(process.clock, VirtualClock) and not process.has_others():
                process.clock.elapsed += int(max(seconds, 0) * 1e9)
                seconds = 0.0
            process.wait(seconds)
        waiter = process.kept = Waiter(process, key, bits)
        _queues(process).add(waiter)
    if waiter.woken:
        return 0
    deadline = None
    if timeout:
        left = process.wait(0)
        if left <= 0:
            raise CallError(errno.ETIMEDOUT)
        deadline = time.monotonic() + left
    raise WouldBlock(lambda: waiter.woken, deadline, restart=deadline is None)


def _requeue(
    process: Process, word: int, word2: int, most: int, most_moved: int, *, private: bool, count_all: bool
) -> int:
    if signed(most) < 0 or signed(most_moved) < 0:
        raise CallError(errno.EINVAL)
    process.memory.check(word, 4)
    process.memory.check(word2, 4)
    source, target = key_of(process, word, private=private), key_of(process, word2, private=private)
    woken = wake(process, source, most) if most else 0
    moved = [] if source == target else _queues(process).take(source, most_moved)
    for waiter in moved:
        waiter.key = target
        _queues(process).add(waiter)
    return woken + (len(moved) if count_all else 0)


def _wake_op(process: Process, word: int, word2: int, most: int, most2: int, operation: int, *, private: bool) -> int:
    """FUTEX_WAKE_OP: change the second word, wake those at the first, and those at the second if its old value says so."""
    first, second = key_of(process, word, private=private), key_of(process, word2, private=private)
    argument = signed(operation >> 12 << 20 & MASK32) >> 20
    compared = signed(operation << 20 & MASK32) >> 20
    how = operation >> 28
    if how & 8:
        argument = 1 << (argument & 31)
    process.memory.check(word, 4)
    process.memory.check(word2, 4, writable=True)
    old = process.memory.read_u32(word2)
    results = {0: argument, 1: old + argument, 2: old | argument, 3: old & ~argument, 4: old ^ argument}
    if how & 7 not in results:
        raise CallError(errno.ENOSYS)
    before = signed(old)
    tests = (
        before == compared, before != compared, before < compared, before <= compared, before > compared,
        before >= compared,
    )  # fmt: skip
    which = operation >> 24 & 15
    if which >= len(tests):
        raise CallError(errno.ENOSYS)
    process.memory.write_u32(word2, results[how & 7] & MASK32)
    woken = wake(process, first, _count(most))
    if tests[which]:
        woken += wake(process, second, _count(most2))
    return woken


def give_up_locks(task: Task, head: int) -> None:
    """Mark the locks that a thread holds as those of an owner that has died, and wake who waits for them (futex(2),
    robust_futexes.rst). All of it is the guest's, and may be anything."""
    memory = task.memory
    try:
        entry, distance, pending = ROBUST_HEAD.unpack(memory.read(head, ROBUST_HEAD.size))
        for _ in range(_MOST_LOCKS):
            if entry & ~1 == head:
                break
            following = memory.read_u32(entry & ~1)
            if entry & ~1 != pending & ~1:
                _give_up(task, (entry & ~1) + distance)
            entry = following
        if pending & ~1:
            _give_up(task, (pending & ~1) + distance)
    except (MemoryFault, CallError):
        return


def _give_up(task: Task, word: int) -> None:
    word &= MASK32
    value = task.memory.read_u32(word)
    if value & _OWNER == task.tid:
        task.memory.write_u32(word, value & _WAITERS | _OWNER_DIED)
        for private in (False, True):
            wake(task, key_of(task, word, private=private), 1)
