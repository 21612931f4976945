"""Arguments of calls about processes, threads, descriptors and waiting for several of them, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vx32py.strace.decode import AFTER, MANY, SHOWS, clone_flags, detail, shows
from vx32py.strace.flags import names, signal_name
from vx32py.strace.frame import Frame, pointer, quoted, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py.personality.linux.calls import Parameter

_NO_LIMIT32: Final = 0xFFFF_FFFF
_NO_LIMIT64: Final = (1 << 64) - 1
_MOST_DESCRIPTORS: Final = 1024
_PRIVATE, _REALTIME = 0x80, 0x100


# -- processes ---------------------------------------------------------------------------------------------------


def wait_status(status: int) -> str:
    """What became of a process, in the words of wait(2).

    >>> wait_status(0x300), wait_status(9)
    ('WIFEXITED(s) && WEXITSTATUS(s) == 3', 'WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL')
    """
    if status == 0xFFFF:
        return "WIFCONTINUED(s)"
    signal, code = status & 0x7F, status >> 8 & 0xFF
    if not signal:
        return f"WIFEXITED(s) && WEXITSTATUS(s) == {code}"
    if signal == 0x7F:
        return f"WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(code)}"
    return f"WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(signal)}" + (" && WCOREDUMP(s)" if status & 0x80 else "")


@shows("wait_status")
def _wait_status(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("I", value) if value and frame.result is not None and frame.result > 0 else None
    return f"[{{{wait_status(fields[0])}}}]" if fields is not None else pointer(value)


def _clone(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    return [f"child_stack={pointer(frame.values['stack'])}", f"flags={clone_flags(value)}"]


def _clone_rest(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    flags, parts = frame.values["flags"], []
    if flags & 0x101000:  # CLONE_PARENT_SETTID, CLONE_PIDFD
        fields = frame.unpack("i", value) if not frame.failed else None
        parts.append(f"parent_tid={f'[{fields[0]}]' if fields is not None else pointer(value)}")
    if flags & 0x80000:
        parts.append(f"tls={_descriptor(frame, parameter, frame.values['tls'])}")
    if flags & 0x1200000:
        parts.append(f"child_tidptr={pointer(frame.values['child_tid'])}")
    return parts


MANY |= {"clone": _clone, "clone_rest": _clone_rest}


@shows("clone_args")
def _clone_arguments(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("8Q", value) if value else None
    if fields is None:
        return pointer(value)
    flags, pidfd, child, parent, signal, stack, size, tls = fields
    parts = [f"flags={names('clone_bits').flags(flags)}"]
    parts += [f"pidfd={pointer(pidfd)}"] if flags & 0x1000 else []
    parts += [f"child_tid={pointer(child)}"] if flags & 0x1200000 else []
    parts += [f"parent_tid={pointer(parent)}"] if flags & 0x100000 else []
    parts += [f"exit_signal={signal_name(signal) if signal else 0}", f"stack={pointer(stack)}", f"stack_size={size:#x}"]
    parts += [f"tls={pointer(tls)}"] if flags & 0x80000 else []
    return f"{{{', '.join(parts)}}}"


@shows("user_desc")
def _descriptor(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("4I", value) if value else None
    if fields is None:
        return pointer(value)
    entry, base, limit, bits = fields
    return (
        f"{{entry_number={signed(entry)}, base_addr={f'{base:#010x}' if base else '0'}, limit={limit:#08x}, seg_32bit={bits & 1}, "
        f"contents={bits >> 1 & 3}, read_exec_only={bits >> 3 & 1}, limit_in_pages={bits >> 4 & 1}, "
        f"seg_not_present={bits >> 5 & 1}, useable={bits >> 6 & 1}}}"
    )


def _limit(value: int, none: int) -> str:
    if value == none:
        return "RLIM_INFINITY" if none == _NO_LIMIT32 else "RLIM64_INFINITY"
    return f"{value // 1024}*1024" if value > 1024 and value % 1024 == 0 else str(value)


@shows("rlimits32", "rlimits64")
def _limits(frame: Frame, parameter: Parameter, value: int) -> str:
    layout, none = ("II", _NO_LIMIT32) if parameter.type == "rlimits32" else ("QQ", _NO_LIMIT64)
    fields = frame.unpack(layout, value) if value and not (parameter.written and frame.failed) else None
    if fields is None:
        return pointer(value)
    return f"{{rlim_cur={_limit(fields[0], none)}, rlim_max={_limit(fields[1], none)}}}"


@shows("cpu_set")
def _processors(frame: Frame, parameter: Parameter, value: int) -> str:
    if frame.failed and parameter.written:
        return pointer(value)
    data = frame.read(value, min(detail(frame, parameter), 128)) if value else None
    if data is None:
        return pointer(value)
    bits = int.from_bytes(data, "little")
    return f"[{' '.join(str(n) for n in range(len(data) * 8) if bits >> n & 1)}]"


_PRCTL_TEXT: Final = {15: True, 16: True}
#: Options without arguments, and with one.
_PRCTL_NONE: Final = frozenset({3, 7, 21, 27, 30, 36, 39})
_PRCTL_ONE: Final = frozenset({1, 2, 4, 8, 15, 16, 23, 24, 25, 26, 28, 29, 36, 37, 40})


def _prctl_argument(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    option = detail(frame, parameter)
    if option in {3, 7, 21, 27, 30}:
        return []
    if option == 1:
        return [signal_name(value)]
    if option == 4:
        return [{0: "SUID_DUMP_DISABLE", 1: "SUID_DUMP_USER", 2: "SUID_DUMP_ROOT"}.get(value, f"{value:#x}")]
    if option in {15, 16}:
        return [frame.string(value) if value and not frame.failed else pointer(value)]
    return [str(value) if value < 0x10000 else f"{value:#x}"]


def _prctl_rest(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    option = detail(frame, parameter)
    if option in _PRCTL_ONE or option in _PRCTL_NONE - {39}:
        return []
    return [f"{value:#x}" if value else "0"]


MANY |= {"prctl_argument": _prctl_argument, "prctl_rest": _prctl_rest}


@shows("cap_header")
def _cap_header(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("Ii", value) if value else None
    if fields is None:
        return pointer(value)
    versions = {0x19980330: "_LINUX_CAPABILITY_VERSION_1", 0x20071026: "_LINUX_CAPABILITY_VERSION_2",
                0x20080522: "_LINUX_CAPABILITY_VERSION_3"}  # fmt: skip
    version = versions.get(fields[0], f"{fields[0]:#x} /* _LINUX_CAPABILITY_VERSION_??? */")
    return f"{{version={version}, pid={fields[1]}}}"


@shows("cap_data")
def _cap_data(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("6I", value) if value and not frame.failed else None
    if fields is None:
        return pointer(value)
    low, high = names("capability_low"), names("capability_high")
    words = []
    for index, name in enumerate(("effective", "permitted", "inheritable")):
        first, second = fields[index], fields[index + 3]
        text = low.flags(first) if first else ""
        text += ("|" if text and second else "") + (high.flags(second) if second else "")
        words.append(f"{name}={text or '0'}")
    return f"{{{', '.join(words)}}}"


# -- threads -----------------------------------------------------------------------------------------------------

_FUTEX_WAITS: Final = frozenset({0, 6, 9, 11, 13})
_FUTEX_MOVES: Final = frozenset({3, 4, 5, 12})


@shows("futex_op")
def _futex_operation(frame: Frame, parameter: Parameter, value: int) -> str:
    plain = names("futex_op").value(value & ~(_PRIVATE | _REALTIME))
    head, comment = (plain, "") if "/*" not in plain else (f"{value:#x}", " /* FUTEX_??? */")
    if comment:
        return head + comment
    return head + ("_PRIVATE" if value & _PRIVATE else "") + ("|FUTEX_CLOCK_REALTIME" if value & _REALTIME else "")


def _futex_part(show: Callable[[Frame, int, int], str | None]) -> Callable[[Frame, Parameter, int], list[str]]:
    def shown(frame: Frame, parameter: Parameter, value: int) -> list[str]:
        text = show(frame, detail(frame, parameter) & ~(_PRIVATE | _REALTIME), value)
        return [] if text is None else [text]

    return shown


def _futex_time(layout: str) -> Callable[[Frame, int, int], str | None]:
    def shown(frame: Frame, operation: int, value: int) -> str | None:
        if operation in _FUTEX_MOVES:
            return str(value)
        if operation not in _FUTEX_WAITS:
            return None
        fields = frame.unpack(layout, value) if value else None
        return f"{{tv_sec={fields[0]}, tv_nsec={fields[1]}}}" if fields is not None else pointer(value)

    return shown


def _futex_third(frame: Frame, operation: int, value: int) -> str | None:
    if operation in {9, 10}:
        return "FUTEX_BITSET_MATCH_ANY" if value == 0xFFFF_FFFF else f"{value:#x}"
    if operation in {4, 12}:
        return str(value)
    return f"{value:#x}" if operation == 5 else None


MANY |= {
    "futex_value": _futex_part(lambda frame, operation, value: None if operation in {6, 7, 8, 13} else str(value)),
    "futex_timeout": _futex_part(_futex_time("iI")),
    "futex_timeout64": _futex_part(_futex_time("qI")),
    "futex_addr2": _futex_part(
        lambda frame, operation, value: pointer(value) if operation in _FUTEX_MOVES | {11} else None
    ),
    "futex_value3": _futex_part(_futex_third),
}


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
    fields = frame.unpack("3I", value) if value else None
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
    return f"_IOC({directions[value >> 30]}, {kind:#x}, {number:#x}, {size:#x})"


_IOCTL_NONE: Final = frozenset({"FIOCLEX", "FIONCLEX", "TIOCEXCL", "TIOCNXCL", "TIOCNOTTY"})
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
    return [_terminal(frame, value)] if name == "TCGETS" and not frame.failed else [f"{value:#x}" if value else "0"]


def _terminal(frame: Frame, value: int) -> str:
    """A struct termios: the words that people look for."""
    fields = frame.unpack("4I", value)
    if fields is None:
        return pointer(value)
    local = fields[3]
    words = [f"{'' if local & bit else '-'}{name}" for name, bit in (("isig", 1), ("icanon", 2), ("echo", 8))]
    return f"{{{'' if fields[1] & 1 else '-'}opost {' '.join(words)} ...}}"


MANY |= {"fcntl_argument": _fcntl_argument, "ioctl_argument": _ioctl_argument}


# -- arguments in memory -----------------------------------------------------------------------------------------


def _old_mmap(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    fields = frame.unpack("6I", value) if value else None
    if fields is None:
        return [pointer(value)]
    address, length, protection, flags, fd, offset = fields
    return [
        pointer(address), str(length), names("protection").flags(protection), SHOWS["mmap"](frame, parameter, flags),
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


MANY |= {"old_mmap": _old_mmap, "old_select": _old_select}
