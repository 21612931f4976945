"""Shared mappings of files: whoever maps a file has the same memory.

The host's file itself is never mapped: whoever makes it shorter would have the host's own accesses end the host process.
What is mapped of it is copied into shared memory when the first one maps it. A file knows that it is mapped
(``vx32py._hostfile.mapped``): before bytes of it are read what was stored there is written back, and after bytes were
written, or its size has changed, the memory is what the file is. What was stored is also written back by msync, munmap, and
when the last thread with the mapping ends. While a file is mapped no engine reads or writes it by itself.

What others than guests of this host process make of the file is not seen before somebody of these reads it, and lost
where a guest has stored.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import finalize

from reference.memory import PAGE_SHIFT, page_ceil
from reference.shared import Shared
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._hostfile import HOST_ERRORS, HostFile, mapped
from vx32py.vfs.content import TreeFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.memory import AddressSpace
    from vx32py._task import Task

#: Compared and copied in pieces of so many bytes.
_PIECE: Final = 1 << 16
_ZEROS: Final = bytes(_PIECE)


class MappedFile(Shared):
    """The memory of a file, as long as somebody has it. ``stored``: whether anybody has had the right to store there."""

    def __init__(self, file: HostFile) -> None:
        """Raises OutOfMemory, CallError."""
        self._fd = -1
        super().__init__(0)
        self.stored = self.can_be_stored = False
        self._writable = False
        #: What of it is here: offsets (start, end) of whole pages, none of which overlap.
        self._filled: list[tuple[int, int]] = []
        self._open(file)
        self.end = os.fstat(self._fd).st_size

    def _open(self, file: HostFile) -> None:
        """Have a descriptor of one's own: of the guest's one the flags can be changed."""
        flags = os.O_RDWR if file.writable else os.O_RDONLY
        try:
            self._fd = os.open(f"/proc/self/fd/{file.fd}", flags | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:  # its mode does not allow that any more: the very same open file, then
            with HOST_ERRORS:
                self._fd = os.dup(file.fd)
        self._writable = file.writable
        file.references += 1
        finalize(self, _give_up, file, self._fd).atexit = False

    def have(self, file: HostFile | None, start: int, end: int) -> None:
        """Have these bytes of the file, whole pages. ``file``: as who maps it has it. Raises CallError."""
        if file is not None and file.writable and not self._writable:
            self._open(file)
        self.grow(end)
        with HOST_ERRORS:
            self._look()
        missing = [(start, end)]
        for low, high in self._filled:
            missing = [p for a, b in missing for p in ((a, min(b, low)), (max(a, high), b)) if p[0] < p[1]]
        for low, high in missing:
            self._filled.append((low, high))
            with HOST_ERRORS:
                self._refresh(low, high)

    def forget(self, start: int, end: int) -> None:
        self.write_back(start, end)
        kept = [p for low, high in self._filled for p in ((low, min(high, start)), (max(low, end), high))]
        self._filled = [(low, high) for low, high in kept if low < high]
        super().forget(start, end)

    def __del__(self) -> None:
        """The last one that had it is gone, however that was."""
        if self._fd >= 0:
            self.write_back(0, self.size)

    def reading(self, start: int, count: int) -> None:
        """Bytes of the file are about to be read."""
        with HOST_ERRORS:
            self._look()
        self.write_back(start, start + count)

    def written(self, start: int, count: int) -> None:
        """Bytes of the file were written, or its size has changed."""
        with HOST_ERRORS:
            self._look()
            self._refresh(start, start + count)

    def write_back(self, start: int, end: int) -> None:
        """Write to the file what was stored between two offsets. What the host refuses is lost, as it is natively when the
        disk is full."""
        if not self.stored or not self._writable:
            return
        with suppress(OSError):
            for offset, length in self._pieces(start, min(end, self.end or 0)):
                content = self.read(offset, length)
                if content != os.pread(self._fd, length, offset):
                    self._put(content, offset)

    def _put(self, content: bytes, offset: int) -> None:
        """Write to the file, even if it was opened to be appended to."""
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        if flags & os.O_APPEND:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
        os.pwrite(self._fd, content, offset)
        if flags & os.O_APPEND:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags)

    def _refresh(self, start: int, end: int) -> None:
        """Take from the file what is between two offsets."""
        for offset, length in self._pieces(start, min(end, self.end or 0)):
            content = os.pread(self._fd, length, offset)
            if content != self.read(offset, len(content)):
                self.write(offset, content)

    def _look(self) -> None:
        """Meet the end of the file where it is now."""
        size, before = os.fstat(self._fd).st_size, self.end or 0
        if size == before:
            return
        for offset, length in self._pieces(min(size, before), page_ceil(before)):
            if self.read(offset, length) != _ZEROS[:length]:
                self.write(offset, _ZEROS[:length])
        self.end_at(size)
        self._refresh(before, size)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """What is here of the bytes between two offsets, in pieces: (offset, length)."""
        for low, high in self._filled:
            for offset in range(max(low, start), min(high, end), _PIECE):
                yield offset, min(_PIECE, min(high, end) - offset)


def _give_up(file: HostFile, fd: int) -> None:
    os.close(fd)
    file.references -= 1
    if not file.references:
        file.close()


def mapping(task: Task, file: OpenFile, start: int, end: int) -> MappedFile | None:
    """The memory of a file with what is between two offsets of whole pages; None for a file that nobody can change: it
    may as well be copied. Raises OutOfMemory, CallError."""
    if not isinstance(file, HostFile):
        return None
    memory = mapped.get(file.identity)
    if not isinstance(memory, MappedFile):
        own = isinstance(file, TreeFile) and file.inode.content is not None
        if not file.writable and not own:
            return None
        memory = MappedFile(file)
        mapped[file.identity] = memory
        for descriptors in {each.descriptors for each in task.family.tasks.values()}:
            descriptors.tell_of(file.identity)
    memory.have(file, start, end)
    return memory


def write_back(task: Task, start: int, end: int) -> None:
    """Write what has changed in shared mappings between two addresses to their files."""
    for run in task.engine.space.shared:
        low, high = max(run.first, start >> PAGE_SHIFT), min(run.last, page_ceil(end) >> PAGE_SHIFT)
        if low < high and isinstance(run.shared, MappedFile):
            first = run.offset + ((low - run.first) << PAGE_SHIFT)
            run.shared.write_back(first, first + ((high - low) << PAGE_SHIFT))


def allow_stores(space: AddressSpace, start: int, end: int) -> None:
    """Pages are about to become writable. Raises CallError(EACCES) where something is mapped shared that is not."""
    first, last = start >> PAGE_SHIFT, end >> PAGE_SHIFT
    if any(run.fixed and run.first < last and first < run.last for run in space.copied):
        raise CallError(errno.EACCES)
    for run in space.shared:
        if run.first < last and first < run.last:
            if run.fixed:
                raise CallError(errno.EACCES)
            if isinstance(run.shared, MappedFile):
                run.shared.stored = True
