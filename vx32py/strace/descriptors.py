"""Arguments of calls that wait for several descriptors, of fcntl and ioctl, and of calls that have theirs in memory, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vx32py.strace.decode import MANY, SHOWS, detail, short_hex, shows
from vx32py.strace.flags import names, signal_name
from vx32py.strace.frame import Frame, pointer, signed

if TYPE_CHECKING:
    from vx32py.personality.linux.calls import Parameter

_MOST_DESCRIPTORS: Final = 1024


# -- waiting for several descriptors -----------------------------------------------------------------------------


@shows("pollfds")
def _pollfds(frame: Frame, parameter: Parameter, value: int) -> str:
    def one(fd: int, events: int, revents: int) -> str:
        return f"{{fd={fd}, events={names('poll_bits').flags(events)}}}" if fd >= 0 else f"{{fd={fd}}}"

    return frame.array(value, min(detail(frame, parameter), _MOST_DESCRIPTORS), "iHH", one)


def descriptors_of(frame: Frame, address: int, count: int) -> list[int] | None:
    """The members of an fd_set, or None."""
    count = min(max(signed(count), 0), _MOST_DESCRIPTORS)
    data = frame.read(address, (count + 31) // 32 * 4) if address else None
    if data is None:
        return None
    bits = int.from_bytes(data, "little")
    return [n for n in range(count) if bits >> n & 1]


@shows("fd_set")
def _fd_set(frame: Frame, parameter: Parameter, value: int) -> str:
    found = descriptors_of(frame, value, detail(frame, parameter))
    return f"[{' '.join(map(str, found))}]" if found is not None else pointer(value)


def _epoll_event(events: int, low: int, high: int) -> str:
    return f"{{events={names('epoll_event_bits').flags(events)}, data={{u32={low}, u64={high << 32 | low}}}}}"


@shows("epoll_event")
def _one_event(frame: Frame, parameter: Parameter, value: int) -> str:
    wanted = value and frame.values.get("operation") != 2  # EPOLL_CTL_DEL
    fields = frame.unpack("3I", value) if wanted else None
    return _epoll_event(*fields) if fields is not None else pointer(value)


@shows("epoll_events")
def _events(frame: Frame, parameter: Parameter, value: int) -> str:
    return pointer(value) if frame.failed else frame.array(value, detail(frame, parameter), "3I", _epoll_event)


# -- fcntl and ioctl ---------------------------------------------------------------------------------------------

_SET_NUMBER: Final = frozenset({0, 8, 1030, 1031})
_NO_ARGUMENT: Final = frozenset({1, 3, 9, 11, 1025, 1032, 1034})


def _fcntl_argument(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    command = detail(frame, parameter)
    if command in _NO_ARGUMENT:
        return []
    if command in _SET_NUMBER:
        return [str(signed(value))]
    if command == 2:
        return [names("fd_bits").flags(value)]
    if command == 4:
        return [SHOWS["open"](frame, parameter, value)]
    if command in {5, 6, 7, 12, 13, 14, 36, 37, 38}:
        return [_lock(frame, value, "hhii" if command < 12 else "hhqq", reply=command in {5, 12, 36})]
    if command == 1033:
        return [names("seals").flags(value)]
    if command == 1026:
        return [names("notify").flags(value)]
    if command == 1024:
        return [names("lock_type").value(value)]
    if command == 10:
        return [signal_name(value) if value else "0"]
    return [f"{value:#x}" if value else "0"]


def _lock(frame: Frame, address: int, layout: str, *, reply: bool) -> str:
    fields = frame.unpack(layout, address) if address and not (reply and frame.failed) else None
    if fields is None:
        return pointer(address)
    kind, whence, start, length = fields
    text = f"l_type={names('lock_type').value(kind)}, l_whence={names('seek').value(whence)}, l_start={start}, l_len={length}"
    if reply:
        found = frame.unpack("i", address + (12 if layout == "hhii" else 20))
        text += f", l_pid={found[0] if found else 0}"
    return f"{{{text}}}"


@shows("ioctl")
def _ioctl(frame: Frame, parameter: Parameter, value: int) -> str:
    known = names("ioctl").value(value)
    if not known.startswith("0x"):
        return known
    directions = ("_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE")
    kind, number, size = value >> 8 & 0xFF, value & 0xFF, value >> 16 & 0x3FFF
    return f"_IOC({directions[value >> 30]}, {short_hex(kind)}, {short_hex(number)}, {short_hex(size)})"


_IOCTL_NONE: Final = frozenset({"FIOCLEX", "FIONCLEX", "TIOCEXCL", "TIOCNXCL", "TIOCNOTTY"})
_IOCTL_VALUE: Final = frozenset({"TCSBRK", "TCSBRKP", "TCXONC", "TCFLSH", "TIOCSCTTY"})
_IOCTL_IN: Final = frozenset({"FIONBIO", "FIOASYNC", "TIOCSPGRP", "TIOCSPTLCK", "TIOCSETD"})
_IOCTL_OUT: Final = frozenset({"FIONREAD", "TIOCGPGRP", "TIOCGSID", "TIOCOUTQ", "TIOCGPTN", "TIOCGETD", "SIOCATMARK"})


def _ioctl_argument(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    name = names("ioctl").value(detail(frame, parameter))
    if name in _IOCTL_NONE:
        return []
    if name in _IOCTL_IN or (name in _IOCTL_OUT and not frame.failed):
        fields = frame.unpack("i", value) if value else None
        return [f"[{fields[0]}]" if fields is not None else pointer(value)]
    if name in {"TIOCGWINSZ", "TIOCSWINSZ"} and not frame.failed:
        fields = frame.unpack("4H", value)
        if fields is not None:
            return ["{{ws_row={}, ws_col={}, ws_xpixel={}, ws_ypixel={}}}".format(*fields)]
    if name in _IOCTL_VALUE:
        return [str(signed(value))]
    if name == "TCGETS" and not frame.failed:
        return [_terminal(frame, value)]
    return [short_hex(value) if name.startswith("0x") else pointer(value)]


def _terminal(frame: Frame, value: int) -> str:
    """A struct termios: the words that people look for."""
    fields = frame.unpack("4I", value)
    if fields is None:
        return pointer(value)
    local = fields[3]
    words = [f"{'' if local & bit else '-'}{name}" for name, bit in (("isig", 1), ("icanon", 2), ("echo", 8))]
    return f"{{{'' if fields[1] & 1 else '-'}opost {' '.join(words)} ...}}"


MANY.update({"fcntl_argument": _fcntl_argument, "ioctl_argument": _ioctl_argument})


# -- arguments in memory -----------------------------------------------------------------------------------------


def _old_mmap(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    fields = frame.unpack("6I", value) if value else None
    if fields is None:
        return [pointer(value)]
    address, length, protection, flags, fd, offset = fields
    return [
        pointer(address), str(length), SHOWS["protection"](frame, parameter, protection), SHOWS["mmap"](frame, parameter, flags),
        str(signed(fd)), f"{offset:#x}" if offset else "0",
    ]  # fmt: skip


def _old_select(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    fields = frame.unpack("5I", value) if value else None
    if fields is None:
        return [pointer(value)]
    frame.values |= dict(zip(("nfds", "readfds", "writefds", "exceptfds", "timeout"), fields, strict=True))
    sets: list[Any] = [descriptors_of(frame, address, fields[0]) for address in fields[1:4]]
    shown = [
        pointer(address) if found is None else f"[{' '.join(map(str, found))}]"
        for found, address in zip(sets, fields[1:4], strict=True)
    ]
    return [str(signed(fields[0])), *shown, SHOWS["timeval"](frame, parameter, fields[4])]


MANY.update({"old_mmap": _old_mmap, "old_select": _old_select})
