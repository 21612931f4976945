"""Shared mappings of files: processes of one family that map a file have the same memory.

The host's file itself is never mapped: whoever makes it shorter would have the host's own accesses end the host process.
Its content is copied into shared memory when the first one maps it, and what has changed there is written back by msync,
munmap, and when the last thread with the mapping ends. In between, read and write do not see what was stored, nor the mapping
what was written.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakValueDictionary, finalize

from reference.memory import PAGE_SHIFT, page_ceil
from reference.shared import Shared
from vx32py._errors import CallError

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._task import Task

#: Compared and written in pieces of so many bytes.
_PIECE: Final = 1 << 16

Key = tuple[int, int]


class FileMaps:
    """The files that are mapped shared: their memory by device and inode, and for each an open file to write to."""

    def __init__(self) -> None:
        self.memory: WeakValueDictionary[Key, Shared] = WeakValueDictionary()
        self.files: WeakKeyDictionary[Shared, OpenFile] = WeakKeyDictionary()


def known(task: Task, file: OpenFile) -> bool:
    """Whether somebody has mapped it."""
    maps = task.family.file_maps
    return isinstance(maps, FileMaps) and _key(file) in maps.memory


def mapping(task: Task, file: OpenFile, size: int) -> Shared:
    """The memory of a file, at least ``size`` bytes of it, a multiple of the page size. Raises OutOfMemory."""
    family = task.family
    if family.file_maps is None:
        family.file_maps = FileMaps()
    maps = family.file_maps
    assert isinstance(maps, FileMaps)
    memory = maps.memory.get(_key(file))
    if memory is None:
        memory = maps.memory[_key(file)] = Shared(page_ceil(size))
        _fill(memory, file, 0)
    elif memory.size < size:
        before = memory.size
        memory.grow(page_ceil(size))
        _fill(memory, file, before)
    if file.writable and memory not in maps.files:
        file.references += 1  # until the memory goes
        maps.files[memory] = file
        _close_with(memory, file)
    return memory


def write_back(task: Task, start: int, end: int) -> None:
    """Write what has changed in shared mappings between two addresses to their files; what the host refuses is lost, as it
    is natively when the disk is full."""
    maps = task.family.file_maps
    if not isinstance(maps, FileMaps):
        return
    for run in task.engine.space.shared:
        low, high = max(run.first, start >> PAGE_SHIFT), min(run.last, page_ceil(end) >> PAGE_SHIFT)
        file = maps.files.get(run.shared)
        if low < high and file is not None:
            first = run.offset + ((low - run.first) << PAGE_SHIFT)
            with contextlib.suppress(CallError):
                _write(run.shared, file, first, first + ((high - low) << PAGE_SHIFT))


def _write(memory: Shared, file: OpenFile, start: int, end: int) -> None:
    end = min(end, file.status().size)  # what is behind the file's end belongs to nobody
    buffer = bytearray(_PIECE)
    for offset in range(start, end, _PIECE):
        length = min(_PIECE, end - offset)
        content = memory.read(offset, length)
        count = file.read_at(memoryview(buffer)[:length], offset)
        if content != buffer[:count] + bytes(length - count):
            file.write_at(memoryview(content), offset)


def _fill(memory: Shared, file: OpenFile, start: int) -> None:
    buffer = bytearray(_PIECE)
    for offset in range(start, memory.size, _PIECE):
        count = file.read_at(memoryview(buffer)[: memory.size - offset], offset)
        if not count:
            break
        memory.write(offset, memoryview(buffer)[:count])


def _key(file: OpenFile) -> Key:
    status = file.status()
    return status.dev, status.ino


def _close_with(memory: Shared, file: OpenFile) -> None:
    """Give up a reference to a file when its memory has gone."""

    def give_up() -> None:
        file.references -= 1
        if not file.references:
            file.close()

    finalize(memory, give_up).atexit = False
