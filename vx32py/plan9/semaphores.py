"""Semaphores: who waits for which (semacquire(2)). Their values are in the memory of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc


class Waiter:
    """One who waits for a semaphore, which ``key`` tells from others; ``woken`` when it is worth trying."""

    __slots__ = ("key", "proc", "woken")

    def __init__(self, key: object, proc: Proc) -> None:
        self.key = key
        self.proc = proc
        self.woken = False


class Semaphores:
    """Who waits for which semaphore, in order."""

    def __init__(self) -> None:
        self._queues: dict[object, list[Waiter]] = {}

    def wait(self, key: object, proc: Proc) -> Waiter:
        """One more."""
        waiter = Waiter(key, proc)
        self._queues.setdefault(key, []).append(waiter)
        return waiter

    def leave(self, key: object, waiter: Waiter | None) -> None:
        """One less; if it was woken and has not used that, another one is."""
        queue = self._queues.get(key)
        if queue is None or waiter is None or waiter not in queue:
            return
        queue.remove(waiter)
        if not queue:
            del self._queues[key]
        elif waiter.woken:
            queue[0].woken = True

    def wake(self, key: object, most: int) -> None:
        """Let so many of them try; those whose processes have ended are forgotten."""
        queue = self._queues.get(key)
        if queue is None:
            return
        queue[:] = [waiter for waiter in queue if waiter.proc.alive]
        for waiter in queue[:most]:
            waiter.woken = True
        if not queue:
            del self._queues[key]

    def __len__(self) -> int:
        """For how many somebody waits."""
        return len(self._queues)
