"""What processes share until one of them asks for its own (rfork(2)): descriptors, environment, rendezvous, notes.

Every group is counted: :meth:`Group.share` is one user more, :meth:`Group.leave` one less, and the last one lets go of what
is in it. (The group of names is :mod:`vx32py.plan9.namespace`'s, and the same.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol, Self

from reference.records import dataclass
from vx32py.plan9.account import FILE, VARIABLE, Account
from vx32py.plan9.errors import Ebadfd, Enofd, Error

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc

#: How many descriptors a process may have (/sys/src/9/port/sysfile.c, growfd, has 5000).
MOST_FDS: Final = 5000
#: Of the flags of an open channel: it is closed when another program is executed.
OCEXEC: Final = 32


class Group:
    """Something counted."""

    def __init__(self) -> None:
        self.references = 1

    def share(self) -> Self:
        """One user more: the group itself."""
        self.references += 1
        return self

    def leave(self) -> None:
        """One user less."""
        self.references -= 1
        if self.references == 0:
            self.dispose()

    def dispose(self) -> None:
        """There is no user any more."""


class Channel(Protocol):
    """What a descriptor leads to: counted, too. See :mod:`vx32py.plan9.chan`."""

    #: All that was said when it was opened.
    flags: int

    def incref(self) -> Self:
        """One reference more: the channel itself."""

    def close(self) -> None:
        """One reference less; the last one ends it."""


class Watcher(Protocol):
    """Who wants to know which channels descriptors lead to."""

    def channel_changed(self, fd: int, chan: Channel | None) -> None:
        """That is this one from now on; where there was another one, it has not been closed yet."""


class FdGroup(Group):
    """Descriptors: ``chans`` by number, None where there is none; each holds a reference. ``watchers`` are told of changes."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.chans: list[Channel | None] = []
        self.watchers: set[Watcher] = set()
        self._account = account

    def empty(self) -> FdGroup:
        """Another one, without any."""
        return FdGroup(self._account)

    def _set(self, fd: int, chan: Channel | None) -> None:
        """What a descriptor leads to. Raises Error."""
        self._account.take(((chan is not None) - (self.chans[fd] is not None)) * FILE)
        self.chans[fd] = chan
        for watcher in self.watchers:
            watcher.channel_changed(fd, chan)

    def clone(self) -> FdGroup:
        """Another group with the same channels. Raises Error."""
        other = self.empty()
        self._account.take(FILE * sum(chan is not None for chan in self.chans))
        other.chans = [chan.incref() if chan is not None else None for chan in self.chans]
        return other

    def get(self, fd: int) -> Channel:
        """The channel of a descriptor. Raises Error."""
        chan = self.chans[fd] if fd < len(self.chans) else None
        if chan is None:
            raise Error(Ebadfd)
        return chan

    def install(self, chan: Channel) -> int:
        """Give a channel the lowest free number; the reference is the group's from now on. Raises Error."""
        if None in self.chans:
            fd = self.chans.index(None)
        elif len(self.chans) < MOST_FDS:
            fd = len(self.chans)
            self.chans.append(None)
        else:
            raise Error(Enofd)
        self._set(fd, chan)
        return fd

    def install_at(self, fd: int, chan: Channel) -> None:
        """Give a channel this number, and close what had it. Raises Error."""
        if not 0 <= fd < MOST_FDS:
            raise Error(Ebadfd)
        self.chans.extend([None] * (fd + 1 - len(self.chans)))
        there = self.chans[fd]
        self._set(fd, chan)
        if there is not None:
            there.close()

    def take(self, fd: int) -> Channel:
        """The channel of a descriptor, which ends; the reference is the caller's. Raises Error."""
        chan = self.get(fd)
        self._set(fd, None)
        return chan

    def close_for_exec(self) -> None:
        """Close those that were opened with OCEXEC."""
        for fd, chan in enumerate(self.chans):
            if chan is not None and chan.flags & OCEXEC:
                self._set(fd, None)
                chan.close()

    def __iter__(self) -> Iterator[tuple[int, Channel]]:
        """(number, channel) of all that are open."""
        return ((fd, chan) for fd, chan in enumerate(self.chans) if chan is not None)

    def dispose(self) -> None:
        """Close all."""
        for fd, chan in tuple(self):
            self._set(fd, None)
            chan.close()
        self.chans = []


@dataclass(slots=True)
class Variable:
    """A file of ``#e``: its bytes, the number of its qid, and how often it has changed."""

    path: int
    value: bytearray
    version: int = 0


class EnvGroup(Group):
    """The environment: ``variables`` by name. ``next_path`` is the next qid. ``size`` is how many bytes all of it is."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self._account = account
        self.size = 0
        self.variables: dict[str, Variable] = {}
        self.next_path = 1
        #: How often a name has come or gone.
        self.version = 0

    def empty(self) -> EnvGroup:
        """Another one, without any."""
        return EnvGroup(self._account)

    def charge(self, count: int) -> None:
        """It has so many bytes more, or less. Raises Error."""
        self._account.take(count)
        self.size += count

    def dispose(self) -> None:
        """There are no variables any more."""
        self.charge(-self.size)
        self.variables.clear()

    def remove(self, name: str) -> None:
        """A variable less."""
        gone = self.variables.pop(name)
        self.charge(-len(gone.value) - len(name) - VARIABLE)
        self.version += 1

    def clone(self) -> EnvGroup:
        """Another group with copies of all. Raises Error."""
        other = self.empty()
        other.charge(self.size)
        for name, variable in self.variables.items():
            other.variables[name] = Variable(variable.path, bytearray(variable.value), variable.version)
        other.next_path, other.version = self.next_path, self.version
        return other

    def set(self, name: str, value: bytes) -> Variable:
        """Give a variable a value. Raises Error."""
        found = self.variables.get(name)
        self.charge(len(value) + len(name) + VARIABLE if found is None else len(value) - len(found.value))
        if found is None:
            found = self.variables[name] = Variable(self.next_path, bytearray(value))
            self.next_path += 1
            self.version += 1
        else:
            found.value[:] = value
            found.version += 1
        return found


class Meeting:
    """One who waits in rendezvous: with ``value`` for the other one, whose ``answer`` it gets."""

    __slots__ = ("answer", "proc", "tag", "value")

    def __init__(self, tag: int, value: int, proc: Proc) -> None:
        self.tag = tag
        self.value = value
        self.proc = proc
        self.answer: int | None = None


class RendezvousGroup(Group):
    """Who waits in rendezvous, by tag; the last one first."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[int, list[Meeting]] = {}

    def remove(self, meeting: Meeting) -> None:
        """It does not wait any more."""
        here = self.waiting.get(meeting.tag, [])
        if meeting in here:
            here.remove(meeting)
            if not here:
                del self.waiting[meeting.tag]


class NoteGroup(Group):
    """Processes that get the notes written to ``/proc/n/notepg`` of each of them."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.members: list[Proc] = []
