"""Files: open, read, stat and so on (/sys/src/9/port/sysfile.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vx32py._calls import signed
from vx32py._wait import WouldBlock
from vx32py.plan9 import naming, transfers
from vx32py.plan9.calls.table import call
from vx32py.plan9.chan import (
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    Chan,
)
from vx32py.plan9.errors import Ebadarg, Ebadfd, Ebadstat, Ebadusefd, Eisdir, Eisstream, Enegoff, Error, Eshortstat
from vx32py.plan9.quoting import cut
from vx32py.plan9.stat import SIZE_BYTES, Dir
from vx32py.plan9.waiting import go_on, waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py.plan9.proc import Proc
    from vx32py.plan9.waiting import Running

_ALL32: Final = 0xFFFF_FFFF
_ALL64: Final = (1 << 64) - 1
_SIGN64: Final = 1 << 63
#: More is not transferred at a time.
_MOST_TRANSFER: Final = 16 << 20
#: What is held of as many bytes for a call that waits counts for nothing.
_MOST_FREE: Final = 64 << 10
_OLD_STAT: Final = 116
#: Only entries with as many bytes can be told to programs before the fourth edition.
_MOST_FOR_OLD: Final = 128
_FROM_START, _FROM_HERE, _FROM_END = range(3)


def channel(proc: Proc, fd: int, mode: int | None = None, *, for_messages: bool = False) -> Chan:
    """The channel of a descriptor, which can be used so (fdtochan). Raises Error."""
    chan = proc.fds.get(fd)
    if not isinstance(chan, Chan):
        raise Error(Ebadfd)
    if chan.speaks_9p and not for_messages:
        raise Error(Ebadusefd)
    if mode is not None and chan.mode != ORDWR:
        if mode & OTRUNC and chan.mode == OREAD:
            raise Error(Ebadusefd)
        if mode & ~OTRUNC != chan.mode:
            raise Error(Ebadusefd)
    return chan


@call(14, "open")
@waits
async def open_(proc: Proc, name: int, mode: int) -> int:
    """Open a file; its descriptor."""
    return _installed(proc, await naming.open_file(proc, proc.string(name), mode))


@call(22, "create")
@waits
async def create(proc: Proc, name: int, mode: int, perm: int) -> int:
    """Create a file, or make it empty; its descriptor."""
    return _installed(proc, await naming.create_file(proc, proc.string(name), mode, perm))


def _installed(proc: Proc, chan: Chan) -> int:
    """A descriptor for a channel, of which this is the only reference. Raises Error."""
    try:
        return proc.fds.install(chan)
    except Error:
        chan.close()
        raise


@call(4, "close")
def close(proc: Proc, fd: int) -> None:
    """Close a descriptor."""
    proc.fds.take(fd).close()


@call(5, "dup")
def dup(proc: Proc, old: int, new: int) -> int:
    """Another descriptor for the same channel."""
    chan = proc.fds.get(old)
    if new == _ALL32:
        try:
            return proc.fds.install(chan.incref())
        except Error:
            chan.close()
            raise
    if new != old:
        try:
            proc.fds.install_at(new, chan.incref())
        except Error:
            chan.close()
            raise
    return new


@call(21, "pipe")
@waits
async def pipe(proc: Proc, fds: int) -> None:
    """Two descriptors, each of which reads what is written to the other one."""
    proc.memory.check(fds, 8, writable=True)
    device = proc.view.devices["|"]
    root = await device.attach(proc, "")
    ends: list[int] = []
    try:
        for name in ("data", "data1"):
            walked = await device.walk(proc, root, [name])
            assert walked.chan is not None
            walked.chan.path = root.path.add(name)
            ends.append(_installed(proc, await device.open(proc, walked.chan, ORDWR)))
    except Error:
        for fd in ends:
            proc.fds.take(fd).close()
        raise
    proc.memory.write_u32(fds, ends[0])
    proc.memory.write_u32(fds + 4, ends[1])


# -- reading and writing -----------------------------------------------------------------------------------------------


class _Way(NamedTuple):
    """Reading, or writing: in which mode the channel must be open, and what is done where the device is plain and where it
    is not. Both get the channel, an address in the process's memory, how many bytes, and the offset."""

    mode: int
    plainly: Callable[[Proc, Chan, int, int, int | None], int]
    patiently: Callable[[Proc, Chan, int, int, int | None], Running[int]]


@call(50, "pread", native="plan9_pread")
def pread(proc: Proc, fd: int, buffer: int, count: int, low: int, high: int) -> int | None:
    """Read at an offset; at the channel's for -1."""
    return _transfer(proc, _READ, fd, buffer, count, _offset(low, high))


