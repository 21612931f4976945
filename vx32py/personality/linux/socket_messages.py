"""The structures of sockets on i386: addresses, messages and what goes along with them (include/linux/socket.h)."""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from reference.records import dataclass
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._sockets import MSG_CTRUNC, MSG_TRUNC
from vx32py._unix_sockets import drop_rights
from vx32py.personality import common

if TYPE_CHECKING:
    from vx32py._process import Process

#: struct msghdr: name and its length, buffers and how many, control data and its length, flags.
MSGHDR: Final = struct.Struct("<7I")
#: struct mmsghdr: one of these and how much was sent or received.
MMSGHDR_BYTES: Final = MSGHDR.size + 4
#: struct cmsghdr: its length with what follows, level, type.
CMSGHDR: Final = struct.Struct("<Iii")
SOL_SOCKET, SCM_RIGHTS, SCM_CREDENTIALS = 1, 1, 2
MSG_CMSG_CLOEXEC: Final = 0x4000_0000
#: sizeof(struct sockaddr_storage), and net.core.optmem_max.
MOST_ADDRESS: Final = 128
MOST_CONTROL: Final = 20480


@dataclass(frozen=True, slots=True)
class Message:
    """A struct msghdr, copied out, with its buffers."""

    name: int
    name_length: int
    buffers: list[tuple[int, int]]
    control: int
    control_length: int

    @classmethod
    def at(cls, process: Process, address: int) -> Message:
        """The one at an address. Raises CallError."""
        name, name_length, vector, count, control, control_length, _ = MSGHDR.unpack(
            process.memory.read(address, MSGHDR.size)
        )
        if count > common.MAX_VECTOR:
            raise CallError(errno.EMSGSIZE)
        if name_length & 0x8000_0000:
            raise CallError(errno.EINVAL)
        buffers = common.vector_argument(process, vector, count)
        return cls(name, min(name_length, MOST_ADDRESS), buffers, control, control_length)


def address_argument(process: Process, address: int, length: int) -> bytes:
    """A struct sockaddr, copied out. Raises CallError(EINVAL)."""
    if length > MOST_ADDRESS:
        raise CallError(errno.EINVAL)
    return process.memory.read(address, length) if length else b""


def store_address(process: Process, raw: bytes, address_out: int, length_at: int) -> None:
    """Store as much of a struct sockaddr as there is room for, and how long it is. Raises CallError(EINVAL)."""
    if not address_out:
        return
    room = process.memory.read_u32(length_at)
    if room & 0x8000_0000:
        raise CallError(errno.EINVAL)
    process.memory.write(address_out, raw[:room])
    process.memory.write_u32(length_at, len(raw))


def files_sent_along(process: Process, message: Message) -> list[OpenFile]:
    """The open files that a message takes along. Raises CallError."""
    if not message.control or not message.control_length:
        return []
    if message.control_length > MOST_CONTROL:
        raise CallError(errno.ENOBUFS)
    data = process.memory.read(message.control, message.control_length)
    files: list[OpenFile] = []
    at = 0
    while at + CMSGHDR.size <= len(data):
        length, level, kind = CMSGHDR.unpack_from(data, at)
        if not CMSGHDR.size <= length <= len(data) - at:
            raise CallError(errno.EINVAL)
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            body = data[at + CMSGHDR.size : at + length]
            fds = struct.unpack(f"<{len(body) // 4}I", body[: len(body) & -4])
            files += [process.descriptors.get(fd) for fd in fds]
        elif level == SOL_SOCKET and kind != SCM_CREDENTIALS:
            raise CallError(errno.EINVAL)
        at += length + 3 & -4
    return files


def store_files(process: Process, files: list[OpenFile], control: int, room: int, flags: int) -> tuple[int, int]:
    """Install files that were received, and say which descriptors they have at ``control``: how much of that is used, and
    MSG_CTRUNC where there was no room for all of them."""
    if not files:
        return 0, 0
    fds: list[int] = []
    places = max(room - CMSGHDR.size, 0) // 4 if control else 0
    with suppress(CallError):  # as many as there may be
        fds.extend(
            process.descriptors.install(file, close_on_exec=bool(flags & MSG_CMSG_CLOEXEC)) for file in files[:places]
        )
    drop_rights(files)
    if not fds:
        return 0, MSG_CTRUNC
    length = CMSGHDR.size + 4 * len(fds)
    process.memory.write(control, CMSGHDR.pack(length, SOL_SOCKET, SCM_RIGHTS) + struct.pack(f"<{len(fds)}I", *fds))
    return min(length, room), MSG_CTRUNC if len(fds) < len(files) else 0


def told_flags(flags: int, told: int) -> int:
    """What recvmsg says in msg_flags."""
    return told & (MSG_TRUNC | MSG_CTRUNC) | flags & MSG_CMSG_CLOEXEC


def nonblocking_flag(flags: int) -> int:
    """The file flags of SOCK_NONBLOCK and SOCK_CLOEXEC that a file keeps."""
    return flags & os.O_NONBLOCK
