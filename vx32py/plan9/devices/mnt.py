"""``#M``: the files of servers that speak 9P on a channel (mnt(3), /sys/src/9/port/devmnt.c)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vx32py.plan9 import stat
from vx32py.plan9.chan import ORDWR, Caller, Chan, Device, Qid, Walked
from vx32py.plan9.errors import Ebadarg, Ebadusefd, Emountrpc, Enoattach, Enodev, Error
from vx32py.plan9.ninep import codec
from vx32py.plan9.ninep.codec import BadMessage
from vx32py.plan9.ninep.connection import Connection, Fid
from vx32py.plan9.paths import Path

if TYPE_CHECKING:
    from vx32py.plan9.stat import Dir

#: How long messages may be, where nobody says otherwise (MAXRPC).
MSIZE: Final = codec.IOHDRSZ + (32 << 10)
_LEAST_MSIZE: Final = 256
_MOST_MSIZE: Final = 1 << 20
#: A server may be reached through a file of another server's, and so on; not for ever.
_MOST_DEPTH: Final = 8


class Mnt(Device):
    """The device."""

    letter = "M"

    def __init__(self) -> None:
        self.numbers = itertools.count(1)

    async def attach(self, caller: Caller, spec: str) -> Chan:
        raise Error(Enoattach)

    async def walk(self, caller: Caller, chan: Chan, names: Sequence[str]) -> Walked:
        fid: Fid = chan.aux
        connection = fid.connection
        newfid = connection.new_fid()
        qids = await _walk(connection, fid.number, newfid, names)
        if len(qids) < len(names):
            return Walked(None, qids)
        return Walked(Chan(self, chan.dev, qids[-1] if qids else chan.qid, Fid(connection, newfid), chan.path), qids)

    async def open(self, caller: Caller, chan: Chan, mode: int) -> Chan:
        fid: Fid = chan.aux
        answer = await fid.connection.call("Topen", fid=fid.number, mode=mode & 0xFF)
        return self._opened(chan, mode, answer["qid"], answer["iounit"])

    async def create(self, caller: Caller, chan: Chan, name: str, mode: int, perm: int) -> Chan:
        fid: Fid = chan.aux
        answer = await fid.connection.call("Tcreate", fid=fid.number, name=name, perm=perm, mode=mode & 0xFF)
        return self._opened(chan, mode, answer["qid"], answer["iounit"])

    @staticmethod
    def _opened(chan: Chan, mode: int, qid: Qid, iounit: int) -> Chan:
        most = chan.aux.connection.most_data
        chan.qid = qid
        chan.state = iounit if 0 < iounit <= most else most
        return chan.opened(mode)

    async def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        found = bytearray()
        fid: Fid = chan.aux
        while len(found) < count:
            wanted = min(count - len(found), chan.state or fid.connection.most_data)
            answer = await fid.connection.call("Tread", fid=fid.number, offset=offset + len(found), count=wanted)
            piece = answer["data"]
            if len(piece) > wanted:
                raise Error(Emountrpc)
            found += piece
            if len(piece) < wanted or chan.is_directory:
                break
        return self._entries(chan, bytes(found)) if chan.is_directory else bytes(found)

    def _entries(self, chan: Chan, data: bytes) -> bytes:
        """Entries of a directory, with the kernel's type and instance instead of the server's."""
        found = stat.unpack_all(data)
        for each in found:
            each.type, each.dev = ord(self.letter), chan.dev
        return b"".join(each.pack() for each in found)

    async def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        fid: Fid = chan.aux
        done = 0
        while True:
            piece = data[done : done + (chan.state or fid.connection.most_data)]
            answer = await fid.connection.call("Twrite", fid=fid.number, offset=offset + done, data=piece)
            count = int(answer["count"])
            if count > len(piece):
                raise Error(Emountrpc)
            done += count
            if count < len(piece) or done == len(data):
                return done

    async def stat(self, caller: Caller, chan: Chan) -> Dir:
        fid: Fid = chan.aux
        found = stat.Dir.unpack((await fid.connection.call("Tstat", fid=fid.number))["stat"])
        found.type, found.dev = ord(self.letter), chan.dev
        return found

    async def wstat(self, caller: Caller, chan: Chan, changes: Dir) -> None:
        fid: Fid = chan.aux
        await fid.connection.call("Twstat", fid=fid.number, stat=changes.pack())

    async def remove(self, caller: Caller, chan: Chan) -> None:
        fid: Fid = chan.aux
        try:
            await fid.connection.call("Tremove", fid=fid.number)
        finally:
            fid.removed()  # whether it could be removed or not

    def clunk(self, chan: Chan) -> None:
        fid: Fid = chan.aux
        fid.clunk()


async def _walk(connection: Connection, fid: int, newfid: int, names: Sequence[str]) -> list[Qid]:
    """Walk on the server; ``newfid`` is one if all names lead somewhere."""
    answer = await connection.call("Twalk", makes=newfid, newfid=newfid, fid=fid, wname=list(names))
    qids: list[Qid] = answer["wqid"]
    if len(qids) > len(names):
        raise Error("too many QIDs returned by walk")
    if len(qids) < len(names):
        connection.free_fid(newfid)
        if not qids:
            raise Error(Emountrpc)  # that should have been an error
    return qids


def _device(caller: Caller) -> Mnt:
    device = caller.view.devices["M"]
    assert isinstance(device, Mnt)
    return device


async def negotiate(caller: Caller, chan: Chan, size: int, version: str) -> str:
    """Agree on the protocol, if that has not been done yet; on which (fversion(2)). Raises Error."""
    device = _device(caller)
    if size == 0:
        size = MSIZE
    if size >= 1 << 31:
        raise Error("bad iounit in version call")
    size = min(size, _MOST_MSIZE)
    if not version.startswith(codec.VERSION):
        raise Error("bad 9P version specification")
    there = chan.connection
    if there is not None:
        if there.size > size:
            raise Error(f"incompatible 9P versions {codec.VERSION} {version}")
        return codec.VERSION
    if not chan.is_open or chan.is_directory:
        raise Error(Ebadusefd)
    depth = chan.aux.connection.depth + 1 if isinstance(chan.aux, Fid) else 0
    if depth >= _MOST_DEPTH:
        raise Error(Enodev)
    if chan.speaks_9p:
        raise Error(Ebadusefd)  # somebody else is about it
    chan.speaks_9p = True
    try:
        agreed = await _ask_version(caller, chan, size, version)
        host = caller.view.host
        chan.connection = Connection(host, chan, agreed, next(device.numbers), depth)
    except BaseException:
        chan.speaks_9p = False
        raise
    return codec.VERSION


async def _ask_version(caller: Caller, chan: Chan, size: int, version: str) -> int:
    """How long messages may be."""
    try:
        message = codec.pack("Tversion", codec.NOTAG, msize=size, version=version)
    except BadMessage:
        raise Error(Ebadarg) from None
    if await chan.device.write(caller, chan, message, 0) != len(message):
        raise Error("short write in fversion")
    incoming = b""
    while True:
        if len(incoming) >= 4:
            wanted = int.from_bytes(incoming[:4], "little")
            if wanted > size or len(incoming) > wanted:
                raise Error("bad fversion conversion on reply")
            if len(incoming) == wanted:
                break
        piece = await chan.device.read(caller, chan, size, 0)
        if not piece:
            raise Error("EOF receiving fversion reply")
        incoming += piece
    try:
        answer = codec.unpack(incoming)
    except BadMessage:
        raise Error("bad fversion conversion on reply") from None
    if answer.name == "Rerror":
        raise Error(answer["ename"][:64])
    if answer.name != "Rversion":
        raise Error("unexpected reply type in fversion")
    if answer["msize"] > size:
        raise Error("server tries to increase msize in fversion")
    if answer["msize"] < _LEAST_MSIZE:
        raise Error("nonsense value of msize in fversion")
    if answer["version"] != codec.VERSION:
        raise Error("bad 9P version returned from server")
    return int(answer["msize"])


async def _connection(caller: Caller, chan: Chan) -> Connection:
    if chan.connection is None:
        await negotiate(caller, chan, MSIZE, codec.VERSION)
    connection: Connection = chan.connection
    return connection


async def attach(caller: Caller, chan: Chan, auth: Chan | None, spec: str) -> Chan:
    """The root of a tree of a server's. Raises Error."""
    connection = await _connection(caller, chan)
    afid = codec.NOFID
    if auth is not None:
        if not isinstance(auth.aux, Fid):
            raise Error(Ebadusefd)
        afid = auth.aux.number
    fid = connection.new_fid()
    answer = await connection.call("Tattach", makes=fid, fid=fid, afid=afid, uname=caller.user, aname=spec)
    return Chan(_device(caller), connection.number, answer["qid"], Fid(connection, fid), Path("#M"))


async def authentication(caller: Caller, chan: Chan, spec: str) -> Chan:
    """A file on which to convince a server, open. Raises Error."""
    connection = await _connection(caller, chan)
    fid = connection.new_fid()
    answer = await connection.call("Tauth", makes=fid, afid=fid, uname=caller.user, aname=spec)
    return Chan(_device(caller), connection.number, answer["aqid"], Fid(connection, fid), Path("#M")).opened(ORDWR)
