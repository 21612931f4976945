"""The VX ABI: the 29 system calls of the original's guests (DESIGN, section 8).

``SYSCALL`` with the number in EAX and arguments in EDX, ECX, EBX, EDI, ESI; the result in EAX, negative for -errno. Error
numbers are Linux's. File types in a mode, open flags and the stat structure are the ABI's own.
"""

from __future__ import annotations

import errno
import os
import stat as host_stat
import struct
from typing import TYPE_CHECKING, Final

from vx32py import _forking
from vx32py._calls import VX_REGISTERS, VX_TRAP, SystemCalls, signed
from vx32py._descriptors import Status
from vx32py._errors import CallError
from vx32py.personality import common

if TYPE_CHECKING:
    from vx32py._process import Process

#: The end of the heap moves in steps of this many bytes.
BRK_UNIT: Final = 1 << 20
MASK32: Final = 0xFFFF_FFFF

#: open: the ABI's flags and the host's (bits 0 and 1 are the same everywhere).
_OPEN_FLAGS: Final = (
    (0x010, os.O_CREAT), (0x020, os.O_EXCL), (0x040, os.O_NOCTTY), (0x080, os.O_TRUNC), (0x100, os.O_APPEND),
    (0x200, os.O_NONBLOCK), (0x400, os.O_SYNC),
)  # fmt: skip
#: stat: the host's file types and the ABI's, under its mask 070000.
_TYPES: Final = {
    host_stat.S_IFREG: 0o010000, host_stat.S_IFDIR: 0o020000, host_stat.S_IFLNK: 0o030000,
    host_stat.S_IFSOCK: 0o040000, host_stat.S_IFIFO: 0o050000, host_stat.S_IFBLK: 0o060000,
    host_stat.S_IFCHR: 0o070000,
}  # fmt: skip
_SPECIAL: Final = host_stat.S_ISUID | host_stat.S_ISGID | host_stat.S_ISVTX
_STAT: Final = struct.Struct("<13I")
_TIMEVAL: Final = struct.Struct("<ii")

#: fcntl: what the original knew.
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL = range(5)

TABLE: Final = SystemCalls("vx", VX_TRAP, VX_REGISTERS)
call = TABLE.define


@call(1, "exit")
def exit_(process: Process, code: int) -> int:
    """End the process; its exit code is the low byte."""
    return process.exit(code)


@call(2, "brk", native="vx_brk")
def brk(process: Process, end: int) -> int:
    """Move the end of the heap to ``end``, rounded up to 1 MiB. Returns 0. The heap starts behind the image."""
    if end < process.layout.heap:
        raise CallError(errno.EINVAL)
    wanted = (end + BRK_UNIT - 1) & -BRK_UNIT
    common.set_heap_end(process, wanted)
    return 0


@call(3, "read", native="read")
def read(process: Process, fd: int, buffer: int, count: int) -> int:
    """Read at most ``count`` bytes; 0 at the end of the file."""
    return common.read_descriptor(process, fd, buffer, count)


@call(4, "write", native="write")
def write(process: Process, fd: int, data: int, count: int) -> int:
    """Write at most ``count`` bytes; how many were written."""
    return common.write_descriptor(process, fd, data, count)


@call(5, "open")
def open_(process: Process, path: int, flags: int, mode: int) -> int:
    """Open a granted file; a descriptor."""
    name = common.path_argument(process, path)
    if flags & 3 == 3:
        raise CallError(errno.EINVAL)
    host_flags = flags & 3
    for ours, hosts in _OPEN_FLAGS:
        if flags & ours:
            host_flags |= hosts
    return process.descriptors.install(process.files.open(name, host_flags, mode & 0o777))


@call(6, "close")
def close(process: Process, fd: int) -> int:
    """Close a descriptor."""
    if fd not in process.descriptors:
        return -errno.EBADF  # for close(-1), the call that measures calls: an exception takes longer than all the rest
    process.descriptors.close(fd)
    return 0


@call(7, "lseek")
def lseek(process: Process, fd: int, offset: int, whence: int) -> int:
    """Move within a file; the new position, as far as 31 bits can tell it."""
    if whence > 2:
        raise CallError(errno.EINVAL)
    position = process.descriptors.get(fd).seek(signed(offset), whence)
    if position > 0x7FFF_FFFF:
        raise CallError(errno.EOVERFLOW)
    return position


@call(8, "remove")
def remove(process: Process, path: int) -> None:
    """Remove a file, or an empty directory."""
    process.files.remove(common.path_argument(process, path))


