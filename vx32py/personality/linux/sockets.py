"""Sockets: the calls, directly and through socketcall.

Local sockets reach other processes of the family and nobody else; TCP and UDP need a network that the sandbox grants. All
others do not exist, netlink among them.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vx32py._errors import CallError
from vx32py._sockets import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    InetSocket,
    Socket,
)  # fmt: skip
from vx32py._unix_sockets import UnixSocket, drop_rights
from vx32py._wait import WouldBlock
from vx32py.personality import common
from vx32py.personality.linux import files, socket_options
from vx32py.personality.linux.layouts import timespec
from vx32py.personality.linux.socket_messages import (
    MMSGHDR_BYTES,
    MSGHDR,
    Message,
    address_argument,
    files_sent_along,
    nonblocking_flag,
    store_address,
    store_files,
    told_flags,
)  # fmt: skip
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._process import Process

TYPE_MASK: Final = 0xF
MSG_OOB, MSG_WAITFORONE = 0x1, 0x10000
_TYPES: Final = frozenset({SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET})


@call(359, "socket")
def socket(process: Process, family: int, kind: int, protocol: int) -> int:
    """A new socket."""
    flags, kind = _type_and_flags(kind)
    made: Socket
    if family == AF_UNIX:
        if protocol not in (0, AF_UNIX):
            raise CallError(errno.EPROTONOSUPPORT)
        if kind not in _TYPES:
            raise CallError(errno.ESOCKTNOSUPPORT)
        made = UnixSocket.make(kind, nonblocking_flag(flags))
    elif family in (AF_INET, AF_INET6):
        network = process.sandbox.network
        if kind == SOCK_RAW:
            raise CallError(errno.EPERM)
        if kind not in (SOCK_STREAM, SOCK_DGRAM):
            raise CallError(errno.ESOCKTNOSUPPORT)
        if protocol not in (0, 6 if kind == SOCK_STREAM else 17):
            raise CallError(errno.EPROTONOSUPPORT)
        if not network.may_open(family, kind, protocol):
            raise CallError(errno.EACCES)
        made = InetSocket.make(network, family, kind, protocol, nonblocking_flag(flags))
    else:
        raise CallError(errno.EAFNOSUPPORT)
    return process.descriptors.install(made, close_on_exec=bool(flags & os.O_CLOEXEC))


def _type_and_flags(kind: int) -> tuple[int, int]:
    flags = kind & ~TYPE_MASK
    if flags & ~(os.O_NONBLOCK | os.O_CLOEXEC):
        raise CallError(errno.EINVAL)
    return flags, kind & TYPE_MASK


def _socket(process: Process, fd: int) -> Socket:
    file = process.descriptors.get(fd)
    if not isinstance(file, Socket):
        raise CallError(errno.ENOTSOCK)
    return file


@call(360, "socketpair")
def socketpair(process: Process, family: int, kind: int, protocol: int, fds_out: int) -> None:
    """Two connected local sockets."""
    flags, kind = _type_and_flags(kind)
    if family in (AF_INET, AF_INET6):
        raise CallError(errno.EOPNOTSUPP)
    if family != AF_UNIX:
        raise CallError(errno.EAFNOSUPPORT)
    if protocol not in (0, AF_UNIX):
        raise CallError(errno.EPROTONOSUPPORT)
    if kind not in _TYPES:
        raise CallError(errno.ESOCKTNOSUPPORT)
    process.memory.check(fds_out, 8, writable=True)
    one, other = UnixSocket.pair(kind, nonblocking_flag(flags), process.pid)
    try:
        first = process.descriptors.install(one, close_on_exec=bool(flags & os.O_CLOEXEC))
    except CallError:
        other.close()
        raise
    try:
        second = process.descriptors.install(other, close_on_exec=bool(flags & os.O_CLOEXEC))
    except CallError:
        process.descriptors.close(first)
        raise
    process.memory.write(fds_out, struct.pack("<II", first, second))


@call(361, "bind")
def bind(process: Process, fd: int, address: int, length: int) -> None:
    """Give a socket a name."""
    _socket(process, fd).bind(address_argument(process, address, length), process)


@call(362, "connect")
def connect(process: Process, fd: int, address: int, length: int) -> None:
    """Connect a socket."""
    _socket(process, fd).connect(address_argument(process, address, length), process)


@call(363, "listen")
def listen(process: Process, fd: int, backlog: int) -> None:
    """Let a socket take connections."""
    _socket(process, fd).listen(min(backlog, 4096), process)


def accept(process: Process, fd: int, address_out: int, length_at: int) -> int:
    """Take a connection. Only socketcall has it on i386."""
    return accept4(process, fd, address_out, length_at, 0)


@call(364, "accept4")
def accept4(process: Process, fd: int, address_out: int, length_at: int, flags: int) -> int:
    """The same with flags."""
    if flags & ~(os.O_NONBLOCK | os.O_CLOEXEC):
        raise CallError(errno.EINVAL)
    listener = _socket(process, fd)
    if address_out:
        process.memory.check(length_at, 4, writable=True)
    accepted, address = listener.accept(nonblocking_flag(flags), process)
    new = process.descriptors.install(accepted, close_on_exec=bool(flags & os.O_CLOEXEC))
    try:
        store_address(process, address, address_out, length_at)
    except BaseException:
        process.descriptors.close(new)
        raise
    return new


@call(367, "getsockname")
def getsockname(process: Process, fd: int, address_out: int, length_at: int) -> None:
    """A socket's name."""
    address = _socket(process, fd).own_address()
    _require(process, address_out)
    store_address(process, address, address_out, length_at)


