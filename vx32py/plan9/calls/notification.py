"""Notes: notify, noted, alarm (notify(2), alarm in sleep(2))."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vx32py.plan9 import delivery, notes
from vx32py.plan9.calls.table import call

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc


@call(28, "notify")
def notify(proc: Proc, handler: int) -> None:
    """Which function is called when a note comes; 0 for none."""
    if handler:
        proc.memory.check(handler, 4)
    proc.notes.handler = handler


@call(29, "noted")
def noted(proc: Proc, what: int) -> None:
    """The handler is done."""
    delivery.noted(proc, what)


@call(6, "alarm")
def alarm(proc: Proc, milliseconds: int) -> int:
    """Send this process the note "alarm" after a time; 0 for never. How much was left of the time before, in ms."""
    left = 0
    if proc.alarm is not None:
        left = max(int((proc.alarm.when - time.monotonic()) * 1000), 1) if proc.alarm.callback is not None else 0
        proc.alarm.cancel()
        proc.alarm = None
    if milliseconds:

        def ring() -> None:
            proc.alarm = None
            notes.post(proc, "alarm")

        proc.alarm = proc.family.add_timer(time.monotonic() + milliseconds / 1000, ring)
    return left
