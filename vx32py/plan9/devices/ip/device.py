"""The files of ``#I`` (ip(3)): cs, dns, ndb, iproute, ipselftab, ipifc, and a directory of conversations for each protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from vx32py._wait import WouldBlock
from vx32py.plan9.chan import Caller, Chan
from vx32py.plan9.devices.ip.conversation import Conversation
from vx32py.plan9.devices.ip.names import Names
from vx32py.plan9.devices.ip.tcp import Tcp
from vx32py.plan9.devices.ip.udp import Udp
from vx32py.plan9.devices.nodes import Folder, Node, SingleDevice, TextFile
from vx32py.plan9.devices.progress import has_written, written
from vx32py.plan9.errors import Enodev, Eperm, Error, Etoobig

if TYPE_CHECKING:
    from vx32py._network import Network

#: So many conversations a protocol has at a time, each with a socket of the host's.
MOST_CONVERSATIONS: Final = 256
_MOST_NDB: Final = 1024
_MOST_CONTROL: Final = 16 << 10
_FILES: Final = ("ctl", "data", "err", "listen", "local", "remote", "status")
#: As files tell them: an address, a mask, and on which interface it is. There is no more than the loopback.
_ROUTES: Final = (
    "127.0.0.0       /104 127.0.0.0       4i   ifc    0\n"
    "127.0.0.1       /128 127.0.0.1       4u   ifc    0\n"
    "::1             /128 ::1             6i   ifc    0\n"
)
_OWN_ADDRESSES: Final = (
    "127.0.0.1                                    01 4u\n::1                                          01 6u\n"
)
_INTERFACE: Final = (
    "device /dev/null maxmtu 16384 sendra 0 recvra 0 mflag 0 oflag 0 maxraint 600000 minraint 200000 linkmtu 0 reachtime 0 "
    "rxmitra 0 ttl 255 routerlt 1800000 pktin 0 pktout 0 errin 0 errout 0\n"
    "\t127.0.0.1                                /104       127.0.0.0                                4294967295   4294967295\n"
    "\t::1                                      /128       ::1                                      4294967295   4294967295\n"
)


class _Query(Node):
    """cs, dns: a question is written, and the answers are read, one at a time."""

    def __init__(self, name: str, ask: Callable[[str], Callable[[], list[str]]]) -> None:
        super().__init__(name, 0o666)
        self._ask = ask

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        state = chan.state
        if not (isinstance(state, _Asked) and state.question == data and state.replies is None):  # not called again
            chan.state = state = _Asked(data, self._ask(data.decode(errors="replace").strip("\0\n ")))
        try:
            state.replies = [line.encode() for line in state.answers()]
        except WouldBlock:
            raise
        except Error:
            chan.state = None
            raise
        return len(data)

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        start = 0
        for reply in (chan.state.replies or ()) if isinstance(chan.state, _Asked) else ():
            if offset < start + len(reply):
                piece: bytes = reply[max(offset - start, 0) :][:count]
                return piece
            start += len(reply)
        return b""


class _Asked:
    """A question that was asked; ``answers`` is called for the answers."""

    __slots__ = ("answers", "question", "replies")

    def __init__(self, question: bytes, answers: Callable[[], list[str]]) -> None:
        self.question = question
        self.answers = answers
        self.replies: list[bytes] | None = None


class _Ndb(TextFile):
    """What programs have found out about the network, and leave there for others."""

    def __init__(self) -> None:
        super().__init__("ndb", lambda _: self.text, None, 0o664)
        self.text = b""

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        if offset > len(self.text) or offset + len(data) >= _MOST_NDB:
            raise Error(Etoobig)
        self.text = self.text[:offset] + data
        return len(data)


class Protocol(Folder):
    """``/net/tcp`` or ``/net/udp``."""

    def __init__(self, kind: type[Conversation], network: Network, device: Ip) -> None:
        super().__init__(kind.protocol)
        self._kind = kind
        self._network = network
        self.device = device
        self.conversations: list[Conversation] = []
        self._folders: list[_Folder] = []
        self.add(_Clone(self))
        self.add(TextFile("stats", lambda _: ""))

    def new(self, user: str) -> Conversation:
        """A conversation that nobody has, with one user. Raises Error."""
        found = next((each for each in self.conversations if not each.users), None)
        if found is None:
            if len(self.conversations) >= MOST_CONVERSATIONS:
                raise Error(Enodev)
            found = self._kind(self._network, len(self.conversations))
            self.conversations.append(found)
            self._folders.append(_Folder(found, self))
        found.open(user)
        return found

    def control(self, conversation: Conversation) -> Node:
        """Its file ctl."""
        return self._folders[conversation.number].nodes["ctl"]

    def child(self, caller: Caller, name: str) -> Node:
        found = next((each for each in self._folders if each.name == name), None)
        return found if found is not None else super().child(caller, name)

    def children(self, caller: Caller) -> Iterable[Node]:
        return (*self.nodes.values(), *self._folders)

    def close(self, chan: Chan) -> None:
        """See Node: a directory that was open."""

    def end(self) -> None:
        """End all conversations."""
        for each in self.conversations:
            each.end()


class _Clone(Node):
    """To open it is to open the ctl of a new conversation."""

    def __init__(self, protocol: Protocol) -> None:
        super().__init__("clone", 0o666)
        self._protocol = protocol

    def parent(self, caller: Caller) -> Node:
        return self._protocol

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        conversation = self._protocol.new(caller.user)
        return _opened(self._protocol, conversation, chan, mode)


def _opened(protocol: Protocol, conversation: Conversation, chan: Chan, mode: int) -> Chan:
    """A channel of a conversation's ctl, which is counted already."""
    node = protocol.control(conversation)
    return Chan(protocol.device, chan.dev, node.qid, node, chan.path).opened(mode)


