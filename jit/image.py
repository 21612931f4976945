"""Contents of guest memory in a file that exists in memory only: guests map it copy-on-write.

Then a guest's pages come from the file when it first touches them; those that it does not write it shares with every other
guest that was begun from the same contents; and to go back to them is to forget the pages that it has written. No guest
has the file itself: mappings are private, and as soon as it is filled it is sealed, so that nobody can change it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import resource
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Final

from jit import lending, system
from reference.contents import Contents
from reference.memory import PAGE, PAGE_SHIFT

#: Each run of pages is a mapping, of which the kernel has not many to give: so many at most. Where there are more, the
#: zeros between them become part of the file.
_MOST_RUNS: Final = 64
_NARROW_GAP: Final = 16
#: MFD_NOEXEC_SEAL (Linux 6.3): some systems allow no other files of this kind.
_NEVER_EXECUTABLE: Final = 8
_SEALS: Final = 1 | 2 | 4 | 8  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE

Pieces = Iterable[tuple[int, bytes | bytearray | memoryview]]


class Image:
    """Pieces of memory with ``limit`` addresses in a file, where a byte's offset is its guest address. ``runs`` are the
    pages that are in it, as (first, last); everywhere else there are zeros. Raises OSError."""

    def __init__(self, limit: int, pieces: Pieces) -> None:
        self.limit = limit
        kept: list[int] = []
        lending.lend(self, partial(lending.close_file, kept))
        self.file = _create(kept)
        os.ftruncate(self.file, limit)
        spans = []
        for start, data in pieces:
            if len(data):
                _write(self.file, start, memoryview(data))
                spans.append((start >> PAGE_SHIFT, (start + len(data) + PAGE - 1) >> PAGE_SHIFT))
        fcntl.fcntl(self.file, fcntl.F_ADD_SEALS, _SEALS)
        self.runs = _joined(spans)

    @cached_property
    def view(self) -> memoryview:
        """All of it, to be read. Zeros between the runs take memory as soon as they are looked at."""
        return memoryview(mmap.mmap(self.file, self.limit, mmap.MAP_PRIVATE, mmap.PROT_READ))

    def pieces(self) -> list[tuple[int, memoryview]]:
        """The bytes of the runs."""
        return [(first << PAGE_SHIFT, self.view[first << PAGE_SHIFT : last << PAGE_SHIFT]) for first, last in self.runs]

    @cached_property
    def pages(self) -> bytes:
        """For each page whether it is in the file: 1 or 0."""
        found = bytearray(self.limit >> PAGE_SHIFT)
        for first, last in self.runs:
            found[first:last] = b"\1" * (last - first)
        return bytes(found)

    def map(self, first: int, last: int, base: int, protection: int) -> int:
        """Let those of the pages that are in the file be seen, privately, in memory at ``base``; how many. Raises
        OSError."""
        count = 0
        for start, end in self.runs:
            low, high = max(start, first), min(end, last)
            if low < high:
                where = low << PAGE_SHIFT
                system.map_file(base + where, (high - low) << PAGE_SHIFT, protection, self.file, where)
                count += high - low
        return count


def image_of(contents: Contents) -> Image | None:
    """The image of contents, made when it is first asked for; None where the system does not have such files to give."""
    if contents.backing is None:
        try:
            contents.backing = Image(len(contents.permissions) << PAGE_SHIFT, contents.pieces)
        except OSError:
            return None
    assert isinstance(contents.backing, Image)
    return contents.backing


def _create(kept: list[int]) -> int:
    """A file, whose descriptor ``kept`` has as soon as there is one. Raises OSError, also where there would be few descriptors
    left: one can do without such files, but not without others."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        kept.extend(map(os.memfd_create, ("vx32py guest",), (flags | _NEVER_EXECUTABLE,)))
    except OSError:  # an older kernel does not know the last of them
        kept.extend(map(os.memfd_create, ("vx32py guest",), (flags,)))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most != resource.RLIM_INFINITY and kept[-1] >= most - most // 4:
        raise OSError(errno.EMFILE, "few descriptors are left")
    return kept[-1]


def _write(file: int, start: int, data: memoryview) -> None:
    while len(data):
        count = os.pwrite(file, data, start)
        start, data = start + count, data[count:]


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Few runs that cover all spans."""
    gap = _NARROW_GAP
    while True:
        runs: list[tuple[int, int]] = []
        for first, last in sorted(spans):
            if runs and first - runs[-1][1] <= gap:
                runs[-1] = runs[-1][0], max(last, runs[-1][1])
            else:
                runs.append((first, last))
        if len(runs) <= _MOST_RUNS:
            return runs
        spans, gap = runs, 2 * gap
