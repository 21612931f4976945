"""Streams of the host's as files: what a console reads, pipes and sockets that the application gives to processes."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from vx32py._wait import WouldBlock
from vx32py.plan9.chan import Caller, Chan
from vx32py.plan9.devices.nodes import Node
from vx32py.plan9.devices.progress import has_written, written
from vx32py.plan9.errors import Ehungup, Eio, Error

if TYPE_CHECKING:
    from typing import Any

#: What can be read: a descriptor of the host's, bytes, or nothing.
Source: TypeAlias = int | bytes | None
#: What takes what is written: a descriptor of the host's, a function, or nobody.
Sink: TypeAlias = "int | Callable[[bytes], Any] | None"
_MOST: Final = 64 << 10


def read_host(fd: int, count: int) -> bytes:
    """Read from a descriptor of the host's, as soon as there is something. Raises WouldBlock, Error."""
    if not _ready(fd, select.POLLIN):
        raise WouldBlock(lambda: _ready(fd, select.POLLIN), fds=[(fd, select.POLLIN)])
    try:
        return os.read(fd, min(count, _MOST))
    except BlockingIOError:
        raise WouldBlock(lambda: _ready(fd, select.POLLIN), fds=[(fd, select.POLLIN)]) from None
    except ConnectionError:
        raise Error(Ehungup) from None
    except OSError:
        raise Error(Eio) from None


def write_host(fd: int, data: bytes) -> int:
    """Write to a descriptor of the host's; how much of it. Raises WouldBlock, Error."""
    if not data:
        return 0
    if not _ready(fd, select.POLLOUT):
        raise WouldBlock(lambda: _ready(fd, select.POLLOUT), fds=[(fd, select.POLLOUT)])
    try:
        # A pipe that is ready takes this much without waiting.
        return os.write(fd, data[: select.PIPE_BUF])
    except BlockingIOError:
        raise WouldBlock(lambda: _ready(fd, select.POLLOUT), fds=[(fd, select.POLLOUT)]) from None
    except (BrokenPipeError, ConnectionError):
        raise Error(Ehungup) from None
    except OSError:
        raise Error(Eio) from None


def _ready(fd: int, events: int) -> bool:
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(0))


class Stream(Node):
    """A file that reads from the host and writes to it; ``owned`` descriptors are closed with its last channel."""

    def __init__(self, name: str, source: Source = None, sink: Sink = None, *, owned: bool = False) -> None:
        super().__init__(name, 0o660)
        self.source = source
        self.sink = sink
        self._owned = owned
        #: So much has been read of a source of bytes.
        self._read = 0
        #: What becomes of what has been read from a descriptor.
        self.taken: Callable[[bytes], bytes] = bytes
        self._users = 0

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        self._users += 1
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        if isinstance(self.source, int):
            return self.taken(read_host(self.source, count))
        if self.source is None or not count:
            return b""
        found = self.source[self._read : self._read + count]
        self._read += len(found)
        return found

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        if self.sink is None:
            return len(data)
        if not isinstance(self.sink, int):
            self.sink(data)
            return len(data)
        done = written(caller, chan, data)
        while done < len(data):
            try:
                done += write_host(self.sink, data[done:])
            except Error as error:
                if self.source is None and error.text == Ehungup:  # as for a pipe of Plan 9's
                    caller.note("sys: write on closed pipe")
                raise
            has_written(caller, chan, data, done)
        return len(data)

    def close(self, chan: Chan) -> None:
        self._users -= 1
        if self._users == 0 and self._owned:
            for fd in {each for each in (self.source, self.sink) if isinstance(each, int)}:
                os.close(fd)
            self.source = self.sink = None