@call(15, "_read")
def read(proc: Proc, fd: int, buffer: int, count: int) -> int | None:
    """Read at the channel's offset."""
    return _transfer(proc, _READ, fd, buffer, count, None)


@call(51, "pwrite", native="plan9_pwrite")
def pwrite(proc: Proc, fd: int, buffer: int, count: int, low: int, high: int) -> int | None:
    """Write at an offset; at the channel's for -1."""
    return _transfer(proc, _WRITE, fd, buffer, count, _offset(low, high))


@call(20, "_write")
def write(proc: Proc, fd: int, buffer: int, count: int) -> int | None:
    """Write at the channel's offset."""
    return _transfer(proc, _WRITE, fd, buffer, count, None)


def _transfer(proc: Proc, way: _Way, fd: int, buffer: int, count: int, offset: int | None) -> int | None:
    """Read or write. While the call waits ``proc.kept`` is its coroutine, or for a plain device the channel: others may close
    the descriptor meanwhile, but not that."""
    kept = proc.kept
    if kept is not None and not isinstance(kept, Chan):
        return go_on(proc, kept)
    try:
        proc.memory.check(buffer, count, writable=way.mode == OREAD)  # others may have changed it while the call waited
    except BaseException:
        _let_go(proc)
        raise
    chan, count = kept or channel(proc, fd, way.mode), min(count, _MOST_TRANSFER)
    if not chan.device.is_plain or chan.is_directory:
        return go_on(proc, _transfer_patiently(proc, way, chan, buffer, count, offset))
    try:
        done = way.plainly(proc, chan, buffer, count, offset)
    except WouldBlock as wait:
        if kept is None:
            proc.kept = chan.incref()
        wait.interrupted = chan.close
        raise
    except BaseException:
        _let_go(proc)
        raise
    _let_go(proc)
    return done


def _let_go(proc: Proc) -> None:
    """The call does not wait any more."""
    if proc.kept is not None:
        proc.kept.close()
        proc.kept = None


def _read_plainly(proc: Proc, chan: Chan, buffer: int, count: int, offset: int | None) -> int:
    found = transfers.read_plainly(proc, chan, count, offset)
    proc.memory.write(buffer, found)
    return len(found)


def _write_plainly(proc: Proc, chan: Chan, buffer: int, count: int, offset: int | None) -> int:
    return transfers.write_plainly(proc, chan, proc.memory.read(buffer, count), offset)


async def _transfer_patiently(proc: Proc, way: _Way, chan: Chan, buffer: int, count: int, offset: int | None) -> int:
    chan.incref()
    try:
        with proc.kernel.account.using(count if count > _MOST_FREE else 0):
            return await way.patiently(proc, chan, buffer, count, offset)
    finally:
        chan.close()


async def _read(proc: Proc, chan: Chan, buffer: int, count: int, offset: int | None) -> int:
    found = await transfers.read(proc, chan, count, offset)
    proc.memory.write(buffer, found)
    return len(found)


async def _write(proc: Proc, chan: Chan, buffer: int, count: int, offset: int | None) -> int:
    return await transfers.write(proc, chan, proc.memory.read(buffer, count), offset)


_READ: Final = _Way(OREAD, _read_plainly, _read)
_WRITE: Final = _Way(OWRITE, _write_plainly, _write)


def _offset(low: int, high: int) -> int | None:
    value = low | high << 32
    return None if value == _ALL64 else _signed64(value)


def _signed64(value: int) -> int:
    return value - (1 << 64) if value & _SIGN64 else value


@call(39, "seek")
@waits
async def seek(proc: Proc, result: int, fd: int, low: int, high: int, whence: int) -> None:
    """Set the offset; the new one, of 64 bits, goes to ``result``."""
    proc.memory.check(result, 8, writable=True)
    proc.memory.write_u64(result, await _seek(proc, fd, _signed64(low | high << 32), whence) & (1 << 64) - 1)


@call(16, "oseek")
@waits
async def oseek(proc: Proc, fd: int, offset: int, whence: int) -> int:
    """The same with 32 bits."""
    return await _seek(proc, fd, signed(offset), whence)


async def _seek(proc: Proc, fd: int, offset: int, whence: int) -> int:
    chan = channel(proc, fd)
    if chan.device.letter == "|":
        raise Error(Eisstream)
    if whence > _FROM_END:
        raise Error(Ebadarg)
    if chan.is_directory and (whence != _FROM_START or offset):
        raise Error(Eisdir)
    if whence == _FROM_HERE:
        offset += chan.offset
    elif whence == _FROM_END:
        offset += (await chan.device.stat(proc, chan)).length
    if not 0 <= offset < _SIGN64:
        raise Error(Enegoff)
    chan.offset = offset
    chan.rewind()
    return offset


