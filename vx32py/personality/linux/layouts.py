"""The structures of Linux on i386 that calls fill in (arch/x86/include/uapi/asm/stat.h, include/uapi/linux/stat.h)."""

from __future__ import annotations

import struct
from typing import Final

from vx32py._descriptors import Status
from vx32py.personality.linux.table import MASK32

STAT: Final = struct.Struct("<IIHHHH12I")
STAT64: Final = struct.Struct("<Q4xIIIIIQ4xqIQ6IQ")
STATX: Final = struct.Struct("<IIQIIIH2xQQQQ" + "qi4x" * 4 + "IIII" + "112x")
STATX_BASIC_STATS: Final = 0x7FF
TIMESPEC: Final = struct.Struct("<ii")
TIMESPEC64: Final = struct.Struct("<qi4x")
TIMEVAL: Final = struct.Struct("<ii")
SECOND: Final = 10**9


def stat(status: Status) -> bytes:
    """struct stat, of call numbers 106 to 108. Raises OverflowError for a file of 4 GiB or more."""
    if status.size > MASK32:
        raise OverflowError
    return STAT.pack(
        status.dev & MASK32, status.ino & MASK32, status.mode, min(status.nlink, 0xFFFF), status.uid, status.gid,
        status.rdev & MASK32, status.size, status.blksize, status.blocks & MASK32, *_times32(status), 0, 0,
    )  # fmt: skip


def stat64(status: Status) -> bytes:
    """struct stat64, of call numbers 195 to 197 and 300."""
    return STAT64.pack(
        status.dev, status.ino & MASK32, status.mode, status.nlink, status.uid, status.gid, status.rdev, status.size,
        status.blksize, status.blocks, *_times32(status), status.ino,
    )  # fmt: skip


def statx(status: Status) -> bytes:
    """struct statx, with its basic fields."""
    times = [divmod(t, SECOND) for t in (status.atime, 0, status.ctime, status.mtime)]
    return STATX.pack(
        STATX_BASIC_STATS, status.blksize, 0, status.nlink, status.uid, status.gid, status.mode, status.ino, status.size,
        status.blocks, 0, *(part for pair in times for part in pair), *_device(status.rdev), *_device(status.dev),
    )  # fmt: skip


def _times32(status: Status) -> list[int]:
    return [part & MASK32 for t in (status.atime, status.mtime, status.ctime) for part in divmod(t, SECOND)]


def _device(number: int) -> tuple[int, int]:
    """Major and minor number (include/linux/kdev_t.h, the encoding of a 32-bit dev_t)."""
    return number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00


assert (STAT.size, STAT64.size, STATX.size) == (64, 96, 256)
