"""How a system call waits: for the host (and then time-outs and interrupts still count), or for another guest.

A handler that has to wait for another process of its family raises :class:`WouldBlock` before it has changed anything;
the scheduler runs the others, and calls the handler again from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class WouldBlock(Exception):
    """This call has to wait until ``ready()``, or at the latest until ``deadline`` (of ``time.monotonic``)."""

    def __init__(self, ready: Callable[[], bool], deadline: float | None = None) -> None:
        super().__init__("the call waits")
        self.ready = ready
        self.deadline = deadline


class Interrupted(Exception):
    """The host wants the guest to stop inside a call; the call is made again when the guest goes on."""


class Waiter(Protocol):
    """What an open file needs of the process that reads or writes it."""

    def checkpoint(self) -> None:
        """Raise Interrupted, Timeout or the like if the process has to stop."""

    def wait_for_descriptor(self, fd: int, *, write: bool) -> None:
        """Return when a host descriptor is ready; a checkpoint all the while."""

    @property
    def limited(self) -> bool:
        """Whether a time limit is set, so that nothing may block for good."""
