"""Pipes between processes of a family."""

from __future__ import annotations

import errno
import os
from typing import Any, Final

from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._wait import Waiter, WouldBlock

#: How much a pipe holds before its writers wait (pipe(7)).
PIPE_BYTES: Final = 65536


class Pipe:
    """What the two ends of a pipe share."""

    def __init__(self, *, readers: int = 1, writers: int = 1) -> None:
        self.buffer = bytearray()
        self.readers = readers
        self.writers = writers


class PipeEnd(OpenFile):
    """Either end. A snapshot holds what is in the pipe."""

    def __init__(self, pipe: Pipe, flags: int) -> None:
        super().__init__(flags)
        self.pipe = pipe

    def hold(self) -> bytes:
        return bytes(self.pipe.buffer)

    def go_back(self, held: bytes) -> bool:
        if not self.references:
            self.opened()
        self.pipe.buffer[:] = held
        return True

    def copy(self, held: bytes, copies: dict[object, Any]) -> PipeEnd:
        pipe = copies.setdefault(self.pipe, Pipe(readers=0, writers=0))
        pipe.buffer[:] = held
        other = type(self)(pipe, self.flags)
        other.opened()
        return other

    def opened(self) -> None:
        """There is such an end more."""
        raise NotImplementedError


class PipeReader(PipeEnd):
    """The end of a pipe that is read."""

    def __init__(self, pipe: Pipe, flags: int = 0) -> None:
        super().__init__(pipe, os.O_RDONLY | flags)

    def read(self, view: memoryview, waiter: Waiter) -> int:
        if not len(view):
            return 0
        if not self.ready(write=False):
            if self.nonblocking:
                raise CallError(errno.EAGAIN)
            raise WouldBlock(lambda: self.ready(write=False))
        count = min(len(view), len(self.pipe.buffer))
        view[:count] = self.pipe.buffer[:count]
        del self.pipe.buffer[:count]
        return count

    def ready(self, *, write: bool) -> bool:
        return bool(self.pipe.buffer) or not self.pipe.writers

    def close(self) -> None:
        self.pipe.readers -= 1

    def opened(self) -> None:
        self.pipe.readers += 1


class PipeWriter(PipeEnd):
    """The end of a pipe that is written. As soon as the pipe is not full it takes a whole write, or PIPE_BYTES of it."""

    def __init__(self, pipe: Pipe, flags: int = 0) -> None:
        super().__init__(pipe, os.O_WRONLY | flags)

    def put(self, view: memoryview, waiter: Waiter) -> int:
        if not self.pipe.readers:
            raise CallError(errno.EPIPE)
        if not self.ready(write=True):
            if self.nonblocking:
                raise CallError(errno.EAGAIN)
            raise WouldBlock(lambda: self.ready(write=True))
        piece = view[:PIPE_BYTES]
        self.pipe.buffer += piece
        return len(piece)

    def ready(self, *, write: bool) -> bool:
        return len(self.pipe.buffer) < PIPE_BYTES or not self.pipe.readers

    def close(self) -> None:
        self.pipe.writers -= 1

    def opened(self) -> None:
        self.pipe.writers += 1