# -- what files are ----------------------------------------------------------------------------------------------------


@call(42, "stat")
@waits
async def stat(proc: Proc, name: int, buffer: int, size: int) -> int:
    """What a file is, by its name."""
    return _give(proc, buffer, size, await _stat_named(proc, name))


@call(18, "_stat")
@waits
async def old_stat(proc: Proc, name: int, buffer: int) -> None:
    """The same for old programs."""
    proc.memory.check(buffer, _OLD_STAT, writable=True)
    proc.memory.write(buffer, _as_old(await _stat_named(proc, name), "stat"))


async def _stat_named(proc: Proc, name: int) -> Dir:
    chan = await naming.find(proc, proc.string(name))
    found = await chan.device.stat(proc, chan)
    if chan.path.last:
        found.name = chan.path.last
    return found


@call(43, "fstat")
@waits
async def fstat(proc: Proc, fd: int, buffer: int, size: int) -> int:
    """What an open file is."""
    chan = channel(proc, fd, for_messages=True)
    return _give(proc, buffer, size, await chan.device.stat(proc, chan))


@call(11, "_fstat")
@waits
async def old_fstat(proc: Proc, fd: int, buffer: int) -> None:
    """The same for old programs."""
    proc.memory.check(buffer, _OLD_STAT, writable=True)
    chan = channel(proc, fd, for_messages=True)
    proc.memory.write(buffer, _as_old(await chan.device.stat(proc, chan), "fstat"))


def _as_old(found: Dir, call_name: str) -> bytes:
    """An entry as old programs have it; not a long one. Raises Error."""
    if len(found.pack()) > _MOST_FOR_OLD:
        raise Error(f"old {call_name} system call - recompile")
    return found.pack_old()


def _give(proc: Proc, buffer: int, size: int, found: Dir) -> int:
    """An entry, or where there is no room for it how long it is."""
    proc.memory.check(buffer, size, writable=True)
    if size < SIZE_BYTES:
        raise Error(Eshortstat)
    data = found.pack()
    if len(data) > size:
        data = data[:SIZE_BYTES]
    proc.memory.write(buffer, data)
    return len(data)


@call(44, "wstat")
@waits
async def wstat(proc: Proc, name: int, buffer: int, size: int) -> int:
    """Change what a file is, by its name."""
    changes = _taken(proc, buffer, size)
    return await _wstat(proc, await naming.find(proc, proc.string(name)), changes, size)


@call(45, "fwstat")
@waits
async def fwstat(proc: Proc, fd: int, buffer: int, size: int) -> int:
    """Change what an open file is."""
    changes = _taken(proc, buffer, size)
    return await _wstat(proc, channel(proc, fd), changes, size)


async def _wstat(proc: Proc, chan: Chan, changes: Dir, size: int) -> int:
    if chan.is_mount_point and changes.name:
        from vx32py.plan9.errors import Eismtpt

        raise naming.name_error(str(chan.path), Eismtpt)
    await chan.device.wstat(proc, chan, changes)
    return size


def _taken(proc: Proc, buffer: int, size: int) -> Dir:
    """What is to be changed. Raises Error."""
    if size > 0xFFFF + SIZE_BYTES:
        raise Error(Ebadstat)
    changes = Dir.unpack(proc.memory.read(buffer, size))
    if changes.name and changes.name != "/":
        naming.check_name(changes.name, slash=False)
    return changes


@call(26, "_wstat")
def old_wstat(proc: Proc) -> None:
    """There is no such thing any more."""
    raise Error("old wstat system call - recompile")


@call(27, "_fwstat")
def old_fwstat(proc: Proc) -> None:
    """There is no such thing any more."""
    raise Error("old fwstat system call - recompile")


@call(25, "remove")
@waits
async def remove(proc: Proc, name: int) -> None:
    """Remove a file."""
    chan = await naming.find_to_remove(proc, proc.string(name))
    await chan.device.remove(proc, chan)


@call(3, "chdir")
@waits
async def chdir(proc: Proc, name: int) -> None:
    """Be in another directory."""
    proc.dot = await naming.find_directory(proc, proc.string(name))


@call(23, "fd2path")
def fd2path(proc: Proc, fd: int, buffer: int, size: int) -> None:
    """By which name a descriptor was opened."""
    proc.memory.check(buffer, size, writable=True)
    chan = channel(proc, fd, for_messages=True)
    if size:
        proc.memory.write(buffer, cut(str(chan.path).encode(errors="surrogateescape"), size - 1) + b"\0")
