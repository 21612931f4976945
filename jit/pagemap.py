"""Which pages of a range a process has to itself: those that it has written, of private mappings.

The kernel tells since Linux 6.7 (PAGEMAP_SCAN, Documentation/admin-guide/mm/pagemap.rst), in some microseconds for all of a
guest's memory. Where it does not, nobody has to know: other ways only cost more.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

from jit import system

#: The request number _IOWR('f', 16, struct pm_scan_arg), and the size of that structure.
_ARGUMENT: Final = 96
_PAGEMAP_SCAN: Final = 3 << 30 | _ARGUMENT << 16 | ord("f") << 8 | 16
#: Categories of pages (linux/fs.h).
_IS_FILE, _IS_PRESENT, _IS_SWAPPED, _IS_ZERO = 1 << 2, 1 << 3, 1 << 4, 1 << 5
_MOST_RUNS: Final = 512
_RUN: Final = struct.Struct("<QQQ")


class _Process:
    """The descriptor of /proc/self/pagemap, which stands for the memory of the process that opened it."""

    def __init__(self) -> None:
        self.file = -1
        self.usable = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def open(self) -> int:
        if self.file < 0:
            self.file = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        return self.file


_process: Final = _Process()


class Scan:
    """For one user at a time."""

    def __init__(self) -> None:
        self._found = ctypes.create_string_buffer(_RUN.size * _MOST_RUNS)
        self._argument = ctypes.create_string_buffer(_ARGUMENT)
        self._address = ctypes.addressof(self._argument)
        #: What the argument says, but for how far the kernel has come.
        self._asked: tuple[int, int, int] | None = None

    def own_pages(self, start: int, end: int, most: int) -> list[tuple[int, int]] | None:
        """The pages of [start, end), linear addresses, that are the process's own, as (start, end), in order. None if
        they are more than ``most``, or nobody knows."""
        if not _process.usable:
            return None
        found: list[tuple[int, int]] = []
        while start < end:
            if self._asked != (start, end, most):
                # Inverted: file, zero page. Required: neither of them. Any of: present, swapped.
                struct.pack_into(
                    "<12Q", self._argument, 0, _ARGUMENT, 0, start, end, 0, ctypes.addressof(self._found), _MOST_RUNS,
                    most + 1, _IS_FILE | _IS_ZERO, _IS_FILE | _IS_ZERO, _IS_PRESENT | _IS_SWAPPED, _IS_PRESENT,
                )  # fmt: skip
                self._asked = start, end, most
            try:
                count = system.ioctl(_process.open(), _PAGEMAP_SCAN, self._address)
            except OSError:
                _process.usable = False
                return None
            for low, high, _ in _RUN.iter_unpack(memoryview(self._found)[: count * _RUN.size]):
                found.append((low, high))
                most -= (high - low) // system.PAGE
            walked: int = struct.unpack_from("<Q", self._argument, 32)[0]  # how far it has come
            if most < 0 or walked <= start:
                return None
            start = walked
        return found
