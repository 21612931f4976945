"""How a system call waits: for the host (and then time-outs and interrupts still count), or for another guest.

A handler that has to wait raises :class:`WouldBlock` before it has changed anything; the scheduler runs the others, or waits
for the host, and calls the handler again from the start. What a handler has to remember from one repetition to the next is
in ``Task.progress`` and ``Task.kept``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

#: Host descriptors and the events that are waited for (select.POLLIN, ...).
HostEvents: TypeAlias = Sequence[tuple[int, int]]


class WouldBlock(Exception):
    """This call has to wait until ``ready()``, or at the latest until ``deadline`` (of ``time.monotonic``).

    ``fds``: host descriptors on which something may happen that makes it ready. ``restart``: what becomes of the call when a
    signal handler that was set with SA_RESTART runs meanwhile: it is made again, else it fails with EINTR (signal(7)).
    ``interruptible``: False where signals wait until the call is done. ``interrupted``: what a personality does when the
    call is given up, if anything.
    """

    interrupted: Callable[[], object] | None = None

    def __init__(
        self,
        ready: Callable[[], bool],
        deadline: float | None = None,
        fds: HostEvents = (),
        *,
        restart: bool = True,
        interruptible: bool = True,
    ) -> None:
        super().__init__("the call waits")
        self.ready = ready
        self.deadline = deadline
        self.fds = fds
        self.restart = restart
        self.interruptible = interruptible


class Exited(Exception):
    """Ends a handler whose thread or process has ended."""


class Interrupted(Exception):
    """The host wants the guest to stop inside a call; the call is made again when the guest goes on."""


class Waiter(Protocol):
    """What an open file needs of the process that reads or writes it."""

    #: How far the call has come that is being made; 0 at its beginning, kept while it is made again and again.
    progress: int

    def checkpoint(self) -> None:
        """Raise Interrupted, Timeout or the like if the process has to stop."""

    @property
    def limited(self) -> bool:
        """Whether a time limit is set, so that nothing may block for good."""
