"""The server's side of 9P: a name space, or a part of it, for who is at the other end of a channel (exportfs(4)).

Every request is a coroutine of its own, so that one that waits does not stop the others, and can be flushed. The client is
hostile: a message that is none ends the connection, everything else that is wrong is answered with an error. It gets no
further up than where the export begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from vx32py.plan9 import naming, stat, transfers
from vx32py.plan9.chan import OCEXEC, ORCLOSE, OREAD, OTRUNC, Chan, Qid, open_mode
from vx32py.plan9.errors import ERRMAX, Ebadarg, Ebadusefd, Einuse, Eio, Enomem, Enonexist, Enotdir, Eperm, Error
from vx32py.plan9.namespace import enter, walk
from vx32py.plan9.ninep import codec
from vx32py.plan9.ninep.codec import BadMessage, Message
from vx32py.plan9.stat import Dir
from vx32py.plan9.waiting import until

if TYPE_CHECKING:
    from vx32py.plan9.chan import Caller
    from vx32py.plan9.waiting import Running

_MOST_SIZE: Final = codec.IOHDRSZ + (64 << 10)
_LEAST_SIZE: Final = 256
_MOST_FIDS: Final = 20_000
_MOST_REQUESTS: Final = 1000
_MOST_UNSENT: Final = 1 << 20
_SIZE: Final = 4
_Fields = dict[str, object]


class _File:
    """What a fid stands for: ``chan`` is on the near side of what may be mounted there, ``opened`` the open one."""

    __slots__ = ("chan", "depth", "opened")

    def __init__(self, chan: Chan, depth: int) -> None:
        self.chan = chan
        self.depth = depth
        self.opened: Chan | None = None


class Export:
    """What ``caller`` sees at ``root``, for the client on ``chan``; it ends when the channel does. Where it is not
    ``writable``, nothing can be changed through it."""

    def __init__(self, caller: Caller, chan: Chan, root: str = "/", *, writable: bool = True) -> None:
        self._caller = caller
        self._root = root
        self._writable = writable
        self._chan = chan.incref()
        self._chan.speaks_9p = True
        self._attendants = caller.view.attendants
        self._size = _MOST_SIZE
        self._files: dict[int, _File] = {}
        self._running: dict[int, Running[None]] = {}
        self._outbox: deque[bytes] = deque()
        self._unsent = 0
        self._writes = False
        self.ended = self._closing = False
        self._serving = self._serve()

    def start(self) -> None:
        """Begin to serve; it goes on whenever the kernel does."""
        self._attendants.start(self._serving)

    def close(self) -> None:
        """Serve no more."""
        self._closing = True
        if not self.ended:
            self._attendants.stop(self._serving)

    async def _serve(self) -> None:
        incoming = bytearray()
        try:
            while not self._closing:
                data = await self._chan.device.read(self._caller, self._chan, self._size, 0)
                if not data:
                    return
                incoming += data
                while len(incoming) >= _SIZE:
                    size = int.from_bytes(incoming[:_SIZE], "little")
                    if not codec.HEADER.size <= size <= self._size:
                        return
                    if len(incoming) < size:
                        break
                    message = codec.unpack(bytes(incoming[:size]))
                    del incoming[:size]
                    await self._begin(message)
        except (Error, BadMessage):
            return
        finally:
            self._end()

    def _end(self) -> None:
        self.ended = True
        for running in tuple(self._running.values()):
            self._attendants.stop(running)
        self._running.clear()
        self._forget_all()
        self._chan.close()

    def _forget_all(self) -> None:
        files, self._files = self._files, {}
        for file in files.values():
            if file.opened is not None:
                file.opened.close()

    async def _begin(self, message: Message) -> None:
        """Begin with a request. Raises BadMessage."""
        if message.tag in self._running or len(self._running) >= _MOST_REQUESTS:
            raise BadMessage("a tag that is in use")
        # So many answers that nobody reads are enough.
        await until(lambda: self._unsent < _MOST_UNSENT)
        running = self._carry_out(message)
        self._running[message.tag] = running
        self._attendants.start(running)

    async def _carry_out(self, message: Message) -> None:
        kind = message.name
        try:
            handler = self._HANDLERS.get(kind)
            if handler is None:
                raise Error("bad 9P message type")  # noqa: TRY301
            if not self._writable and _changes(message):
                raise Error(Eperm)  # noqa: TRY301
            fields = await handler(self, message)
            answer = codec.pack("R" + kind[1:], message.tag, **fields)
        except BadMessage:
            answer = codec.pack("Rerror", message.tag, ename=Ebadarg)
        except Error as error:
            text = error.text.encode(errors="surrogateescape")[: ERRMAX - 1].decode(errors="surrogateescape")
            answer = codec.pack("Rerror", message.tag, ename=text)
        except Exception:
            # An error of the application's, which is told of it; the client must have an answer.
            self._running.pop(message.tag, None)
            self._send(codec.pack("Rerror", message.tag, ename=Eio))
            raise
        self._running.pop(message.tag, None)
        self._send(answer)

    def _send(self, answer: bytes) -> None:
        self._outbox.append(answer)
        self._unsent += len(answer)
        # The writer is nobody's request: a flush must not end it in the midst of a message.
        if not self._writes and not self.ended:
            self._writes = True
            self._attendants.start(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._outbox and not self.ended:
                data = self._outbox[0]
                while data:
                    data = data[await self._chan.device.write(self._caller, self._chan, data, 0) :]
                self._unsent -= len(self._outbox.popleft())
        except Error:
            self.close()
        finally:
            self._writes = False

    # -- what fids stand for -----------------------------------------------------------------------------------------

    def _file(self, number: int) -> _File:
        file = self._files.get(number)
        if file is None:
            raise Error("unknown fid")
        return file

    def _open(self, number: int) -> Chan:
        chan = self._file(number).opened
        if chan is None:
            raise Error(Ebadusefd)
        return chan

    def _add(self, number: int, file: _File) -> None:
        if number in self._files or number == codec.NOFID:
            raise Error("fid in use")
        if len(self._files) >= _MOST_FIDS:
            raise Error(Enomem)
        self._files[number] = file

    def _there(self, chan: Chan) -> Chan:
        """What is mounted at a channel, or itself."""
        return enter(self._caller, chan)[0]

    # -- messages ----------------------------------------------------------------------------------------------------

    async def _version(self, message: Message) -> _Fields:
        for tag, running in tuple(self._running.items()):
            if tag != message.tag:
                del self._running[tag]
                self._attendants.stop(running)
        self._forget_all()
        if message["msize"] < _LEAST_SIZE:
            raise Error("nonsense value of msize in fversion")
        self._size = min(message["msize"], _MOST_SIZE)
        known = str(message["version"]).startswith(codec.VERSION)
        return {"msize": self._size, "version": codec.VERSION if known else "unknown"}

    async def _auth(self, message: Message) -> _Fields:
        raise Error("authentication not required")

    async def _attach(self, message: Message) -> _Fields:
        if message["afid"] != codec.NOFID:
            raise Error("authentication not required")
        if message["aname"] not in ("", "/"):
            raise Error(Enonexist)
        chan = await naming.find_directory(self._caller, self._root)
        self._add(message["fid"], _File(chan, 0))
        return {"qid": wire_qid(self._there(chan))}

    async def _flush(self, message: Message) -> _Fields:
        running = self._running.pop(message["oldtag"], None) if message["oldtag"] != message.tag else None
        if running is not None:
            self._attendants.stop(running)
        return {}

    async def _walk(self, message: Message) -> _Fields:
        file, newfid, names = self._file(message["fid"]), message["newfid"], message["wname"]
        if newfid != message["fid"] and newfid in self._files:
            raise Error("fid in use")
        if file.opened is not None:
            raise Error("cannot clone open fid")
        chan, depth = file.chan, file.depth
        qids: list[Qid] = []
        for name in names:
            try:
                chan, depth = await self._step(chan, depth, name)
            except Error:
                if not qids:
                    raise
                return {"wqid": qids}
            qids.append(wire_qid(self._there(chan)))
        if newfid == message["fid"]:
            file.chan, file.depth = chan, depth
        else:
            self._add(newfid, _File(chan, depth))
        return {"wqid": qids}

    async def _step(self, chan: Chan, depth: int, name: str) -> tuple[Chan, int]:
        """One name further, but not above the root."""
        if name == "..":
            return (await walk(self._caller, chan, [name]), depth - 1) if depth else (chan, 0)
        if name == ".":
            raise Error(Enonexist)
        naming.check_name(name, slash=False)
        if not self._there(chan).is_directory:
            raise Error(Enotdir)
        return await walk(self._caller, chan, [name]), depth + 1

    async def _open_(self, message: Message) -> _Fields:
        file = self._file(message["fid"])
        if file.opened is not None:
            raise Error(Einuse)
        opened = await naming.open_at(self._caller, file.chan, message["mode"] & ~OCEXEC)
        return self._opened(file, opened)

    async def _create(self, message: Message) -> _Fields:
        file = self._file(message["fid"])
        if file.opened is not None:
            raise Error(Einuse)
        name, folder = message["name"], file.chan
        if name in ("", ".", ".."):
            raise Error(Ebadarg)
        naming.check_name(name, slash=False)
        try:
            await walk(self._caller, folder, [name])
        except Error:
            made = await naming.create_at(self._caller, folder, name, message["mode"] & ~OCEXEC, message["perm"])
        else:
            raise Error("file already exists")
        file.depth += 1
        try:
            file.chan = await walk(self._caller, folder, [name])
        except Error:
            file.chan = made
        return self._opened(file, made)

    def _opened(self, file: _File, chan: Chan) -> _Fields:
        if file.opened is not None:  # by another request, meanwhile
            chan.close()
            raise Error(Einuse)
        file.opened = chan
        return {"qid": wire_qid(chan), "iounit": self._size - codec.IOHDRSZ}

    async def _read(self, message: Message) -> _Fields:
        chan = self._open(message["fid"]).incref()
        try:
            return await self._read_open(chan, message)
        finally:
            chan.close()

    async def _read_open(self, chan: Chan, message: Message) -> _Fields:
        count = min(message["count"], self._size - codec.IOHDRSZ)
        if chan.is_directory:
            if message["offset"] not in (0, chan.offset):
                raise Error("bad offset in directory read")
            entries = stat.unpack_all(await transfers.read(self._caller, chan, count, message["offset"]))
            for each in entries:
                each.qid = _wire(each.qid, (chr(each.type), each.dev, each.qid.path))
            return {"data": b"".join(each.pack() for each in entries)}
        if chan.mode not in (OREAD, 2):
            raise Error(Ebadusefd)
        if message["offset"] >= 1 << 63:
            raise Error("negative i/o offset")
        return {"data": await transfers.read(self._caller, chan, count, message["offset"])}

    async def _write(self, message: Message) -> _Fields:
        chan = self._open(message["fid"])
        if chan.mode == OREAD:
            raise Error(Ebadusefd)
        if message["offset"] >= 1 << 63:
            raise Error("negative i/o offset")
        chan.incref()
        try:
            return {"count": await transfers.write(self._caller, chan, message["data"], message["offset"])}
        finally:
            chan.close()

    async def _clunk(self, message: Message) -> _Fields:
        self._forget(message["fid"])
        return {}

    def _forget(self, number: int) -> _File:
        file = self._file(number)
        del self._files[number]
        if file.opened is not None:
            file.opened.close()
        return file

    async def _remove(self, message: Message) -> _Fields:
        file = self._forget(message["fid"])
        if self._there(file.chan) is not file.chan or not file.depth:
            raise Error("is a mount point")
        await file.chan.device.remove(self._caller, file.chan)
        return {}

    async def _stat(self, message: Message) -> _Fields:
        file = self._file(message["fid"])
        chan = file.opened if file.opened is not None else self._there(file.chan)
        found = await chan.device.stat(self._caller, chan)
        found.qid = wire_qid(chan)
        if not file.depth:
            found.name = "/"
        elif file.chan.path.last:
            found.name = file.chan.path.last
        return {"stat": found.pack()}

    async def _wstat(self, message: Message) -> _Fields:
        file = self._file(message["fid"])
        changes = Dir.unpack(message["stat"])
        if changes.name:
            naming.check_name(changes.name, slash=False)
            if not file.depth or self._there(file.chan) is not file.chan:
                raise Error("is a mount point")
        chan = file.opened if file.opened is not None else self._there(file.chan)
        await chan.device.wstat(self._caller, chan, changes)
        return {}

    _HANDLERS: Final[dict[str, Callable[[Export, Message], Running[_Fields]]]] = {
        "Tversion": _version, "Tauth": _auth, "Tattach": _attach, "Tflush": _flush, "Twalk": _walk, "Topen": _open_,
        "Tcreate": _create, "Tread": _read, "Twrite": _write, "Tclunk": _clunk, "Tremove": _remove, "Tstat": _stat,
        "Twstat": _wstat,
    }  # fmt: skip


def _changes(message: Message) -> bool:
    """Whether a request would change anything."""
    if message.name == "Topen":
        return bool(open_mode(message["mode"] & 3) != OREAD or message["mode"] & (OTRUNC | ORCLOSE))
    return message.name in {"Tcreate", "Twrite", "Tremove", "Twstat"}


def wire_qid(chan: Chan) -> Qid:
    """A qid that tells files of different devices apart."""
    return _wire(chan.qid, chan.key)


def _wire(qid: Qid, key: tuple[str, int, int]) -> Qid:
    number = int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "little")
    return Qid(number, qid.version, qid.type)
