"""Options of sockets: those that are passed on to the host's socket, and those that are answered here."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from vx32py._descriptors import GUEST_ID
from vx32py._errors import CallError
from vx32py._sockets import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM, Socket
from vx32py._unix_sockets import UnixSocket
from vx32py.personality.linux import layouts

if TYPE_CHECKING:
    import _socket

    from vx32py._process import Process

SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6 = 1, 0, 6, 41
SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_DONTROUTE, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE = range(2, 10)
SO_OOBINLINE, SO_LINGER, SO_REUSEPORT, SO_PASSCRED, SO_PEERCRED, SO_RCVLOWAT = 10, 13, 15, 16, 17, 18
SO_TIMES: Final = {20: False, 21: False, 66: True, 67: True}  # SO_RCVTIMEO, SO_SNDTIMEO, and with 64 bits
SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN = 30, 38, 39

#: Numbers that are passed on, by level. What buffers may grow to is the host's to say (net.core.rmem_max).
_GENERAL: Final = frozenset({SO_REUSEADDR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE, SO_RCVLOWAT,
                             SO_REUSEPORT, 12})  # fmt: skip
_TCP: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 18})  # TCP_NODELAY … TCP_USER_TIMEOUT
_IP: Final = frozenset({1, 2, 10, 11})  # IP_TOS, IP_TTL, IP_MTU_DISCOVER, IP_RECVERR
_IPV6: Final = frozenset({16, 23, 25, 26, 67})  # UNICAST_HOPS, MTU_DISCOVER, RECVERR, V6ONLY, TCLASS
_LINGER: Final = struct.Struct("<ii")
_MOST_TIME: Final = 1 << 32


def set_option(process: Process, socket: Socket, level: int, name: int, value: int, length: int) -> None:
    """setsockopt(2). Raises CallError."""
    if length & 0x8000_0000:
        raise CallError(errno.EINVAL)
    _check_level(socket, level)
    if level == SOL_SOCKET and name in SO_TIMES:
        _set_time(process, socket, name, value, length)
        return
    if level == SOL_SOCKET and name == SO_LINGER:
        raw = _copied(process, value, length, _LINGER.size)
    elif level == SOL_SOCKET and name == SO_PASSCRED and socket.family == AF_UNIX:
        _copied(process, value, length, 4)
        return
    elif _passed_on(socket, level, name):
        raw = _copied(process, value, length, 4)
    else:
        raise CallError(errno.ENOPROTOOPT)
    try:
        _host(socket).setsockopt(level, name, raw)
    except OSError as error:
        raise CallError(error.errno or errno.EINVAL) from error


def get_option(process: Process, socket: Socket, level: int, name: int) -> bytes:
    """getsockopt(2): the option's value. Raises CallError."""
    _check_level(socket, level)
    if level == SOL_SOCKET:
        answer = {
            SO_TYPE: socket.kind,
            SO_DOMAIN: socket.family,
            SO_PROTOCOL: _protocol(socket),
            SO_ACCEPTCONN: int(socket.listening),
        }.get(name)
        if answer is not None:
            return answer.to_bytes(4, "little")
        if name in SO_TIMES:
            return _time(socket, name)
        if name == SO_PEERCRED:
            pid = socket.peer_process if isinstance(socket, UnixSocket) else 0
            user = GUEST_ID if pid else 0xFFFF_FFFF
            return struct.pack("<III", pid, user, user)
        if name == SO_PASSCRED and socket.family == AF_UNIX:
            return bytes(4)
    size = _LINGER.size if (level, name) == (SOL_SOCKET, SO_LINGER) else 4
    if size == 4 and (level, name) != (SOL_SOCKET, SO_ERROR) and not _passed_on(socket, level, name):
        raise CallError(errno.ENOPROTOOPT)
    try:
        return _host(socket).getsockopt(level, name, size)
    except OSError as error:
        raise CallError(error.errno or errno.EINVAL) from error


def _check_level(socket: Socket, level: int) -> None:
    if socket.family == AF_UNIX and level != SOL_SOCKET:
        raise CallError(errno.EOPNOTSUPP)


def _host(socket: Socket) -> _socket.socket:
    """The host's socket that has the options."""
    return socket.plain if isinstance(socket, UnixSocket) and socket.plain is not None else socket.host


def _protocol(socket: Socket) -> int:
    if socket.family == AF_UNIX:
        return 0
    return {SOCK_STREAM: 6, SOCK_DGRAM: 17}[socket.kind]


def _passed_on(socket: Socket, level: int, name: int) -> bool:
    if level == SOL_SOCKET:
        return name in _GENERAL
    if level == IPPROTO_TCP:
        return socket.family in (AF_INET, AF_INET6) and socket.kind == SOCK_STREAM and name in _TCP
    if level == IPPROTO_IP:
        return socket.family in (AF_INET, AF_INET6) and name in _IP
    return level == IPPROTO_IPV6 and socket.family == AF_INET6 and name in _IPV6


def _copied(process: Process, value: int, length: int, size: int) -> bytes:
    if length < size:
        raise CallError(errno.EINVAL)
    return process.memory.read(value, size)


def _time_layout(name: int) -> struct.Struct:
    return struct.Struct("<qq") if SO_TIMES[name] else layouts.TIMEVAL


def _set_time(process: Process, socket: Socket, name: int, value: int, length: int) -> None:
    layout = _time_layout(name)
    seconds, microseconds = layout.unpack(_copied(process, value, length, layout.size))
    if not 0 <= microseconds < 10**6:
        raise CallError(errno.EDOM)
    timeout = None if not (seconds or microseconds) or seconds > _MOST_TIME else max(seconds, 0) + microseconds / 1e6
    if name in (20, 66):
        socket.receive_timeout = timeout
    else:
        socket.send_timeout = timeout


def _time(socket: Socket, name: int) -> bytes:
    timeout = (socket.receive_timeout if name in (20, 66) else socket.send_timeout) or 0.0
    seconds, part = divmod(round(timeout * 10**6), 10**6)
    return _time_layout(name).pack(min(seconds, 0x7FFF_FFFF), part)
