"""Which parts of which files are locked, and by whom."""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

from reference.records import dataclass
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError

#: Locks of one file: each call looks at all of them.
MOST: Final = 1024

#: A process, by its number, or an open file.
Owner: TypeAlias = int | OpenFile
#: What a process waits for: file, first and last byte, whether alone.
Wanted: TypeAlias = tuple[Hashable, int, int, bool]


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """A lock on bytes ``start`` to ``last``."""

    owner: Owner
    start: int
    last: int
    exclusive: bool


class Locks:
    """The locks of one guest. Those of processes and open files that are gone do not count any more."""

    def __init__(self) -> None:
        self._ranges: dict[Hashable, list[Range]] = {}
        #: Whether there still is a process with this number.
        self.is_alive: Callable[[int], bool] = lambda _: True
        #: What processes wait for.
        self.waiting: dict[Owner, Wanted] = {}

    def _held(self, key: Hashable) -> list[Range]:
        ranges = self._ranges.get(key, ())
        # Of many ranges most have one owner.
        counts = {owner: self._counts(owner) for owner in {lock.owner for lock in ranges}}
        held = [lock for lock in ranges if counts[lock.owner]]
        if held:
            self._ranges[key] = held
        else:
            self._ranges.pop(key, None)
        return held

    def _counts(self, owner: Owner) -> bool:
        return self.is_alive(owner) if isinstance(owner, int) else owner.references > 0

    def conflict(self, key: Hashable, owner: Owner, start: int, last: int, *, exclusive: bool) -> Range | None:
        """A lock of somebody else's that is in the way."""
        for lock in self._held(key):
            other = lock.owner != owner if isinstance(owner, int) else lock.owner is not owner
            if other and lock.start <= last and start <= lock.last and (exclusive or lock.exclusive):
                return lock
        return None

    def put(self, key: Hashable, owner: Owner, start: int, last: int, *, exclusive: bool | None) -> None:
        """Lock a range, in place of what the owner had locked of it; None unlocks it. Raises CallError(ENOLCK) for more
        locks of a file than there may be."""
        kept: list[Range] = []
        for lock in self._held(key):
            same = lock.owner == owner if isinstance(owner, int) else lock.owner is owner
            if not same or lock.last < start or last < lock.start:
                kept.append(lock)
                continue
            if lock.start < start:
                kept.append(Range(owner, lock.start, start - 1, lock.exclusive))
            if lock.last > last:
                kept.append(Range(owner, last + 1, lock.last, lock.exclusive))
        if exclusive is not None:
            kept.append(Range(owner, start, last, exclusive))
        if len(kept) > MOST:
            raise CallError(errno.ENOLCK)
        if kept:
            self._ranges[key] = kept
        else:
            self._ranges.pop(key, None)

    def would_deadlock(self, key: Hashable, owner: int, start: int, last: int, *, exclusive: bool) -> bool:
        """Whether who is in the way waits, over others perhaps, for ``owner``."""
        lock = self.conflict(key, owner, start, last, exclusive=exclusive)
        if lock is None:
            return False
        holder = lock.owner
        for _ in range(len(self.waiting) + 1):
            wanted = self.waiting.get(holder)
            if wanted is None or not isinstance(holder, int):
                return False
            lock = self.conflict(wanted[0], holder, wanted[1], wanted[2], exclusive=wanted[3])
            if lock is None:
                return False
            if lock.owner == owner:
                return True
            holder = lock.owner
        return False
