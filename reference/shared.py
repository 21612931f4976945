"""Memory that several address spaces have at once: MAP_SHARED.

It is a file that exists in memory only, so that engines can map it where a guest's memory is. It never becomes smaller:
whoever has mapped it can touch all of it. Where it stands for something that has an end (a file), guests cannot: pages
behind the end have no rights in their spaces. On Linux only.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from reference.errors import OutOfMemory
from reference.records import dataclass, replace

if TYPE_CHECKING:
    from reference.memory import AddressSpace

#: FALLOC_FL_PUNCH_HOLE, FALLOC_FL_KEEP_SIZE.
_PUNCH_HOLE: Final = 3
_F_ADD_SEALS: Final = 1033
_F_SEAL_SHRINK: Final = 2
_MAP_FIXED: Final = 0x10
_PAGE_SHIFT: Final = 12


class Shared:
    """``size`` bytes of zeros, a multiple of the page size. Raises OutOfMemory where the host cannot have such memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        #: Where what it stands for ends, in bytes; None for nowhere.
        self.end: int | None = None
        #: What of it is mapped, or kept to be mapped again.
        self.runs: weakref.WeakSet[SharedRun] = weakref.WeakSet()
        #: Who has mapped it, or had.
        self.spaces: weakref.WeakSet[AddressSpace] = weakref.WeakSet()
        try:
            self.file = os.memfd_create("vx32py shared", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except (AttributeError, OSError) as error:
            raise OutOfMemory(f"the host has no memory that can be shared: {error}") from error
        weakref.finalize(self, os.close, self.file).atexit = False
        import fcntl

        self._resize(size)
        fcntl.fcntl(self.file, _F_ADD_SEALS, _F_SEAL_SHRINK)

    def grow(self, size: int) -> None:
        """Have at least so many bytes. Raises OutOfMemory."""
        if size > self.size:
            self._resize(size)
            self.size = size

    def _resize(self, size: int) -> None:
        try:
            os.ftruncate(self.file, size)
        except (OSError, OverflowError) as error:
            raise OutOfMemory(f"the host has no memory of {size:#x} bytes that can be shared: {error}") from error

    def end_at(self, end: int) -> None:
        """What it stands for ends there from now on."""
        self.end = end
        for space in tuple(self.spaces):
            space.meet_end(self)

    def release(self, start: int, end: int) -> None:
        """Somebody has unmapped it from one offset to another: what nobody else has takes no memory any more."""
        parts = [(start, end)]
        for low, high in [run.offsets for run in self.runs]:
            parts = [p for a, b in parts for p in ((a, min(b, low)), (max(a, high), b)) if p[0] < p[1]]
        for low, high in parts:
            self.forget(low, high)

    def forget(self, start: int, end: int) -> None:
        """Have zeros between two offsets."""
        punch = _libc().fallocate
        punch.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        punch(self.file, _PUNCH_HOLE, start, end - start)

    def read(self, offset: int, length: int) -> bytes:
        """Some bytes of it."""
        return os.pread(self.file, length, offset)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Change some bytes, which are in it."""
        view = memoryview(data)
        while view:
            count = os.pwrite(self.file, view, offset)
            offset, view = offset + count, view[count:]


@dataclass(frozen=True, eq=False)
class SharedRun:
    """Pages [first, last) of a space are ``shared``, from ``offset`` on, in bytes. ``fixed``: no right to write there can
    be given."""

    first: int
    last: int
    shared: Shared
    offset: int
    fixed: bool = False

    def __post_init__(self) -> None:
        self.shared.runs.add(self)

    @property
    def offsets(self) -> tuple[int, int]:
        """What of the memory it is: from one offset to another."""
        return self.offset, self.offset + ((self.last - self.first) << _PAGE_SHIFT)


@dataclass(frozen=True, slots=True)
class CopiedRun:
    """Pages [first, last) of a space were copied from a ``source`` (a file, which only its user knows), from ``offset`` on.
    ``fixed`` as above."""

    first: int
    last: int
    source: Any
    offset: int
    fixed: bool = False


Run = TypeVar("Run", SharedRun, CopiedRun)


def cut(found: list[Run], first: int, last: int, page: int) -> list[Run]:
    """The runs without pages [first, last)."""
    kept = []
    for run in found:
        if run.last <= first or last <= run.first:
            kept.append(run)
            continue
        if run.first < first:
            kept.append(replace(run, last=first))
        if last < run.last:
            kept.append(replace(run, first=last, offset=run.offset + (last - run.first) * page))
    return kept


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _mmap() -> Any:
    function = _libc().mmap
    function.restype = ctypes.c_void_p
    function.argtypes = (
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    )  # fmt: skip
    return function


def lay(buffer: memoryview, start: int, length: int, run: SharedRun | None) -> None:
    """Let these bytes of a buffer of pages be the run's, or zeros of nobody else's. Raises OutOfMemory."""
    address = ctypes.addressof(ctypes.c_ubyte.from_buffer(buffer)) + start
    flags = _MAP_FIXED | (mmap.MAP_SHARED if run is not None else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    file, offset = (run.shared.file, run.offset) if run is not None else (-1, 0)
    found = _mmap()(address, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, offset)
    if found == ctypes.c_void_p(-1).value:
        raise OutOfMemory(f"the host cannot map {length:#x} bytes: {os.strerror(ctypes.get_errno())}")
