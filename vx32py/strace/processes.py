"""Arguments of calls about processes and threads as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py.strace.decode import MANY, clone_flags, detail, short_hex, shows
from vx32py.strace.flags import names, signal_name
from vx32py.strace.frame import Frame, pointer, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py.personality.linux.calls import Parameter

_NO_LIMIT32: Final = 0xFFFF_FFFF
_NO_LIMIT64: Final = (1 << 64) - 1
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


MANY.update({"clone": _clone, "clone_rest": _clone_rest})


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
    parts += [
        f"exit_signal={signal_name(signal) if signal else 0}",
        f"stack={pointer(stack)}",
        f"stack_size={short_hex(size)}",
    ]
    parts += [f"tls={pointer(tls)}"] if flags & 0x80000 else []
    return f"{{{', '.join(parts)}}}"


@shows("user_desc")
def _descriptor(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("4I", value) if value else None
    if fields is None:
        return pointer(value)
    entry, base, limit, bits = fields
    return (
        f"{{entry_number={signed(entry)}, base_addr={short_hex(base)}, limit={limit:#08x}, seg_32bit={bits & 1}, "
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
        return [names("dumpable").value(value)]
    if option in {15, 16}:
        return [frame.string(value) if value and not (option == 16 and frame.failed) else pointer(value)]
    return [str(value) if value < 0x10000 else f"{value:#x}"]


def _prctl_rest(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    option = detail(frame, parameter)
    if option in _PRCTL_ONE or option in _PRCTL_NONE - {39}:
        return []
    return [f"{value:#x}" if value else "0"]


MANY.update({"prctl_argument": _prctl_argument, "prctl_rest": _prctl_rest})


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

#: Operations that there are.
_FUTEX_KNOWN: Final = frozenset(range(14))
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
        if operation not in _FUTEX_KNOWN:
            return pointer(value)
        if operation in _FUTEX_MOVES:
            return str(value)
        if operation not in _FUTEX_WAITS:
            return None
        fields = frame.unpack(layout, value) if value else None
        return f"{{tv_sec={fields[0]}, tv_nsec={fields[1]}}}" if fields is not None else pointer(value)

    return shown


def _futex_third(frame: Frame, operation: int, value: int) -> str | None:
    if operation in {9, 10}:
        return "FUTEX_BITSET_MATCH_ANY" if value == 0xFFFF_FFFF else short_hex(value)
    if operation in {4, 12}:
        return str(value)
    if operation not in _FUTEX_KNOWN:
        return short_hex(value)
    if operation != 5:
        return None
    act, compare = names("futex_act").value(value >> 28 & 7), names("futex_compare").value(value >> 24 & 15)
    shift = "FUTEX_OP_OPARG_SHIFT<<28|" if value >> 31 else ""
    return f"{shift}{act}<<28|{short_hex(value >> 12 & 0xFFF)}<<12|{compare}<<24|{short_hex(value & 0xFFF)}"


MANY.update(
    {
        "futex_value": _futex_part(lambda frame, operation, value: None if operation in {6, 7, 8, 13} else str(value)),
        "futex_timeout": _futex_part(_futex_time("iI")),
        "futex_timeout64": _futex_part(_futex_time("qI")),
        "futex_addr2": _futex_part(
            lambda frame, operation, value: (
                pointer(value) if operation in _FUTEX_MOVES | {11} or operation not in _FUTEX_KNOWN else None
            )
        ),
        "futex_value3": _futex_part(_futex_third),
    }
)
