"""Arguments of calls on sockets as text, and the calls behind socketcall."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from vx32py.personality.linux.calls import KnownCall
from vx32py.strace.decode import SHOWS, detail, shows
from vx32py.strace.flags import error_text, is_known, names
from vx32py.strace.frame import Frame, pointer, quoted, signed

if TYPE_CHECKING:
    from vx32py.personality.linux.calls import Parameter

_LONGEST: Final = 128
_MOST_VECTORS: Final = 1024


# -- addresses ---------------------------------------------------------------------------------------------------


def address(data: bytes) -> str:
    """A struct sockaddr.

    >>> address(bytes.fromhex("02000050 7f000001 0000000000000000"))
    '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}'
    """
    if len(data) < 2:
        return quoted(data)
    (family,) = struct.unpack_from("<H", data)
    parts = [f"sa_family={names('af').value(family)}"]
    if family == socket.AF_INET and len(data) >= 8:
        (port,) = struct.unpack_from(">H", data, 2)
        parts += [f"sin_port=htons({port})", f'sin_addr=inet_addr("{socket.inet_ntop(socket.AF_INET, data[4:8])}")']
    elif family == socket.AF_INET6 and len(data) >= 24:
        port, flow = struct.unpack_from(">HI", data, 2)
        text = socket.inet_ntop(socket.AF_INET6, data[8:24])
        scope = struct.unpack_from("<I", data, 24)[0] if len(data) >= 28 else 0
        parts += [
            f"sin6_port=htons({port})",
            f"sin6_flowinfo=htonl({flow})",
            f'inet_pton(AF_INET6, "{text}", &sin6_addr)',
        ]
        parts.append(f"sin6_scope_id={scope}")
    elif family == socket.AF_UNIX:
        path = data[2:]
        if path[:1] == b"\0":
            parts.append(f"sun_path=@{quoted(path[1:])}")
        elif path:
            name = path.partition(b"\0")[0]
            parts.append(f"sun_path={quoted(name)}")
    else:
        parts.append(f"sa_data={quoted(data[2:])}")
    return f"{{{', '.join(parts)}}}"


@shows("sockaddr")
def _address(frame: Frame, parameter: Parameter, value: int) -> str:
    data = frame.read(value, min(detail(frame, parameter), _LONGEST)) if value else None
    return address(data) if data is not None else pointer(value)


@shows("sockaddr_at")
def _address_at(frame: Frame, parameter: Parameter, value: int) -> str:
    if frame.failed or not value:
        return pointer(value)
    length = frame.unpack("I", detail(frame, parameter))
    room = frame.notes.get("room", _LONGEST)
    data = frame.read(value, min(length[0], room, _LONGEST)) if length is not None else None
    return address(data) if data is not None else pointer(value)


# -- messages ----------------------------------------------------------------------------------------------------


def _message(frame: Frame, fields: tuple[int, ...], count: int | None) -> str:
    name, name_length, vectors, vector_count, control, control_length, flags = fields
    data = frame.read(name, min(name_length, _LONGEST)) if name else None
    left = count

    def one(base: int, length: int) -> str:
        nonlocal left
        shown = length if left is None else min(length, left)
        if left is not None:
            left -= shown
        return f"{{iov_base={frame.bytes(base, shown)}, iov_len={length}}}"

    parts = [
        f"msg_name={address(data) if data is not None else pointer(name)}",
        f"msg_namelen={signed(name_length)}",
        f"msg_iov={frame.array(vectors, min(vector_count, _MOST_VECTORS), 'II', one)}",
        f"msg_iovlen={vector_count}",
    ]
    if control and control_length:
        parts.append(f"msg_control={_control(frame, control, control_length)}")
    parts += [f"msg_controllen={control_length}", f"msg_flags={names('msg').flags(flags)}"]
    return f"{{{', '.join(parts)}}}"


def _control(frame: Frame, where: int, length: int) -> str:
    end = where + min(length, 4096)
    found: list[str] = []
    while where + 12 <= end and len(found) < frame.limit:
        fields = frame.unpack("Iii", where)
        if fields is None or fields[0] < 12:
            break
        size, level, kind = fields
        text = f"cmsg_len={size}, cmsg_level={names('socket_level').value(level)}, cmsg_type="
        if level == socket.SOL_SOCKET and kind == 1:
            fds = frame.read(where + 12, min(size - 12, 1024) & -4) or b""
            text += f"SCM_RIGHTS, cmsg_data=[{', '.join(str(fd) for (fd,) in struct.iter_unpack('<i', fds))}]"
        elif level == socket.SOL_SOCKET and kind == 2:
            credentials = frame.unpack("iII", where + 12) or (0, 0, 0)
            text += "SCM_CREDENTIALS, cmsg_data={{pid={}, uid={}, gid={}}}".format(*credentials)
        else:
            text += f"{kind:#x}"
        found.append(f"{{{text}}}")
        where += (size + 3) & -4
    return f"[{', '.join(found)}]" if found else pointer(where)


@shows("msghdr")
def _msghdr(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("7I", value) if value else None
    if fields is None:
        return pointer(value)
    if parameter.written and frame.failed:
        return f"{{msg_namelen={signed(fields[1])}}}"
    return _message(frame, fields, frame.result if parameter.written else None)


@shows("mmsghdrs")
def _mmsghdrs(frame: Frame, parameter: Parameter, value: int) -> str:
    if parameter.written and frame.failed:
        return pointer(value)

    def one(*fields: int) -> str:
        length = fields[7]
        text = _message(frame, fields[:7], length if parameter.written else None)
        return f"{{msg_hdr={text}, msg_len={length}}}" if parameter.written else f"{{msg_hdr={text}}}"

    return frame.array(value, min(detail(frame, parameter), 1024), "8I", one)


# -- kinds and options -------------------------------------------------------------------------------------------


@shows("socket_type")
def _type(frame: Frame, parameter: Parameter, value: int) -> str:
    if not value:
        return "0"
    text, bits = names("sock").value(value & 0xF), value & ~0xF
    if text.startswith("0x"):
        return f"{value:#x} /* SOCK_??? */"
    return f"{text}|{names('socket_flags').flags(bits)}" if bits else text


@shows("protocol")
def _protocol(frame: Frame, parameter: Parameter, value: int) -> str:
    if detail(frame, parameter) in {socket.AF_INET, socket.AF_INET6}:
        return names("ip_protocol").value(value)
    return str(signed(value))


@shows("socket_option")
def _option(frame: Frame, parameter: Parameter, value: int) -> str:
    kind = f"option_{detail(frame, parameter)}"
    return names(kind).value(value) if is_known(kind) else str(value)


@shows("option_value")
def _option_value(frame: Frame, parameter: Parameter, value: int) -> str:
    if frame.failed and parameter.written:
        return pointer(value)
    length = detail(frame, parameter)
    if parameter.written:
        fields = frame.unpack("I", length)
        length = fields[0] if fields is not None else 0
    option = frame.values.get("option", 0) if frame.values.get("level") == socket.SOL_SOCKET else 0
    words = _OPTION_WORDS.get(option)
    if words is not None and (parameter.written or length >= 4 * len(words)):
        return _cut_words(frame, value, length, words)
    if option in {20, 21} and length == 8:
        return SHOWS["timeval"](frame, parameter, value)
    if length == 4 and value:
        fields = frame.unpack("i", value)
        if fields is None:
            return pointer(value)
        is_error = option == socket.SO_ERROR and parameter.written and fields[0]
        return f"[{error_text(fields[0]).partition(' ')[0] if is_error else fields[0]}]"
    return frame.bytes(value, min(length, 4096))


#: Options of sockets whose values are structures of words.
_OPTION_WORDS: Final = {
    socket.SO_LINGER: ("l_onoff", "l_linger"),
    socket.SO_PEERCRED: ("pid", "uid", "gid"),
}


def _cut_words(frame: Frame, where: int, length: int, words: tuple[str, ...]) -> str:
    """As much of a structure as the length gives."""
    fields = frame.unpack(f"{min(length // 4, len(words))}i", where) if where else None
    if not fields:
        return pointer(where)
    return f"{{{', '.join(f'{name}={value}' for name, value in zip(words, fields, strict=False))}}}"


# -- socketcall --------------------------------------------------------------------------------------------------

_ADDRESS_OUT: Final = ">addr:sockaddr_at[length] <>length:length_at"
_BEHIND: Final = {
    1: "socket", 2: "bind", 3: "connect", 4: "listen", 6: "getsockname", 7: "getpeername", 8: "socketpair", 11: "sendto",
    12: "recvfrom", 13: "shutdown", 14: "setsockopt", 15: "getsockopt", 16: "sendmsg", 17: "recvmsg", 18: "accept4",
    19: "recvmmsg", 20: "sendmmsg",
}  # fmt: skip
#: Calls that are there only behind socketcall.
_OLD: Final = {
    5: KnownCall(f"0 accept sockets fd fd {_ADDRESS_OUT}"),
    9: KnownCall("0 send sockets count fd buf:bytes[count] count:size flags:msg"),
    10: KnownCall("0 recv sockets count fd >buf:bytes[=] count:size flags:msg"),
}


def behind(number: int, calls: dict[int, KnownCall]) -> KnownCall | None:
    """The call that a socketcall stands for."""
    name = _BEHIND.get(number)
    return next((call for call in calls.values() if call.name == name), None) if name else _OLD.get(number)
