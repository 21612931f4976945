"""Sets of files to wait for (epoll(7)): sets of the host, with the host's descriptors of what the guest puts in.

So level and edge, one shot, sets within sets are what the kernel makes of them. Files of the guest that no descriptor of
the host is behind (captured output, file objects) are always ready; they are told of beside.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from contextlib import suppress
from typing import Any, Final

from reference.records import dataclass
from reference.weak import WeakGroup
from vx32py._anonymous import AnonymousFile
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._readiness import ALWAYS, READABLE, events_of

EPOLLET: Final = 1 << 31
EPOLLONESHOT: Final = 1 << 30
EPOLLEXCLUSIVE: Final = 1 << 28
_MODES: Final = 0xF << 28


@dataclass(slots=True)
class _Member:
    """A file in a set, under one of the guest's descriptors. ``fd`` is the host's, its own copy if ``owned``; None for a file
    that no host knows of: then ``armed`` says whether there is still anything to be told, and ``told`` how much of it has been."""

    file: OpenFile
    events: int
    data: int
    fd: int | None
    owned: bool = False
    armed: bool = True
    told: int = -1


_all: Final[WeakGroup[EpollFile]] = WeakGroup()


def tell_of_change(file: OpenFile) -> None:
    """Another file of the host is behind the descriptor of ``file`` now."""
    for epoll in _all:
        epoll.changed(file)


class _Seen(OpenFile):
    """A set as somebody sees it."""

    def __init__(self, epoll: EpollFile, task: object) -> None:
        super().__init__(epoll.flags)
        self._epoll, self._task = epoll, task

    def poll(self) -> int:
        return self._epoll.poll(self._task)


class EpollFile(AnonymousFile):
    """A set. Raises OSError."""

    def __init__(self) -> None:
        super().__init__(os.O_RDWR)
        self._epoll = select.epoll()
        self._members: dict[tuple[int, OpenFile], _Member] = {}
        self._by_fd: dict[int, _Member] = {}
        _all.add(self)
        # A snapshot's members, put in when they are first asked for: by then all files are what they have been.
        self._remembered: list[tuple[int, OpenFile, int, int]] | None = None

    # -- membership ----------------------------------------------------------------------------------------------

    def add(self, guest_fd: int, file: OpenFile, events: int, data: int) -> None:
        """Put a file in. Raises CallError."""
        self._recall()
        self._prune()
        if (guest_fd, file) in self._members:
            raise CallError(errno.EEXIST)
        fd = file.host_descriptor()
        if fd is None:
            if stat.S_ISREG(file.status().mode) or stat.S_ISDIR(file.status().mode):
                raise CallError(errno.EPERM)
            self._members[guest_fd, file] = _Member(file, events, data, None)
            return
        owned = fd in self._by_fd
        try:
            if owned:
                fd = os.dup(fd)
            self._epoll.register(fd, events)
        except OSError as error:
            if owned:
                os.close(fd)
            raise CallError(error.errno or errno.EPERM) from error
        self._members[guest_fd, file] = self._by_fd[fd] = _Member(file, events, data, fd, owned)

    def modify(self, guest_fd: int, file: OpenFile, events: int, data: int) -> None:
        """Other events for a file. Raises CallError."""
        member = self._member(guest_fd, file)
        if (events | member.events) & EPOLLEXCLUSIVE:
            raise CallError(errno.EINVAL)
        if member.fd is not None:
            try:
                self._epoll.modify(member.fd, events)
            except OSError as error:
                raise CallError(error.errno or errno.EINVAL) from error
        member.events, member.data, member.armed, member.told = events, data, True, -1

    def remove(self, guest_fd: int, file: OpenFile) -> None:
        """Take a file out. Raises CallError."""
        member = self._member(guest_fd, file)
        del self._members[guest_fd, file]
        self._forget(member)

    def _member(self, guest_fd: int, file: OpenFile) -> _Member:
        self._recall()
        member = self._members.get((guest_fd, file))
        if member is None:
            raise CallError(errno.ENOENT)
        return member

    def _forget(self, member: _Member) -> None:
        fd = member.fd
        if fd is None or self._by_fd.get(fd) is not member:
            return
        del self._by_fd[fd]
        with suppress(OSError):  # the host has forgotten a descriptor that has been closed
            self._epoll.unregister(fd)
        if member.owned:
            os.close(fd)

    def _prune(self) -> None:
        """Forget files that have been closed, as the kernel does; their descriptors may be others' by now."""
        for key in [key for key in self._members if not key[1].references]:
            member = self._members.pop(key)
            if member.owned:
                self._forget(member)
            elif member.fd is not None and self._by_fd.get(member.fd) is member:
                del self._by_fd[member.fd]

    def changed(self, file: OpenFile) -> None:
        """Another descriptor of the host is behind a file now."""
        for (guest_fd, member_file), member in list(self._members.items()):
            if member_file is file:
                self.remove(guest_fd, file)
                self.add(guest_fd, file, member.events, member.data)

    # -- what has happened ---------------------------------------------------------------------------------------

    def take(self, most: int, task: object = None) -> list[tuple[int, int]]:
        """What has happened as ``task`` sees it, to be told once: (events, data), at most ``most``."""
        self._recall()
        found = []
        for member, seen in self._soft_ready(task)[:most]:
            found.append((seen.poll() & (member.events | ALWAYS), member.data))
            member.armed = not member.events & EPOLLONESHOT
            member.told = seen.arrivals
        room = most - len(found)
        for fd, events in self._epoll.poll(0, room) if room else ():
            told = self._by_fd.get(fd)
            if told is None:
                continue
            if not told.file.references:  # closed; the host knows it by the copy of its descriptor
                self._prune()
                continue
            found.append((events, told.data))
        return found

    def _soft_ready(self, task: object) -> list[tuple[_Member, OpenFile]]:
        """Members that no host knows of, with those whose events count."""
        if len(self._by_fd) == len(self._members):
            return []
        soft = [member for member in self._members.values() if member.fd is None and member.armed]
        ready = []
        for member in soft:
            seen = member.file.seen_by(task)
            if member.events & EPOLLET and member.told == seen.arrivals:
                continue
            if member.file.references and seen.poll() & (member.events & ~_MODES | ALWAYS):
                ready.append((member, seen))
        return ready

    def poll(self, task: object = None) -> int:
        self._recall()
        if self._soft_ready(task):
            return READABLE
        return events_of(self._epoll.fileno()) & READABLE

    def seen_by(self, task: object) -> OpenFile:
        return self if self.host_descriptor() is not None else _Seen(self, task)

    def host_descriptor(self) -> int | None:
        self._recall()
        return self._epoll.fileno() if len(self._by_fd) == len(self._members) else None

    @property
    def fd(self) -> int:
        """The host's set."""
        return self._epoll.fileno()

    @property
    def outside(self) -> bool:  # type: ignore[override]
        return any(member.file.outside for member in self._members.values())

    def close(self) -> None:
        for member in self._members.values():
            if member.owned and member.fd is not None:
                os.close(member.fd)
        self._members.clear()
        self._by_fd.clear()
        self._epoll.close()

    # -- snapshots -----------------------------------------------------------------------------------------------

    def hold(self) -> list[tuple[int, OpenFile, int, int]]:
        self._recall()
        self._prune()
        return [(fd, file, member.events, member.data) for (fd, file), member in self._members.items()]

    def go_back(self, held: list[tuple[int, OpenFile, int, int]]) -> bool:
        if not self._epoll.closed:
            self.close()
        self._epoll = select.epoll()
        self._remembered = held
        return True

    def copy(self, held: list[tuple[int, OpenFile, int, int]], copies: dict[object, Any]) -> EpollFile:
        other = EpollFile()
        other._remembered = held
        other._copies = copies
        return other

    _copies: dict[object, Any] | None = None

    def _recall(self) -> None:
        held, self._remembered = self._remembered, None
        for guest_fd, old, events, data in held or ():
            file = old if self._copies is None else self._copies.get(old)
            if file is not None and file.references:
                with suppress(CallError):
                    self.add(guest_fd, file, events, data)
