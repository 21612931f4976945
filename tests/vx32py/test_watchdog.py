"""Who is watched is told when its time is up, whenever the time is changed."""

from __future__ import annotations

import threading
import time

from vx32py._watchdog import WATCHDOG


class Slow:
    """Somebody whose other thread sets another time while the watchdog makes sense of the one before."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.told = 0
        self.second = threading.Event()
        self._when = time.monotonic()
        self._changing = False

    @property
    def when(self) -> float:
        found = self._when
        if self._changing:
            # After this look, and before whatever comes of it: the next turn ends soon.
            self._changing, self._when = False, time.monotonic() + 0.01
        return found

    @when.setter
    def when(self, when: float) -> None:
        self._when = when

    def time_is_up(self) -> None:
        self.told += 1
        if self.told == 1:
            self._when = float("inf")  # a limit that is far away
            self._changing = True
        else:
            self._when = float("inf")
            self.second.set()


def test_a_time_that_was_set_while_the_watchdog_looked_was_forgotten() -> None:
    """It put back what it had seen: a program that spun was never interrupted any more, and the others had to wait for ever."""
    slow = Slow()
    WATCHDOG.add(slow)
    try:
        for _ in range(2000):
            time.sleep(0.01)
            WATCHDOG.add(slow)  # as who sets another time does
            if slow.second.is_set():
                break
    finally:
        WATCHDOG.remove(slow)
    assert slow.told == 2
