"""What objects have borrowed, and give back when nobody has them any more.

Not at that moment: what runs when an object goes, a finalizer, swallows exceptions, and that of a Python signal handler is
one, which may come out of any line. A Ctrl-C would be lost. So all that happens at that moment is done in C: a note is
made. Whoever is about to borrow something, or has just closed something, calls :func:`collect`, which gives back what is
noted, and out of which an exception may well come: it goes on there the next time.

For the same reason what is borrowed is put where it belongs by the call that gets it, where there is another way out
between the two: ``mine.extend(map(theirs.pop, (0,)))`` is one call of C, and so are :func:`jit.system.mmap_into` and its
counterpart. No signal handler comes between.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

#: What cannot be given back so often stays where it is: those who come to collect are not to blame.
_MOST_FAILURES: Final = 3


class _Note(weakref.ref[Any]):
    """Says that an object has gone, and what it has borrowed."""

    __slots__ = ("failures", "give_back")

    give_back: Callable[[], None]
    failures: int


class _Process:
    def __init__(self) -> None:
        # Reentrant: a signal handler may run guests, wherever it comes.
        self.lock = threading.RLock()
        #: Held by who holds the other one, while something is being given back.
        self.busy = threading.Lock()
        self.lent: dict[int, _Note] = {}
        self.notes: deque[_Note] = deque()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        # Another thread of the parent may have held it. What that was about to give back is begun again.
        self.lock, self.busy = threading.RLock(), threading.Lock()


_process: Final = _Process()


def close_file(kept: list[int]) -> None:
    """Close the descriptor in a list, if it is not empty: for :func:`lend`. Raises OSError."""
    if kept:
        deque(map(os.close, map(kept.pop, (-1,))), maxlen=0)


def lend(borrower: object, give_back: Callable[[], None]) -> None:
    """Have ``give_back`` called some time after ``borrower`` has gone, which it must not refer to.

    It may be interrupted by an exception at any line, and is called again then.
    """
    note = _Note(borrower, _process.notes.append)
    note.give_back, note.failures = give_back, 0
    _process.lent[id(note)] = note


def collect() -> None:
    """Give back what those have borrowed who have gone."""
    process = _process
    if not process.notes:
        return
    with process.lock:
        if process.busy.locked():  # by this thread: the guest of a signal handler, which has interrupted what is below
            return
        with process.busy:
            while process.notes:
                note = process.notes[0]
                note.failures += 1
                if note.failures <= _MOST_FAILURES:
                    note.give_back()
                process.lent.pop(id(note), None)
                process.notes.popleft()
