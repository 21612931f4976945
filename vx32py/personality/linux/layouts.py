"""The structures of Linux on i386 that calls fill in (arch/x86/include/uapi/asm/stat.h, include/uapi/linux/stat.h)."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from vx32py._descriptors import Status
from vx32py._errors import CallError
from vx32py.personality.linux.table import MASK32
from vx32py.vfs.nodes import FileSystemStatus

if TYPE_CHECKING:
    from vx32py._task import Task

STAT: Final = struct.Struct("<IIHHHH12I")
STAT64: Final = struct.Struct("<Q4xIIIIIQ4xqIQ6IQ")
STATX: Final = struct.Struct("<IIQIIIH2xQQQQ" + "qi4x" * 4 + "IIII" + "112x")
STATX_BASIC_STATS: Final = 0x7FF
#: struct __old_kernel_stat, of call numbers 18, 84 and 28.
OLDEST_STAT: Final = struct.Struct("<7H2x4I")
#: arch/x86/include/uapi/asm/statfs.h
STATFS: Final = struct.Struct("<7I2I3I16x")
STATFS64: Final = struct.Struct("<II5Q2I3I16x")
NAME_MAX: Final = 255
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


def oldest_stat(status: Status) -> bytes:
    """struct __old_kernel_stat. Raises OverflowError for what it has no room for."""
    if status.size > 0x7FFF_FFFF or status.nlink > 0xFFFF:
        raise OverflowError
    times = (t // SECOND & MASK32 for t in (status.atime, status.mtime, status.ctime))
    return OLDEST_STAT.pack(
        status.dev & 0xFFFF, status.ino & 0xFFFF, status.mode, status.nlink, status.uid & 0xFFFF, status.gid & 0xFFFF,
        status.rdev & 0xFFFF, status.size, *times,
    )  # fmt: skip


def statfs(status: FileSystemStatus) -> bytes:
    """struct statfs. Raises OverflowError for more blocks than it has room for."""
    numbers = status.block, status.blocks, status.free, status.available, status.files, status.files_free
    if any(number > MASK32 for number in numbers):
        raise OverflowError
    return STATFS.pack(status.kind, *numbers, 0, 0, NAME_MAX, status.block, status.flags)


def statfs64(status: FileSystemStatus) -> bytes:
    """struct statfs64."""
    numbers = status.block, status.blocks, status.free, status.available, status.files, status.files_free
    return STATFS64.pack(status.kind, *numbers, 0, 0, NAME_MAX, status.block, status.flags)


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


def timespec(process: Task, address: int, *, wide: bool = False) -> float | None:
    """Seconds from a timespec, None for a null pointer. Raises CallError(EINVAL)."""
    if not address:
        return None
    layout = TIMESPEC64 if wide else TIMESPEC
    seconds, nanoseconds = layout.unpack(process.memory.read(address, layout.size))
    if seconds < 0 or not 0 <= nanoseconds < SECOND:
        raise CallError(errno.EINVAL)
    # More than a century is for ever, and beyond what the host's clock functions take.
    return float(min(seconds, 1 << 32) + nanoseconds / SECOND)


assert (STAT.size, STAT64.size, STATX.size, OLDEST_STAT.size, STATFS.size, STATFS64.size) == (64, 96, 256, 32, 64, 84)
