"""Conversations: what is behind ``/net/tcp/0`` and the like, each a socket of the host's that never waits.

Where a conversation may go is decided here, on the address that is then given to the host. What has to wait raises
:class:`WouldBlock` and is called again.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vx32py._wait import WouldBlock
from vx32py.plan9 import headroom
from vx32py.plan9.devices.ip.addresses import (
    UNSPECIFIED,
    Place,
    family_of,
    of_host,
    parse_place,
    shown,
    to_host,
)
from vx32py.plan9.errors import (
    Econinuse,
    Econrefused,
    Ehungup,
    Eio,
    Enodev,
    Eperm,
    Error,
    Etimedout,
    Etoobig,
)

if TYPE_CHECKING:
    from vx32py._network import Network
    from vx32py.plan9.chan import Caller

_BACKLOG: Final = 64
MOST_READ: Final = 64 << 10
_TEXTS: Final = {
    errno.ECONNREFUSED: Econrefused, errno.ETIMEDOUT: Etimedout, errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "no route", errno.EADDRINUSE: "address in use", errno.EADDRNOTAVAIL: "not a local IP address",
    errno.EACCES: Eperm, errno.EPERM: Eperm, errno.EMSGSIZE: Etoobig, errno.EMFILE: Enodev, errno.ENFILE: Enodev,
    errno.ENOBUFS: Enodev, errno.ECONNRESET: Ehungup, errno.EPIPE: Ehungup, errno.ENOTCONN: Ehungup,
    errno.ECONNABORTED: Ehungup, errno.EBADF: Ehungup,
}  # fmt: skip
IDLE, CONNECTING, CONNECTED, ANNOUNCED, HUNGUP = "Idle", "Connecting", "Connected", "Announced", "Hungup"


def error_of(error: OSError) -> Error:
    """What the host says, in Plan 9's words."""
    return Error(_TEXTS.get(error.errno or 0, Eio))


