"""Reading and writing open channels (/sys/src/9/port/sysfile.c: read, write, unionread, mountfix)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py.plan9 import stat
from vx32py.plan9.chan import OREAD, Chan, clone
from vx32py.plan9.errors import Edirseek, Eisdir, Enegoff, Error, Eshort
from vx32py.plan9.stat import Dir
from vx32py.plan9.waiting import patiently

if TYPE_CHECKING:
    from vx32py.plan9.chan import Caller

#: What is read from a directory's device at a time, at least: entries may grow when names are replaced.
_LEAST_READ: Final = 8192
#: And no more than this of a directory, so that one with very many entries does not keep the others waiting.
_MOST_READ: Final = 128 << 10


def read_plainly(caller: Caller, chan: Chan, count: int, offset: int | None) -> bytes:
    """Read a file of a device that is plain: see :meth:`Device.read_plainly`. Raises Error, WouldBlock."""
    here = chan.offset if offset is None else offset
    if here < 0:
        raise Error(Enegoff)
    found = chan.device.read_plainly(caller, chan, count, here)
    if offset is None:
        chan.offset = here + len(found)
    return found


def write_plainly(caller: Caller, chan: Chan, data: bytes, offset: int | None) -> int:
    """Write such a file. Raises Error, WouldBlock."""
    here = chan.offset if offset is None else offset
    if here < 0:
        raise Error(Enegoff)
    count = chan.device.write_plainly(caller, chan, data, here)
    if offset is None:
        chan.offset = here + count
    return count


async def read(caller: Caller, chan: Chan, count: int, offset: int | None) -> bytes:
    """Read, at its own offset (None), which moves on, or elsewhere. Raises Error."""
    here = chan.offset if offset is None else offset
    if chan.is_directory:
        if here < 0:
            raise Error(Enegoff)
        return await _read_directory(caller, chan, count, here)
    if chan.device.is_plain:
        return await patiently(read_plainly, caller, chan, count, offset)
    if here < 0:
        raise Error(Enegoff)
    found = await chan.device.read(caller, chan, count, here)
    if offset is None:
        chan.offset += len(found)
    return found


async def _read_directory(caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
    count = min(count, _MOST_READ)
    if offset == 0:
        chan.offset = chan.device_offset = 0
        chan.rewind()
    if not chan.rock:
        if chan.union is not None:
            entries = await _read_union(caller, chan, max(count, _LEAST_READ))
        else:
            if offset != chan.offset:
                raise Error(Edirseek)
            raw = await chan.device.read(caller, chan, max(count, _LEAST_READ), chan.device_offset)
            chan.device_offset += len(raw)
            entries = stat.split(raw, ours=chan.device.is_plain)
        find = caller.names.find
        for i, entry in enumerate(entries):
            head = find(stat.place_of(entry))
            if head is not None and head.mounts:
                entries[i] = await _as_mounted(caller, entry, head.mounts[0].to)
        chan.rock = entries
    found, taken = bytearray(), 0
    for entry in chan.rock:
        if len(found) + len(entry) > count:
            break
        found += entry
        taken += 1
    del chan.rock[:taken]
    if chan.rock and not found:
        raise Error(Eshort)
    chan.offset += len(found)
    return bytes(found)


async def _read_union(caller: Caller, chan: Chan, count: int) -> list[bytes]:
    """One directory after the other; one that cannot be read is left out."""
    assert chan.union is not None
    while chan.union_index < len(chan.union.mounts):
        entries: list[bytes] = []
        try:
            if chan.union_chan is None:
                part = await clone(caller, chan.union.mounts[chan.union_index].to)
                chan.union_chan = await part.device.open(caller, part, OREAD)
            part = chan.union_chan
            found = await part.device.read(caller, part, count, part.offset)
            part.offset += len(found)
            entries = stat.split(found, ours=part.device.is_plain)
        except Error:
            entries = []
        if entries:
            return entries
        chan.union_index += 1
        if chan.union_chan is not None:
            chan.union_chan.close()
            chan.union_chan = None
    return []


async def _as_mounted(caller: Caller, entry: bytes, to: Chan) -> bytes:
    """The entry of a mount point: that of what is mounted there, with the same name."""
    try:
        found = await to.device.stat(caller, to)
        found.name = Dir.unpack(entry).name
        return found.pack()
    except Error:
        return entry


async def write(caller: Caller, chan: Chan, data: bytes, offset: int | None) -> int:
    """Write; how much. Raises Error."""
    if chan.is_directory:
        raise Error(Eisdir)
    if chan.device.is_plain:
        return await patiently(write_plainly, caller, chan, data, offset)
    here = chan.offset if offset is None else offset
    if here < 0:
        raise Error(Enegoff)
    count = await chan.device.write(caller, chan, data, here)
    if offset is None:
        chan.offset += count
    return count
