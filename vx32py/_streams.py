"""Standard streams: what a caller passes as stdin, stdout or stderr, turned into open files.

stdin is bytes, a binary file object, a host descriptor, or None (nothing to read). stdout and stderr are None (captured),
a binary file object, or a host descriptor, which is written to unbuffered.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from contextlib import suppress
from typing import Any, BinaryIO, Final

from vx32py._descriptors import BytesFile, Meter, OpenFile, OwnMeter, Status
from vx32py._errors import CallError
from vx32py._hostfile import PIECE, HostFile
from vx32py._readiness import WRITABLE
from vx32py._wait import Waiter

Input = bytes | bytearray | memoryview | BinaryIO | int | None
Output = BinaryIO | int | None

#: What is captured of a stream at most, unless the sandbox says otherwise.
MOST_CAPTURED: Final = 64 << 20
#: Pass it as stdout or stderr to throw away what the guest writes.
DEVNULL: Final = -3


class Capture(OpenFile):
    """Collects what is written to it."""

    def __init__(self) -> None:
        super().__init__(os.O_WRONLY)
        self.data = bytearray()

    def put(self, view: memoryview, waiter: Waiter) -> int:
        self.data += view
        return len(view)

    def poll(self) -> int:
        return WRITABLE

    def hold(self) -> bytes:
        return bytes(self.data)

    def go_back(self, held: bytes) -> bool:
        if self.data != held:
            self.data[:] = held
        return True

    def copy(self, held: bytes, copies: dict[object, Any]) -> Capture:
        other = Capture()
        other.data += held
        other.meter = _copy_of(self.meter)
        return other


class Discard(OpenFile):
    """Takes what is written to it and keeps nothing; reading is at the end at once."""

    def __init__(self) -> None:
        super().__init__(os.O_RDWR)

    def read(self, view: memoryview, waiter: Waiter) -> int:
        return 0

    def put(self, view: memoryview, waiter: Waiter) -> int:
        return len(view)

    def copy(self, held: None, copies: dict[object, Any]) -> Discard:
        other = Discard()
        other.meter = _copy_of(self.meter)
        return other

    def status(self) -> Status:
        return Status(stat.S_IFCHR | 0o666, rdev=0x103)


class FileObject(OpenFile):
    """A Python file object. It is read and written as the guest asks, flushed after each write, and never closed."""

    def __init__(self, file: Any, flags: int) -> None:
        super().__init__(flags)
        self.file = file

    def read(self, view: memoryview, waiter: Waiter) -> int:
        # readinto1 returns what one read of the host gives; readinto of a buffered reader waits until the view is full.
        read = getattr(self.file, "readinto1", None) or getattr(self.file, "readinto", None)
        if read is not None:
            count = read(view)
            if count is None:
                raise CallError(errno.EAGAIN)
            return int(count)
        data = self.file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def put(self, view: memoryview, waiter: Waiter) -> int:
        view = view[:PIECE]
        try:
            # A copy: the file may keep what it is given, and guest memory goes on changing.
            count = self.file.write(bytes(view))
            flush = getattr(self.file, "flush", None)
            if flush is not None:
                flush()
        except BrokenPipeError:
            raise CallError(errno.EPIPE) from None
        return len(view) if count is None else int(count)

    def seek(self, offset: int, whence: int) -> int:
        try:
            if not self.file.seekable():
                raise CallError(errno.ESPIPE)
            before = self.file.tell() if self.writable else 0
            position = int(self.file.seek(offset, whence))
            if self.writable and not self._has_descriptor() and position > self.file.seek(0, os.SEEK_END):
                self.file.seek(before)  # or one byte, written far away, would take the host's memory up to there
                raise CallError(errno.EINVAL)
            return int(self.file.seek(position)) if self.writable else position
        except (ValueError, OSError, OverflowError, AttributeError) as error:
            raise CallError(errno.EINVAL) from error

    def _has_descriptor(self) -> bool:
        """Whether a file of the host's system is behind it, where a hole costs nothing."""
        try:
            return int(self.file.fileno()) >= 0
        except (ValueError, OSError, AttributeError):
            return False

    def hold(self) -> int | None:
        with suppress(AttributeError, ValueError, OSError):
            return int(self.file.tell()) if self.file.seekable() else None
        return None

    def go_back(self, held: int | None) -> bool:
        if held is not None:
            with suppress(ValueError, OSError):
                self.file.seek(held)
        return True

    def copy(self, held: int | None, copies: dict[object, Any]) -> FileObject:
        other = FileObject(self.file, self.flags)
        other.meter = _copy_of(self.meter)
        return other


def _copy_of(meter: Meter | None) -> Meter | None:
    return OwnMeter(meter.limit, meter.left, meter.message) if isinstance(meter, OwnMeter) else None


def open_input(source: Input) -> OpenFile:
    """The open file for a caller's stdin. Raises TypeError."""
    if source is None or (isinstance(source, int) and source == DEVNULL):
        return BytesFile(b"")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return BytesFile(source)
    if isinstance(source, int):
        return HostFile(source, os.O_RDONLY, owned=False)
    if _is_text(source) or not hasattr(source, "read"):
        raise TypeError(f"stdin must be bytes, a binary file or a descriptor, not {type(source).__name__}")
    return FileObject(source, os.O_RDONLY)


def open_output(target: Output, name: str, limit: int | None) -> OpenFile:
    """The open file for a caller's stdout or stderr, which takes ``limit`` bytes; with None a :class:`Capture`, which takes
    MOST_CAPTURED unless there is a limit. Raises TypeError."""
    file = _open_output(target, name)
    if limit is None and target is None:
        limit = MOST_CAPTURED
    if limit is not None:
        file.meter = OwnMeter("output", limit, f"the guest wrote more than {limit} bytes to {name}")
    return file


def _open_output(target: Output, name: str) -> OpenFile:
    if target is None:
        return Capture()
    if isinstance(target, int):
        return Discard() if target == DEVNULL else HostFile(target, os.O_WRONLY, owned=False)
    if _is_text(target) or not hasattr(target, "write"):
        raise TypeError(f"{name} must be a binary file, a descriptor or None, not {type(target).__name__}")
    return FileObject(target, os.O_WRONLY)


def _is_text(stream: object) -> bool:
    """Whether a caller passed text, or a file opened in text mode, in spite of the types."""
    return isinstance(stream, (str, io.TextIOBase))