@call(368, "getpeername")
def getpeername(process: Process, fd: int, address_out: int, length_at: int) -> None:
    """The name of the other end."""
    address = _socket(process, fd).peer_address()
    _require(process, address_out)
    store_address(process, address, address_out, length_at)


def _require(process: Process, address: int) -> None:
    process.memory.check(address, 1, writable=True)


@call(373, "shutdown")
def shutdown(process: Process, fd: int, how: int) -> None:
    """Close a socket for reading, writing, or both."""
    found = _socket(process, fd)
    if how > 2:
        raise CallError(errno.EINVAL)
    found.shutdown(how)


@call(366, "setsockopt")
def setsockopt(process: Process, fd: int, level: int, name: int, value: int, length: int) -> None:
    """Set an option."""
    socket_options.set_option(process, _socket(process, fd), level, name, value, length)


@call(365, "getsockopt")
def getsockopt(process: Process, fd: int, level: int, name: int, value_out: int, length_at: int) -> None:
    """Get an option."""
    found = _socket(process, fd)
    room = process.memory.read_u32(length_at)
    if room & 0x8000_0000:
        raise CallError(errno.EINVAL)
    value = socket_options.get_option(process, found, level, name)[:room]
    process.memory.check(length_at, 4, writable=True)
    process.memory.write(value_out, value)
    process.memory.write_u32(length_at, len(value))


# -- data ------------------------------------------------------------------------------------------------------------


def send(process: Process, fd: int, data: int, length: int, flags: int) -> int:
    """Send to the other end."""
    return sendto(process, fd, data, length, flags, 0)


@call(369, "sendto")
def sendto(
    process: Process, fd: int, data: int, length: int, flags: int, address: int = 0, address_length: int = 0
) -> int:
    """Send, perhaps to an address."""
    found = _socket(process, fd)
    target = address_argument(process, address, address_length) if address else None
    return _send(process, found, [(data, min(length, common.MAX_TRANSFER))], flags, target, [])


@call(370, "sendmsg")
def sendmsg(process: Process, fd: int, message: int, flags: int) -> int:
    """Send several buffers, an address, open files."""
    return _send_message(process, _socket(process, fd), message, flags)


def _send_message(process: Process, found: Socket, at: int, flags: int) -> int:
    message = Message.at(process, at)
    target = None
    if message.name and message.name_length:
        target = address_argument(process, message.name, message.name_length)
    return _send(process, found, message.buffers, flags, target, files_sent_along(process, message))


def _send(
    process: Process,
    found: Socket,
    buffers: list[tuple[int, int]],
    flags: int,
    target: bytes | None,
    rights: list[OpenFile],
) -> int:
    if flags & MSG_OOB:
        raise CallError(errno.EOPNOTSUPP)
    if target is not None and found.kind != SOCK_DGRAM:
        if isinstance(found, UnixSocket) and found.kind == SOCK_STREAM:
            raise CallError(errno.EISCONN if found.peer_name is not None else errno.EOPNOTSUPP)
        target = None
    common.check_vector(process, buffers, writable=False)
    views = [process.memory.view(address, length) for address, length in buffers]
    try:
        return found.send(views, flags, process, target, rights)
    except CallError as error:
        if flags & MSG_NOSIGNAL or found.kind == SOCK_DGRAM:
            raise
        raise files.broken_pipe(process, error) from None
    finally:
        for view in views:
            view.release()


@call(345, "sendmmsg")
def sendmmsg(process: Process, fd: int, messages: int, count: int, flags: int) -> int:
    """Send several messages; how many."""
    found, sent = _socket(process, fd), process.progress
    for index in range(min(count, common.MAX_VECTOR)):
        at = messages + index * MMSGHDR_BYTES
        try:
            length = _send_message(process, found, at, flags | (MSG_DONTWAIT if index else 0))
        except CallError:
            if not index:
                raise
            return index
        process.memory.write_u32(at + MSGHDR.size, length)
        sent = index + 1
    return sent


