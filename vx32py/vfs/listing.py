"""Reading a directory of the host's: as it goes along, because directories may have millions of entries."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from vx32py.vfs.nodes import HOST_ERRORS, Entry


def list_directory(fd: int) -> Iterator[Entry]:
    """Name, inode number and type (0 for what is neither file, directory nor link) of everything in a directory. Raises
    CallError."""
    with HOST_ERRORS:
        scan = os.scandir(f"/proc/self/fd/{fd}")  # with a position of its own
    with scan:
        for entry in scan:
            yield entry.name, entry.inode(), _type_of(entry)


def _type_of(entry: os.DirEntry[str]) -> int:
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFLNK if entry.is_symlink() else 0