class _Folder(Folder):
    """``/net/tcp/0``."""

    def __init__(self, conversation: Conversation, protocol: Protocol) -> None:
        super().__init__(str(conversation.number), up=protocol)
        for name in _FILES:
            self.add(_File(name, conversation, self, protocol))


class _File(Node):
    """One of a conversation's."""

    def __init__(self, name: str, conversation: Conversation, folder: _Folder, protocol: Protocol) -> None:
        super().__init__(name, 0o444 if name in {"local", "remote", "status"} else 0o666)
        self._conversation = conversation
        self._folder = folder
        self._protocol = protocol
        self._is_counted = name in {"ctl", "data", "err"}

    def parent(self, caller: Caller) -> Node:
        return self._folder

    def permits(self, caller: Caller, needed: int) -> bool:
        # What somebody has begun is not for others (Plan 9: 0660, and the owner is who began).
        if self.mode & 0o222 and self._conversation.users and caller.user != self._conversation.owner:
            return False
        return super().permits(caller, needed)

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        conversation = self._conversation
        if self.name == "listen":
            called = conversation.accept(lambda: self._protocol.new(caller.user))
            return _opened(self._protocol, called, chan, mode)
        if self._is_counted:
            conversation.open(caller.user)
        return None

    def close(self, chan: Chan) -> None:
        if self._is_counted:
            self._conversation.close()

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        conversation = self._conversation
        if self.name == "data":
            return conversation.receive(count) if count else b""
        if self.name in {"err", "listen"}:
            return b""
        text = {
            "ctl": lambda: str(conversation.number), "local": conversation.local_text, "remote": conversation.remote_text,
            "status": conversation.status,
        }[self.name]()  # fmt: skip
        return text.encode()[offset : offset + count]

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        if self.name == "ctl":
            if len(data) > _MOST_CONTROL:
                raise Error(Etoobig)
            self._conversation.control(caller, data)
            return len(data)
        if self.name != "data":
            raise Error(Eperm)
        if isinstance(self._conversation, Udp):
            return self._conversation.send(data)
        done = written(caller, chan, data)
        while done < len(data):
            done += self._conversation.send(data[done:])
            has_written(caller, chan, data, done)
        return len(data)


class Ip(SingleDevice):
    """The device."""

    def __init__(self, network: Network, hosts: Mapping[str, str], sysname: Callable[[], str]) -> None:
        self.folder = Folder("#I")
        super().__init__("I", self.folder)
        names = Names(hosts, sysname, ask_host=network.everything)
        self.protocols = [Protocol(kind, network, self) for kind in (Tcp, Udp)]
        interfaces = Folder("ipifc")
        interface = Folder("0")
        for node in (
            _Query("cs", names.translate), _Query("dns", names.resolve), _Ndb(), TextFile("iproute", lambda _: _ROUTES),
            TextFile("ipselftab", lambda _: _OWN_ADDRESSES), TextFile("log", lambda _: ""), interfaces, *self.protocols,
        ):  # fmt: skip
            self.folder.add(node)
        interfaces.add(interface)
        interface.add(TextFile("status", lambda _: _INTERFACE))
        interface.add(TextFile("local", lambda _: "127.0.0.1\n::1\n"))

    def close(self) -> None:
        """End all conversations."""
        for protocol in self.protocols:
            protocol.end()
