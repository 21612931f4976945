"""UDP: datagrams to and from one place, or all places. What comes from all places has a header that says whence, or is a call
from each of them, to be listened to."""

from __future__ import annotations

import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vx32py._wait import WouldBlock
from vx32py.plan9.devices.ip.addresses import (
    IPV6_BYTES,
    UNSPECIFIED,
    Address,
    Place,
    family_of,
    of_host,
    pack_address,
    to_host,
    unpack_address,
)  # fmt: skip
from vx32py.plan9.devices.ip.conversation import (
    ANNOUNCED,
    CONNECTED,
    HUNGUP,
    MOST_READ,
    Conversation,
    error_of,
    is_ready,
    kept,
)  # fmt: skip
from vx32py.plan9.errors import Eperm, Error, Eshort

if TYPE_CHECKING:
    from vx32py._network import Network

#: The addresses of its sender, its receiver and the interface, and the ports of the first two (ip(3), Udphdr).
_HEADER: Final = struct.Struct("!16s16s16sHH")
#: So many callers wait to be listened to, with so many datagrams each; the same number waits for one who is listened to. More
#: are lost.
_MOST_CALLERS: Final = 32
_MOST_WAITING: Final = 64


class _Callers:
    """Those who send to an announced conversation: ``calls`` are listened to, ``waiting`` are not yet."""

    def __init__(self) -> None:
        self.calls: dict[Place, Udp] = {}
        self.waiting: dict[Place, deque[bytes]] = {}

    def take(self, host: socket.socket) -> None:
        """Give the next datagram to whom it is for. Raises BlockingIOError, OSError."""
        data, name = host.recvfrom(MOST_READ)
        place = of_host(name)
        call = self.calls.get(place)
        if call is not None:
            queue = call.queue
        elif place in self.waiting or len(self.waiting) < _MOST_CALLERS:
            queue = self.waiting.setdefault(place, deque())
        else:
            return
        if len(queue) < _MOST_WAITING:
            queue.append(data)


class Udp(Conversation):
    """A conversation of datagrams."""

    protocol = "udp"
    kind = socket.SOCK_DGRAM

    def __init__(self, network: Network, number: int) -> None:
        #: What has come from the one whose call it is.
        self.queue: deque[bytes] = deque()
        self._callers: _Callers | None = None
        super().__init__(network, number)

    def end(self) -> None:
        if self._callers is not None and self._callers.calls.get(self.remote) is self:
            del self._callers.calls[self.remote]
        self._callers, self.queue = None, deque()
        super().end()

    def hang_up(self) -> None:
        self.state = HUNGUP  # the socket may be others', too

    def status(self) -> str:
        return f"{'Open' if self.users and self.state != HUNGUP else 'Closed'} qin {sum(map(len, self.queue))} qout 0\n"

    def setting(self, word: str, arguments: list[str]) -> bool:
        if word == "headers":
            self.headers = True
            return True
        return super().setting(word, arguments)

    def accept(self, other: Callable[[], Conversation]) -> Conversation:
        if self.state != ANNOUNCED or self.socket is None or self.headers:
            raise Error("listen hungup" if self.state == HUNGUP else "not announced")
        if self._callers is None:
            self._callers = _Callers()
        callers = self._callers
        self._take(callers, lambda: bool(callers.waiting))
        made = other()
        assert isinstance(made, Udp)
        place = next(iter(callers.waiting))
        try:
            made.socket = kept(self.socket.dup())
        except (OSError, Error) as error:
            made.close()
            raise (error_of(error) if isinstance(error, OSError) else error) from None
        made.state, made.remote, made._callers = CONNECTED, place, callers  # noqa: SLF001
        made.queue = callers.waiting.pop(place)
        callers.calls[place] = made
        return made

    def _take(self, callers: _Callers, done: Callable[[], bool]) -> None:
        """Take datagrams until there is one that was waited for. Raises Error, WouldBlock."""
        host = self.socket
        assert host is not None
        try:
            while not done():
                callers.take(host)
        except BlockingIOError:
            state = self.state
            raise WouldBlock(
                lambda: self.socket is not host or self.state != state or done() or is_ready(host, select.POLLIN),
                fds=[(host.fileno(), select.POLLIN)],
            ) from None
        except OSError as error:
            raise error_of(error) from None

    def receive(self, count: int) -> bytes:
        if self.state == HUNGUP:
            return b""
        host = self.flowing(CONNECTED, ANNOUNCED)
        if self.state == ANNOUNCED and not self.headers:
            raise Error("datagrams from everybody need headers, or to be listened to")
        if self._callers is not None and self.state == CONNECTED:
            self._take(self._callers, lambda: bool(self.queue))
            return self._told(self.queue.popleft(), self.remote)[:count]
        try:
            data, name = host.recvfrom(MOST_READ)
        except BlockingIOError:
            raise self.wait(host, select.POLLIN) from None
        except OSError as error:
            raise error_of(error) from None
        return self._told(data, of_host(name) if name else self.remote)[:count]

    def _told(self, data: bytes, remote: Place) -> bytes:
        """A datagram with its header, if there is to be one."""
        if not self.headers:
            return data
        local = self.local
        return _HEADER.pack(_packed(remote), _packed(local), bytes(IPV6_BYTES), remote.port, local.port) + data

    def send(self, data: bytes) -> int:
        host = self.flowing(CONNECTED, ANNOUNCED)
        if not self.headers and self.state != CONNECTED:
            raise Error("datagrams to anybody need headers")
        if self.headers and len(data) < _HEADER.size:
            raise Error(Eshort)
        place, start = self.remote, _HEADER.size if self.headers else 0
        if self.headers and self.state == ANNOUNCED:
            packed, _, _, port, _ = _HEADER.unpack_from(data)
            place = Place(unpack_address(packed), port)
        try:
            if self.state == CONNECTED and self._callers is None:
                host.send(data[start:])
            else:
                self._send_to(host, place, data[start:])
        except BlockingIOError:
            raise self.wait(host, select.POLLOUT) from None
        except OSError as error:
            raise error_of(error) from None
        return len(data)

    def _send_to(self, host: socket.socket, place: Place, data: bytes) -> None:
        address = place.address
        assert address is not None
        if not self.network.may_connect(family_of(address), self.kind, str(address), place.port):
            raise Error(Eperm)
        host.sendto(data, to_host(address, place.port, host.family))


def _packed(place: Place) -> bytes:
    address: Address = place.address if place.address is not None else UNSPECIFIED
    return pack_address(address)