def recv(process: Process, fd: int, buffer: int, length: int, flags: int) -> int:
    """Receive from the other end."""
    return recvfrom(process, fd, buffer, length, flags, 0)


@call(371, "recvfrom")
def recvfrom(
    process: Process, fd: int, buffer: int, length: int, flags: int, address_out: int = 0, length_at: int = 0
) -> int:
    """Receive, and be told from whom."""
    found = _socket(process, fd)
    if flags & MSG_OOB:
        raise CallError(errno.EINVAL)
    if address_out:
        process.memory.check(length_at, 4, writable=True)
    with process.memory.view(buffer, min(length, common.MAX_TRANSFER), writable=True) as view:
        count, (address, rights, _) = found.receive([view], flags, process)
    drop_rights(rights)
    store_address(process, address or b"", address_out, length_at)
    return count


@call(372, "recvmsg")
def recvmsg(process: Process, fd: int, message: int, flags: int) -> int:
    """Receive into several buffers, with the address and open files that came along."""
    return _receive_message(process, _socket(process, fd), message, flags)


def _receive_message(process: Process, found: Socket, at: int, flags: int) -> int:
    message = Message.at(process, at)
    if flags & MSG_OOB:
        raise CallError(errno.EINVAL)
    process.memory.check(at, MSGHDR.size, writable=True)
    common.check_vector(process, message.buffers, writable=True)
    if message.name:
        process.memory.check(message.name, message.name_length, writable=True)
    if message.control:
        process.memory.check(message.control, message.control_length, writable=True)
    views = [process.memory.view(address, length, writable=True) for address, length in message.buffers]
    try:
        count, (address, rights, told) = found.receive(views, flags, process)
    finally:
        for view in views:
            view.release()
    used, truncated = store_files(process, rights, message.control, message.control_length, flags)
    address = address or b""
    if message.name:
        process.memory.write(message.name, address[: message.name_length])
    process.memory.write_u32(at + 4, len(address) if message.name else 0)
    process.memory.write_u32(at + 20, used)
    process.memory.write_u32(at + 24, told_flags(flags, told | truncated))
    return count


@call(337, "recvmmsg")
def recvmmsg(process: Process, fd: int, messages: int, count: int, flags: int, timeout: int) -> int:
    """Receive several messages; how many."""
    return _receive_several(process, fd, messages, count, flags, timespec(process, timeout))


@call(417, "recvmmsg_time64")
def recvmmsg_time64(process: Process, fd: int, messages: int, count: int, flags: int, timeout: int) -> int:
    """The same with a 64-bit timespec."""
    return _receive_several(process, fd, messages, count, flags, timespec(process, timeout, wide=True))


def _receive_several(process: Process, fd: int, messages: int, count: int, flags: int, seconds: float | None) -> int:
    """The kernel looks at the time-out after each message only (recvmmsg(2), BUGS)."""
    found = _socket(process, fd)
    index: int = process.kept or 0
    while index < min(count, common.MAX_VECTOR):
        at = messages + index * MMSGHDR_BYTES
        wait = MSG_DONTWAIT if index and flags & MSG_WAITFORONE else 0
        try:
            length = _receive_message(process, found, at, flags & ~MSG_WAITFORONE | wait)
        except CallError:
            if not index:
                raise
            break
        except WouldBlock:
            process.kept = index
            raise
        process.progress = 0
        process.memory.write_u32(at + MSGHDR.size, length)
        index += 1
        if seconds is not None and process.wait(seconds) <= 0:
            break
    return index


#: socketcall: call number → how many arguments, and who takes them (net/socket.c).
_THROUGH: Final[dict[int, tuple[int, Callable[..., Any]]]] = {
    1: (3, socket), 2: (3, bind), 3: (3, connect), 4: (2, listen), 5: (3, accept), 6: (3, getsockname),
    7: (3, getpeername), 8: (4, socketpair), 9: (4, send), 10: (4, recv), 11: (6, sendto), 12: (6, recvfrom),
    13: (2, shutdown), 14: (5, setsockopt), 15: (5, getsockopt), 16: (3, sendmsg), 17: (3, recvmsg), 18: (4, accept4),
    19: (5, recvmmsg), 20: (4, sendmmsg),
}  # fmt: skip


@call(102, "socketcall")
def socketcall(process: Process, number: int, arguments: int) -> int:
    """All of these by number, with their arguments in memory."""
    found = _THROUGH.get(number)
    if found is None:
        raise CallError(errno.EINVAL)
    count, handler = found
    result = handler(process, *struct.unpack(f"<{count}I", process.memory.read(arguments, 4 * count)))
    return result or 0