@call(9, "gettimeofday", native="timeval")
def gettimeofday(process: Process, time_out: int, _zone: int) -> None:
    """Seconds and microseconds since the epoch."""
    microseconds = process.clock.realtime() // 1000
    if time_out:
        process.memory.write(time_out, _TIMEVAL.pack(microseconds // 10**6 & 0x7FFF_FFFF, microseconds % 10**6))


@call(10, "clock", native="processor_time")
def clock(process: Process) -> int:
    """Processor time used, in microseconds, modulo 2^31."""
    return process.clock.cpu() // 1000 & 0x7FFF_FFFF


@call(11, "stat")
def stat(process: Process, path: int, stat_out: int) -> None:
    """The state of a file; of a symbolic link's target."""
    store_stat(process, stat_out, process.files.status(common.path_argument(process, path)))


@call(12, "fstat")
def fstat(process: Process, fd: int, stat_out: int) -> None:
    """The state of an open file."""
    store_stat(process, stat_out, process.descriptors.get(fd).status())


@call(13, "getcwd")
def getcwd(process: Process, buffer: int, count: int) -> int:
    """The working directory with its final zero byte; its length without."""
    text = os.fsencode(process.files.cwd) + b"\0"
    if len(text) > count:
        raise CallError(errno.ERANGE)
    process.memory.write(buffer, text)
    return len(text) - 1


@call(14, "chdir")
def chdir(process: Process, path: int) -> None:
    """Change the working directory."""
    process.files.chdir(common.path_argument(process, path))


@call(15, "chmod")
def chmod(process: Process, path: int, mode: int) -> None:
    """Change permission bits."""
    process.files.chmod(common.path_argument(process, path), mode & 0o777)


@call(16, "dup")
def dup(process: Process, fd: int, wanted: int) -> int:
    """Another descriptor of the same open file: ``wanted``, or any for -1."""
    descriptors = process.descriptors
    file = descriptors.get(fd)
    if wanted == MASK32:
        return descriptors.install(file)
    if wanted != fd:
        descriptors.install_at(wanted, file)
    return wanted


@call(17, "link")
def link(process: Process, path: int, new_path: int) -> None:
    """Give a file another name."""
    process.files.link(common.path_argument(process, path), common.path_argument(process, new_path))


@call(18, "select")
def select(process: Process, count: int, readable: int, writable: int, exceptional: int, timeout: int) -> int:
    """Wait for descriptors below ``count``. The sets are bit maps of 32-bit words, ``timeout`` a timeval; each may be 0.

    Returns how many bits are left set; 0 when the time is up.
    """
    seconds = None
    if timeout:
        whole, microseconds = _TIMEVAL.unpack(process.memory.read(timeout, _TIMEVAL.size))
        if whole < 0 or not 0 <= microseconds < 10**6:
            raise CallError(errno.EINVAL)
        seconds = whole + microseconds / 1e6
    return common.select_descriptors(process, count, (readable, writable, exceptional), seconds)


@call(19, "mkdir")
def mkdir(process: Process, path: int, mode: int) -> None:
    """Make a directory."""
    process.files.mkdir(common.path_argument(process, path), mode)


@call(20, "fcntl")
def fcntl(process: Process, fd: int, command: int, argument: int) -> int:
    """F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL with the ABI's open flags; -EINVAL for others."""
    descriptors = process.descriptors
    file = descriptors.get(fd)
    if command == F_DUPFD:
        if argument >= descriptors.most:
            raise CallError(errno.EINVAL)
        return descriptors.install(file, lowest=argument)
    if command == F_GETFD:
        return int(fd in descriptors.close_on_exec)
    if command == F_SETFD:
        if argument & 1:
            descriptors.close_on_exec.add(fd)
        else:
            descriptors.close_on_exec.discard(fd)
        return 0
    if command == F_GETFL:
        return file.flags & 3 | sum(ours for ours, hosts in _OPEN_FLAGS if file.flags & hosts == hosts)
    if command == F_SETFL:
        file.flags = file.flags & ~os.O_NONBLOCK | (os.O_NONBLOCK if argument & 0x200 else 0)
        return 0
    raise CallError(errno.EINVAL)


@call(21, "truncate")
def truncate(process: Process, path: int, size: int) -> None:
    """Set the size of a file."""
    if signed(size) < 0:
        raise CallError(errno.EINVAL)
    process.files.truncate(common.path_argument(process, path), size)


@call(22, "ftruncate")
def ftruncate(process: Process, fd: int, size: int) -> None:
    """Set the size of an open file."""
    file = process.descriptors.get(fd)
    if signed(size) < 0 or not file.writable:
        raise CallError(errno.EINVAL)
    file.truncate(size)


@call(23, "lstat")
def lstat(process: Process, path: int, stat_out: int) -> None:
    """The state of a file; of a symbolic link itself."""
    store_stat(process, stat_out, process.files.status(common.path_argument(process, path), follow=False))


@call(24, "fork")
def fork(process: Process) -> int:
    """A copy of the process. Its number to the parent, 0 to the child, which runs when the parent waits."""
    return _forking.fork(process).pid


@call(25, "waitpid")
def waitpid(process: Process, pid: int, status: int, options: int) -> int:
    """Wait for a child to end; its number. ``options`` 1: do not wait, 0 when none has ended."""
    return common.wait_for_child(process, signed(pid), status, no_hang=bool(options & 1))


@call(26, "exec")
def exec_(process: Process, path: int, argv: int) -> int:
    """Replace the program by a granted file; the environment stays."""
    return common.execute(process, path, argv, None)


@call(27, "pipe")
def pipe(process: Process, fds_out: int) -> int:
    """Two descriptors: what is written to the second can be read from the first."""
    return common.make_pipe(process, fds_out)


@call(28, "sleep")
def sleep(process: Process, seconds: int) -> None:
    """Wait."""
    process.pause(seconds)


@call(29, "getpid", native="process_number")
def getpid(process: Process) -> int:
    """The number of this process, which means nothing to the host."""
    return process.pid


def vx_mode(mode: int) -> int:
    """A mode of the host as the ABI writes it."""
    return _TYPES.get(host_stat.S_IFMT(mode), 0) | mode & (0o777 | _SPECIAL)


def store_stat(process: Process, address: int, status: Status) -> None:
    """Store the thirteen words of a stat. Raises CallError(EOVERFLOW) for a file of 4 GiB or more."""
    if status.size > MASK32:
        raise CallError(errno.EOVERFLOW)
    times = (t // 10**9 & MASK32 for t in (status.atime, status.mtime, status.ctime))
    words = (
        status.dev, status.ino, vx_mode(status.mode), status.nlink, status.uid, status.gid, status.rdev, status.blksize,
        status.blocks, status.size, *times,
    )  # fmt: skip
    process.memory.write(address, _STAT.pack(*(word & MASK32 for word in words)))
