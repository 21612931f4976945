"""The watchdog: one thread of the process that stops guests whose time is up.

Whoever runs a guest with a limit of time is on its list while the guest runs. Most runs are short and none of them waits
for the thread: to be added is to be put into a set, and the thread is woken only for a moment that is earlier than the one
it waits for anyway.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import Final, Protocol

from reference.weak import WeakGroup

#: How long until somebody who has not stopped is told again, in seconds: a system call may have been at work.
_AGAIN: Final = 0.005
_NEVER: Final = float("inf")


class Watched(Protocol):
    """Has a time. ``when`` it is up, on ``time.monotonic``; may be changed at any time, and counts at the latest 5 ms after
    the old one was up."""

    when: float
    #: Whoever it is watched for: the number of a thread (threading.get_ident).
    thread: int

    def time_is_up(self) -> None:
        """Called when it is, again and again until somebody is no longer on the list. Must not wait for anything."""


class _Watchdog:
    def __init__(self) -> None:
        # Weak, for an exception of a signal handler's may keep somebody from getting off the list.
        self._watched: WeakGroup[Watched] = WeakGroup()
        self._begin_anew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _begin_anew(self) -> None:
        # Reentrant: a signal handler may run a guest while its own thread is in here.
        self._condition = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        #: When the thread wakes up by itself; never, as far as anybody can rely on, while it is making up its mind.
        self._wakes = _NEVER

    def _after_fork(self) -> None:
        self._begin_anew()
        watched, self._watched = self._watched, WeakGroup()
        for each in watched:
            # A handler of a system call has forked, and its guest goes on here; those of other threads do not.
            if each.thread == threading.get_ident():
                self._watched.add(each)
                self._start()

    def add(self, watched: Watched) -> None:
        """Tell ``watched`` when its time is up. Raises RuntimeError where there can be no more threads."""
        if self._thread is None:
            self._start()
        self._watched.add(watched)
        if watched.when < self._wakes:
            with self._condition:
                self._condition.notify()

    def remove(self, watched: Watched) -> None:
        """Do not tell it any more, whether it was on the list or not."""
        self._watched.discard(watched)

    def _start(self) -> None:
        with self._condition:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="vx32py watchdog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        with self._condition:
            while True:
                self._wakes = _NEVER  # whoever comes now, perhaps too late for the look at the list, says so
                now = time.monotonic()
                wakes = _NEVER
                for watched in self._watched:
                    # Only looked at: between a look and a change of it another time may come from another thread, and would be
                    # forgotten.
                    when = watched.when
                    if when <= now:
                        with suppress(Exception):  # or nobody would watch the others any more
                            watched.time_is_up()
                        when = max(watched.when, now + _AGAIN)
                    wakes = min(wakes, when)
                    del watched  # or the last one would be kept alive until the next time
                self._wakes = wakes
                self._condition.wait(None if wakes == _NEVER else max(wakes - time.monotonic(), 0))


WATCHDOG: Final = _Watchdog()