class Conversation:
    """One; it is used again when nobody has a file of it open any more. ``kind`` is the socket's type."""

    protocol = ""
    kind: int

    def __init__(self, network: Network, number: int) -> None:
        self.network = network
        self.number = number
        self.owner = "network"
        self.users = 0
        self._begin()

    def _begin(self) -> None:
        self.socket: socket.socket | None = None
        self.state = IDLE
        self.headers = False
        self.remote = Place(UNSPECIFIED, 0)
        self._bound: Place | None = None
        #: Who waits for a connection, and what it has said.
        self._asked: tuple[Caller, bytes] | None = None

    # -- who uses it -------------------------------------------------------------------------------------------------

    def open(self, user: str) -> None:
        """One file of it more is open."""
        if not self.users:
            self.owner = user
        self.users += 1

    def close(self) -> None:
        """One less; with the last one it ends."""
        self.users -= 1
        if self.users <= 0:
            self.end()

    def end(self) -> None:
        """It is nobody's any more."""
        host, self.users, self.owner = self.socket, 0, "network"
        self._begin()
        if host is not None:
            host.close()

    def hang_up(self) -> None:
        """Nothing comes and goes any more; who waits for it is told."""
        if self.socket is not None:
            with contextlib.suppress(OSError):  # it may not be connected
                self.socket.shutdown(socket.SHUT_RDWR)
        self.state = HUNGUP

    # -- what the files say ------------------------------------------------------------------------------------------

    @property
    def local(self) -> Place:
        """Its own address."""
        if self.socket is not None:
            try:
                return of_host(self.socket.getsockname())
            except OSError:
                pass
        return self._bound or Place(UNSPECIFIED, 0)

    def local_text(self) -> str:
        """The file ``local``."""
        return shown(self.local)

    def remote_text(self) -> str:
        """The file ``remote``."""
        return shown(self.remote)

    def status(self) -> str:
        """The file ``status``."""
        raise NotImplementedError

    # -- control messages --------------------------------------------------------------------------------------------

    def control(self, caller: Caller, data: bytes) -> None:
        """A message to ``ctl``. Raises Error, WouldBlock."""
        if self._asked == (caller, data):  # called again
            if self.state != CONNECTING:
                raise Error(Ehungup)
            self._await_connection()
            return
        words = data.split(b"\0")[0].decode(errors="replace").split()
        if not words:
            raise Error("short control request")
        word, arguments = words[0], words[1:]
        if word == "connect" and 1 <= len(arguments) <= 2:
            self._connect(parse_place(arguments[0], local=False), arguments[1] if arguments[1:] else None)
            self._asked = caller, data
            self._await_connection()
        elif word == "announce" and len(arguments) == 1:
            self._announce(parse_place(arguments[0], local=True))
        elif word == "bind" and len(arguments) == 1:
            self._bound = parse_place(arguments[0], local=True)
        elif word in {"connect", "announce", "bind"}:
            raise Error(f"bad args to {word}")
        elif word in {"hangup", "close"}:
            self.hang_up()
        elif not self.setting(word, arguments):
            raise Error("unknown control request")

    def setting(self, word: str, arguments: list[str]) -> bool:
        """Something else that can be set; whether there is such a thing. What the host does as it likes is accepted."""
        del arguments
        return word in {"ttl", "tos", "ignoreadvice", "checksum", "maxfragsize"}

    def _new_socket(self, family: int) -> socket.socket:
        if not self.network.may_open(family, self.kind):
            raise Error(Eperm)
        try:
            made = socket.socket(family, self.kind)
        except OSError as error:
            raise error_of(error) from None
        return kept(made)

    def _connect(self, place: Place, local: str | None) -> None:
        """Begin to connect. Raises Error."""
        if self.state != IDLE:
            raise Error(Econinuse)
        address = place.address
        assert address is not None
        family = family_of(address)
        if not self.network.may_connect(family, self.kind, str(address), place.port):
            raise Error(Eperm)
        host = self._new_socket(family)
        try:
            if local is not None or self._bound is not None:
                self._bind(host, parse_place(local, local=True) if local is not None else self._bound)
            self.remote, self.socket, self.state = place, host, CONNECTING
            with contextlib.suppress(BlockingIOError):
                host.connect(to_host(address, place.port, family))
        except (OSError, Error) as error:
            self._no_connection()
            host.close()
            raise (error_of(error) if isinstance(error, OSError) else error) from None

    def _bind(self, host: socket.socket, place: Place | None) -> None:
        """Give a socket that will connect an address of its own. Raises Error, OSError."""
        assert place is not None
        anything = "0.0.0.0" if host.family == socket.AF_INET else "::"  # noqa: S104
        address = str(place.address) if place.address is not None and int(place.address) else anything
        if not self.network.may_bind(host.family, self.kind, address, place.port):
            raise Error(Eperm)
        host.bind((address, place.port))

    def _await_connection(self) -> None:
        """Wait until it is connected. Raises Error, WouldBlock."""
        host = self.socket
        assert host is not None
        if not is_ready(host, select.POLLOUT):
            raise self.wait(host, select.POLLOUT)
        failure = host.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            self._no_connection()
            host.close()
            raise error_of(OSError(failure, ""))
        self.state, self._asked = CONNECTED, None

    def _no_connection(self) -> None:
        self.socket, self.state, self._asked, self.remote = None, IDLE, None, Place(UNSPECIFIED, 0)

    def _announce(self, place: Place) -> None:
        """Take calls, or datagrams. Raises Error."""
        if self.state != IDLE:
            raise Error(Econinuse)
        failure = Error(Eperm)
        for family, address, both in self._candidates(place):
            if not self._may_listen(family, address, place.port, both=both):
                continue
            try:
                self.socket = self._listening(family, address, place.port, both=both)
            except OSError as error:
                failure = error_of(error)
            except Error as error:
                failure = error
            else:
                self.state = ANNOUNCED
                return
        raise failure

    def _may_listen(self, family: int, address: str, port: int, *, both: bool) -> bool:
        may = self.network.may_listen if self.kind == socket.SOCK_STREAM else self.network.may_bind
        return may(family, self.kind, address, port) and (
            not both or may(socket.AF_INET, self.kind, "0.0.0.0", port)  # noqa: S104
        )

    def _candidates(self, place: Place) -> list[tuple[int, str, bool]]:
        """Where to listen: families, addresses, and whether IPv4 comes there, too. For all addresses, these are all
        that there are, or else, which most programs cannot say, those that are granted."""
        address = place.address
        if address is not None and int(address):
            return [(family_of(address), str(address), False)]
        granted = [block.network_address for rule in self.network.rules if rule.listen for block in rule.blocks
                   if block.num_addresses == 1]  # fmt: skip
        return [
            (socket.AF_INET6, "::", True), (socket.AF_INET, "0.0.0.0", False), (socket.AF_INET6, "::", False),  # noqa: S104
            *((family_of(each), str(each), False) for each in granted),
        ]  # fmt: skip

    def _listening(self, family: int, address: str, port: int, *, both: bool) -> socket.socket:
        host = self._new_socket(family)
        try:
            if self.kind == socket.SOCK_STREAM:
                host.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                host.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
            host.bind((address, port))
            if self.kind == socket.SOCK_STREAM:
                host.listen(_BACKLOG)
        except BaseException:
            host.close()
            raise
        return host

    # -- data --------------------------------------------------------------------------------------------------------

    def accept(self, other: Callable[[], Conversation]) -> Conversation:
        """Take a call: the conversation of it, which ``other`` makes. Raises Error, WouldBlock."""
        raise Error("listen not supported")

    def receive(self, count: int) -> bytes:
        """What has come. Raises Error, WouldBlock."""
        raise NotImplementedError

    def send(self, data: bytes) -> int:
        """Send it, or some of it. Raises Error, WouldBlock."""
        raise NotImplementedError

    def flowing(self, *states: str) -> socket.socket:
        """The socket, if data can come and go. Raises Error."""
        if self.socket is None or self.state not in states:
            raise Error(Ehungup)
        return self.socket

    def wait(self, host: socket.socket, events: int) -> WouldBlock:
        """What to raise to wait for the host, or for the end of the conversation."""
        state = self.state
        return WouldBlock(
            lambda: self.socket is not host or self.state != state or is_ready(host, events),
            fds=[(host.fileno(), events)],
        )


def kept(host: socket.socket) -> socket.socket:
    """A socket for a conversation. Raises Error where the host has not enough descriptors left."""
    if not headroom.is_spare(host.fileno()):
        host.close()
        raise Error(Enodev)
    host.setblocking(False)
    return host


def is_ready(host: socket.socket, events: int) -> bool:
    """Whether something can be done, or has gone wrong, with a socket."""
    if host.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(host.fileno(), events)
    return bool(poll.poll(0))
