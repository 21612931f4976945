"""Waiting until one of several open files can be read or written: for poll, select and their like.

Events are Linux's, as poll(2) has them; the host's numbers are the same.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vx32py._clock import VirtualClock
from vx32py._wait import WouldBlock

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._task import Task

POLLIN: Final = 0x001
POLLPRI: Final = 0x002
POLLOUT: Final = 0x004
POLLERR: Final = 0x008
POLLHUP: Final = 0x010
POLLNVAL: Final = 0x020
POLLRDNORM: Final = 0x040
POLLRDBAND: Final = 0x080
POLLWRNORM: Final = 0x100
POLLWRBAND: Final = 0x200
POLLRDHUP: Final = 0x2000

READABLE: Final = POLLIN | POLLRDNORM
WRITABLE: Final = POLLOUT | POLLWRNORM
#: Reported whether they are asked for or not.
ALWAYS: Final = POLLERR | POLLHUP
EVERY_EVENT: Final = READABLE | WRITABLE | POLLPRI | POLLRDBAND | POLLWRBAND | POLLRDHUP


def events_of(fd: int) -> int:
    """The events that a descriptor of the host has now."""
    poll = select.poll()
    poll.register(fd, EVERY_EVENT)
    found = poll.poll(0)
    return found[0][1] if found else 0


class Look:
    """Looks at several files at once, again and again: ``wanted`` has (file, the events that count)."""

    def __init__(self, wanted: Sequence[tuple[OpenFile, int]]) -> None:
        self._poll = select.poll()
        self._hosts: list[int | None] = []
        self._wanted = wanted
        asked: dict[int, int] = {}
        outside: dict[int, int] = {}
        for file, events in wanted:
            fd = file.host_descriptor()
            self._hosts.append(fd)
            if fd is None:
                continue
            asked[fd] = asked.get(fd, 0) | events & ~(POLLNVAL | ALWAYS)
            # Of one of which nothing but its errors could be told the host would tell them again and again.
            if file.outside and events & (ALWAYS | POLLIN | POLLOUT):
                outside[fd] = asked[fd]
        for fd, events in asked.items():
            self._poll.register(fd, events)
        #: The host descriptors that something beyond the guest and its family can happen on.
        self.fds = tuple(outside.items())
        self._any_host = bool(asked)

    def __call__(self) -> list[int]:
        """The events of each that count and that there are now."""
        found = dict(self._poll.poll(0)) if self._any_host else {}
        return [
            (file.poll() if fd is None else found.get(fd, 0)) & events
            for (file, events), fd in zip(self._wanted, self._hosts, strict=True)
        ]

    def any(self) -> bool:
        """Whether there is one."""
        return any(self())


def wait_for_events(process: Task, wanted: Sequence[tuple[OpenFile, int]], timeout: float | None) -> list[int]:
    """Wait until there is one of the events that count: (file, events) → for each the events that there are.

    ``timeout`` in seconds, None for ever, 0 for a look. All 0 when the time is up. A signal handler ends the wait.
    """
    look = Look([(file.seen_by(process), events) for file, events in wanted])
    found = look()
    if any(found) or timeout == 0:
        return found
    clock = process.clock
    if timeout is not None and isinstance(clock, VirtualClock):
        process.give_way()
        clock.elapsed += int(timeout * 1e9)
        return look()
    deadline = None
    if timeout is not None:
        left = process.wait(timeout)
        if left <= 0:
            return found
        deadline = time.monotonic() + left
    raise WouldBlock(look.any, deadline, look.fds, restart=False)
