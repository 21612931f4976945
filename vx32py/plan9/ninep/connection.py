"""The client's side of a 9P connection: many calls at a time on one channel (/sys/src/9/port/devmnt.c).

Whoever waits for an answer and finds nobody reading reads, and hands round what it gets. A call that is given up is flushed;
its tag is used again when the server has answered that. The server is hostile: it can say no more than an error, or nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from vx32py.plan9.account import REQUEST
from vx32py.plan9.errors import ERRMAX, Ehungup, Emountrpc, Enomem, Error, Eshutdown
from vx32py.plan9.ninep import codec
from vx32py.plan9.ninep.codec import NOTAG, BadMessage, Message
from vx32py.plan9.waiting import until

if TYPE_CHECKING:
    from vx32py.plan9.chan import Caller, Chan
    from vx32py.plan9.waiting import Attendants

#: So many calls at a time.
_MOST_TAGS: Final = 4096
_MOST_FIDS: Final = 1 << 20
#: A server that sends so many messages that answer nothing is not listened to any more.
_MOST_STRAYS: Final = 256
_SIZE: Final = 4


class _Request:
    """One that was sent, or will be: ``data`` is what is still to be sent of it."""

    __slots__ = ("answer", "begun", "data", "expected", "given_up", "newfid")

    def __init__(self, kind: str, data: bytes, newfid: int | None) -> None:
        self.expected = "R" + kind[1:]
        self.data = data
        self.begun = False
        self.answer: Message | None = None
        self.given_up = False
        #: A fid that it makes, if it is carried out.
        self.newfid = newfid


class Fid:
    """A file as the server knows it. It is given back when nobody knows it any more. As long as the server knows any, the
    channel stays open."""

    __slots__ = ("connection", "is_gone", "number")

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.is_gone = False
        connection.chan.incref()

    def clunk(self) -> None:
        """Give it back."""
        if not self.is_gone:
            self.is_gone = True
            self.connection.attendants.start(self.connection.give_back(self.number))

    def removed(self) -> None:
        """The server has forgotten it."""
        self.is_gone = True
        self.connection.free_fid(self.number)
        self.connection.chan.close()

    def __del__(self) -> None:
        if not self.is_gone:
            connection, number = self.connection, self.number
            connection.attendants.later.append(lambda: connection.attendants.start(connection.give_back(number)))


class Connection:
    """A channel on which a server speaks 9P, until that is closed; ``host`` is on whose behalf it is read and written,
    ``depth`` how many others it goes through."""

    def __init__(self, host: Caller, chan: Chan, size: int, number: int, depth: int) -> None:
        self._host = host
        self.chan = chan
        self.attendants: Attendants = host.view.attendants
        self._account = host.view.account
        self.size = size
        self.number = number
        self.depth = depth
        #: Why nothing can be asked any more.
        self.dead: str | None = None
        self._waiting: dict[int, _Request] = {}
        self._outbox: deque[_Request] = deque()
        self._fids: set[int] = set()
        self._next_fid = self._next_tag = 0
        self._incoming = bytearray()
        self._reads = self._writes = False
        self._strays = 0

    @property
    def key(self) -> tuple[str, int, int]:
        """The channel's."""
        return self.chan.key

    @property
    def most_data(self) -> int:
        """So many bytes are in a message at most."""
        return self.size - codec.IOHDRSZ

    def new_fid(self) -> int:
        """A number that no file of the server's has. Raises Error."""
        if len(self._fids) >= _MOST_FIDS:
            raise Error(Enomem)
        while self._next_fid in self._fids:
            self._next_fid = (self._next_fid + 1) & 0x7FFF_FFFF
        self._fids.add(self._next_fid)
        return self._next_fid

    def free_fid(self, number: int) -> None:
        """The server does not know it any more."""
        self._fids.discard(number)

    # -- calls -------------------------------------------------------------------------------------------------------

    async def call(self, kind: str, /, *, makes: int | None = None, **fields: Any) -> Message:
        """Send a message, and wait for the answer to it; ``makes`` is the fid that is one then. Raises Error."""
        if self.dead is not None or self.attendants.closed:
            if makes is not None:
                self.free_fid(makes)
            raise Error(self.dead or Eshutdown)
        tag = self._new_tag(makes)
        try:
            data = codec.pack(kind, tag, **fields)
        except BadMessage:
            data = b""
        if not 0 < len(data) <= self.size:
            if makes is not None:
                self.free_fid(makes)
            raise Error(Emountrpc)
        request = self._waiting[tag] = _Request(kind, data, makes)
        self._outbox.append(request)
        try:
            with self._account.using(REQUEST):
                await self._send(request)
                await self._receive(request)
        except BaseException:
            self._give_up(tag, request)
            raise
        del self._waiting[tag]
        answer = request.answer
        assert answer is not None
        if answer.name != request.expected and makes is not None:
            self.free_fid(makes)
        if answer.name == "Rerror":
            text = str(answer["ename"]).encode(errors="surrogateescape")[: ERRMAX - 1]
            raise Error(text.decode(errors="surrogateescape") or Emountrpc)
        if answer.name != request.expected:
            raise Error(Emountrpc)
        return answer

    def _new_tag(self, newfid: int | None) -> int:
        if len(self._waiting) >= _MOST_TAGS or self._account.left < REQUEST:
            if newfid is not None:
                self.free_fid(newfid)
            raise Error(Enomem)
        while self._next_tag in self._waiting or self._next_tag == NOTAG:
            self._next_tag = (self._next_tag + 1) & 0xFFFF
        tag, self._next_tag = self._next_tag, (self._next_tag + 1) & 0xFFFF
        return tag

    async def clunk(self, number: int) -> None:
        """Give a fid back."""
        try:
            await self.call("Tclunk", fid=number)
        finally:
            self.free_fid(number)

    async def give_back(self, number: int) -> None:
        """The same, for a :class:`Fid`."""
        try:
            await self.clunk(number)
        finally:
            self.chan.close()

    def _give_up(self, tag: int, request: _Request) -> None:
        """Nobody waits for the answer any more."""
        if not request.begun or self.dead is not None:
            if request in self._outbox:
                self._outbox.remove(request)
            del self._waiting[tag]
            if request.newfid is not None:
                self.free_fid(request.newfid)
        elif request.answer is None:
            request.given_up = True
            self.attendants.start(self._flush(tag, request))
        else:
            del self._waiting[tag]
            self._undo(request)

    async def _flush(self, tag: int, request: _Request) -> None:
        """Tell the server not to answer; it may have done it already."""
        try:
            await self.call("Tflush", oldtag=tag)
        finally:
            self._waiting.pop(tag, None)
            self._undo(request)

    def _undo(self, request: _Request) -> None:
        """What was given up may have made a fid."""
        if request.newfid is None:
            return
        if request.answer is not None and request.answer.name == request.expected and self.dead is None:
            self.attendants.start(self.clunk(request.newfid))
        else:
            self.free_fid(request.newfid)

    # -- the channel -------------------------------------------------------------------------------------------------

    async def _send(self, request: _Request) -> None:
        """Send what is waiting for that, until this has been sent."""
        while request.data:
            if self.dead is not None:
                raise Error(self.dead)
            if self._writes:
                await until(lambda: not request.data or not self._writes or self.dead is not None)
                continue
            self._writes = True
            try:
                first = self._outbox[0]
                first.begun = True
                count = await self.chan.device.write(self._host, self.chan, first.data, 0)
                if not 0 < count <= len(first.data):
                    self._die(Emountrpc)
                    continue
                first.data = first.data[count:]
                if not first.data:
                    self._outbox.popleft()
            except Error as error:
                if error.text == Ehungup:
                    self._die(Ehungup)
                raise
            finally:
                self._writes = False

    async def _receive(self, request: _Request) -> None:
        """Wait until a request has been answered."""
        while request.answer is None:
            if self.dead is not None:
                raise Error(self.dead)
            if self._reads:
                await until(lambda: request.answer is not None or not self._reads or self.dead is not None)
                continue
            self._reads = True
            try:
                data = await self.chan.device.read(self._host, self.chan, self.size, 0)
            except Error as error:
                if error.text != "interrupted":
                    self._die(error.text)
                raise
            finally:
                self._reads = False
            if not data:
                self._die(Ehungup)
                continue
            self._incoming += data
            self._hand_round()

    def _hand_round(self) -> None:
        """Take whole messages out of what has come."""
        while len(self._incoming) >= _SIZE:
            size = int.from_bytes(self._incoming[:_SIZE], "little")
            if not codec.HEADER.size <= size <= self.size:
                self._die(Emountrpc)
                return
            if len(self._incoming) < size:
                return
            data = bytes(self._incoming[:size])
            del self._incoming[:size]
            _, _, tag = codec.HEADER.unpack_from(data)
            request = self._waiting.get(tag)
            if request is None or not request.begun or request.data or request.answer is not None:
                self._strays += 1
                if self._strays > _MOST_STRAYS:
                    self._die(Emountrpc)
                    return
                continue
            self._strays = 0
            try:
                request.answer = codec.unpack(data)
            except BadMessage:
                request.answer = Message("", tag, {})  # what nobody expects

    def _die(self, why: str) -> None:
        """There is nothing to be got from this server any more."""
        if self.dead is None:
            self.dead = why
            self._outbox.clear()
            self._incoming.clear()
