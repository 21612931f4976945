"""Structures of files, time and signals as text. The layouts are those of i386 (include/uapi and arch/x86 of Linux)."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vx32py.strace.decode import SHOWS, detail, device, file_mode, octal, shows
from vx32py.strace.flags import names, short_signal_name, signal_name
from vx32py.strace.frame import pointer, quoted, signed

if TYPE_CHECKING:
    from vx32py.personality.linux.calls import Parameter
    from vx32py.strace.frame import Frame

_UTIME_NOW: Final = 0x3FFF_FFFF
_UTIME_OMIT: Final = 0x3FFF_FFFE
_WORD64: Final = (1 << 64) - 1


def _structure(kind: str, layout: str, form: str) -> None:
    """A type that is a structure: its fields go into ``form``."""

    def shown(frame: Frame, parameter: Parameter, value: int) -> str:
        fields = frame.unpack(layout, value) if value and not (parameter.written and frame.failed) else None
        return form.format(*fields) if fields is not None else pointer(value)

    SHOWS[kind] = shown


# -- time --------------------------------------------------------------------------------------------------------

_SPEC: Final = "{{tv_sec={}, tv_nsec={}}}"
_VALUE: Final = "{{tv_sec={}, tv_usec={}}}"
_structure("timespec", "iI", _SPEC)
_structure("timespec64", "qI4x", _SPEC)
_structure("timeval", "ii", _VALUE)
_structure("timezone", "ii", "{{tz_minuteswest={}, tz_dsttime={}}}")
_structure("itimerval", "4i", f"{{{{it_interval={_VALUE}, it_value={_VALUE}}}}}")
_structure("itimerspec", "iIiI", f"{{{{it_interval={_SPEC}, it_value={_SPEC}}}}}")
_structure("itimerspec64", "qI4xqI4x", f"{{{{it_interval={_SPEC}, it_value={_SPEC}}}}}")
_structure("tms", "4i", "{{tms_utime={}, tms_stime={}, tms_cutime={}, tms_cstime={}}}")
_structure("rusage", "4i", f"{{{{ru_utime={_VALUE}, ru_stime={_VALUE}, ...}}}}")
_structure("sched_param", "i", "[{}]")
SHOWS["select_timeval"] = SHOWS["timeval"]


@shows("timespec_left", "timespec64_left")
def _left(frame: Frame, parameter: Parameter, value: int) -> str:
    """What is left of a sleep: written where it was interrupted."""
    if frame.result != -4:  # EINTR
        return pointer(value)
    fields = frame.unpack("iI" if parameter.type == "timespec_left" else "qI", value)
    return _SPEC.format(*fields) if fields is not None else pointer(value)


def date(seconds: int, fraction: str = "") -> str:
    """A time as a date, in UTC; nothing where it is none.

    >>> date(1)
    '1970-01-01T00:00:01+0000'
    """
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}+0000"


def _comment(text: str) -> str:
    return f" /* {text} */" if text else ""


def _one_timespec(seconds: int, nanoseconds: int) -> str:
    if nanoseconds == _UTIME_NOW:
        return "UTIME_NOW"
    if nanoseconds == _UTIME_OMIT:
        return "UTIME_OMIT"
    fraction = f".{nanoseconds:09}" if nanoseconds else ""
    return _SPEC.format(seconds, nanoseconds) + _comment(date(seconds, fraction))


@shows("timespecs", "timespecs64")
def _timespecs(frame: Frame, parameter: Parameter, value: int) -> str:
    return frame.array(value, 2, "iI" if parameter.type == "timespecs" else "qI4x", _one_timespec)


@shows("timevals")
def _timevals(frame: Frame, parameter: Parameter, value: int) -> str:
    def one(seconds: int, microseconds: int) -> str:
        fraction = f".{microseconds:06}" if microseconds else ""
        return _VALUE.format(seconds, microseconds) + _comment(date(seconds, fraction))

    return frame.array(value, 2, "ii", one)


@shows("utimbuf")
def _utimbuf(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("ii", value) if value else None
    if fields is None:
        return pointer(value)
    access, change = (f"{seconds}{_comment(date(seconds))}" for seconds in fields)
    return f"{{actime={access}, modtime={change}}}"


@shows("time32")
def _time(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("i", value) if value and not frame.failed else None
    return f"[{fields[0]}{_comment(date(fields[0]))}]" if fields is not None else pointer(value)


# -- files -------------------------------------------------------------------------------------------------------


def _status(mode: int, size: int, rdev: int, prefix: str = "st") -> str:
    which = f"{prefix}_rdev={device(rdev)}" if mode >> 12 & 15 in {2, 6} else f"{prefix}_size={size}"
    return f"{prefix}_mode={file_mode(mode)}, {which}, ..."


def _stat(kind: str, layout: str) -> None:
    """A form of stat: ``layout`` has the mode, the device and the size."""

    def shown(frame: Frame, parameter: Parameter, value: int) -> str:
        fields = frame.unpack(layout, value) if value and not frame.failed else None
        if fields is None:
            return pointer(value)
        mode, rdev, size = fields
        return f"{{{_status(mode, size, rdev)}}}"

    SHOWS[kind] = shown


_stat("stat64", "16xI12xQ4xq")
_stat("old_stat", "8xH6xH2xI")


@shows("statx")
def _statx(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("I4xQ12xH10xQ80xII", value) if value and not frame.failed else None
    if fields is None:
        return pointer(value)
    mask, attributes, mode, size, major, minor = fields
    status = _status(mode, size, major << 8 | minor & 0xFF | (minor & ~0xFF) << 12, "stx")
    attribute_names = names("statx_attributes").flags(attributes)
    return f"{{stx_mask={names('statx_mask').flags(mask)}, stx_attributes={attribute_names}, {status}}}"


@shows("open_how")
def _open_how(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("QQQ", value) if value else None
    if fields is None:
        return pointer(value)
    flags, mode, resolve = fields
    parts = [f"flags={SHOWS['open'](frame, parameter, flags)}"]
    if mode or flags & 0x40:
        parts.append(f"mode={octal(mode)}")
    parts.append(f"resolve={names('resolve').flags(resolve)}")
    return f"{{{', '.join(parts)}}}"


@shows("statfs", "statfs64")
def _statfs(frame: Frame, parameter: Parameter, value: int) -> str:
    long = parameter.type == "statfs64"
    layout = "2I5Q2i3I" if long else "7I2i3I"
    fields = frame.unpack(layout, value) if value and not frame.failed else None
    if fields is None:
        return pointer(value)
    kind, bsize, blocks, free, available, files, ffree, low, high, longest, fragment, flags = fields
    return (
        f"{{f_type={names('filesystem').value(kind)}, f_bsize={bsize}, f_blocks={blocks}, f_bfree={free}, f_bavail={available}, "
        f"f_files={files}, f_ffree={ffree}, f_fsid={{val=[{low & 0xFFFFFFFF:#x}, {high & 0xFFFFFFFF:#x}]}}, "
        f"f_namelen={longest}, f_frsize={fragment}, f_flags={names('mount_state').flags(flags)}}}"
    )


@shows("dents", "dents64")
def _entries(frame: Frame, parameter: Parameter, value: int) -> str:
    if frame.failed or not value:
        return pointer(value)
    where, end, count = value, value + detail(frame, parameter), 0
    length_at = 16 if parameter.type == "dents64" else 8
    while where < end:
        length = frame.unpack("H", where + length_at)
        if length is None or length[0] == 0:
            break
        where, count = where + length[0], count + 1
    return f"{pointer(value)} /* {count} entries */"


@shows("utsname", "old_utsname")
def _names(frame: Frame, parameter: Parameter, value: int) -> str:
    width = 65 if parameter.type == "utsname" else 9
    data = frame.read(value, 2 * width) if value and not frame.failed else None
    if data is None:
        return pointer(value)
    system, node = (quoted(data[start : start + width].partition(b"\0")[0]) for start in (0, width))
    return f"{{sysname={system}, nodename={node}, ...}}"


@shows("sysinfo")
def _sysinfo(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("i3I6IHH2II", value) if value and not frame.failed else None
    if fields is None:
        return pointer(value)
    up, a, b, c, total, free, shared, buffers, swap, freeswap, processes, _, high, freehigh, unit = fields
    return (
        f"{{uptime={up}, loads=[{a}, {b}, {c}], totalram={total}, freeram={free}, sharedram={shared}, bufferram={buffers}, "
        f"totalswap={swap}, freeswap={freeswap}, procs={processes}, totalhigh={high}, freehigh={freehigh}, mem_unit={unit}}}"
    )


# -- signals -----------------------------------------------------------------------------------------------------


def signal_set(bits: int, signals: int = 64) -> str:
    """A set of signals; what is not in it where that is less.

    >>> signal_set(0x4002), signal_set((1 << 64) - 2)
    ('[INT TERM]', '~[HUP]')
    """
    inverted = bits.bit_count() >= signals * 2 // 3
    shown = ~bits & ((1 << signals) - 1) if inverted else bits
    members = " ".join(short_signal_name(n + 1) for n in range(signals) if shown >> n & 1)
    return f"{'~' if inverted else ''}[{members}]"


@shows("sigset")
def _set(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("Q", value) if value and not (parameter.written and frame.failed) else None
    if fields is None or detail(frame, parameter) != 8:
        return pointer(value)
    return signal_set(fields[0])


@shows("old_sigset")
def _old_set(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("I", value) if value and not (parameter.written and frame.failed) else None
    return signal_set(fields[0], 32) if fields is not None else pointer(value)


@shows("old_mask")
def _old_mask(frame: Frame, parameter: Parameter, value: int) -> str:
    return signal_set(value, 32)


def _action(handler: int, mask: str, flags: int, restorer: int) -> str:
    shown = names("handler").value(handler).partition(" ")[0]
    text = f"{{sa_handler={shown}, sa_mask={mask}, sa_flags={names('signal_action').flags(flags)}"
    return text + (f", sa_restorer={pointer(restorer)}}}" if flags & 0x0400_0000 else "}")


@shows("sigaction")
def _sigaction(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("3IQ", value) if value and not (parameter.written and frame.failed) else None
    if fields is None:
        return pointer(value)
    handler, flags, restorer, mask = fields
    return _action(handler, signal_set(mask), flags, restorer)


@shows("old_sigaction")
def _old_sigaction(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("4I", value) if value and not (parameter.written and frame.failed) else None
    if fields is None:
        return pointer(value)
    handler, mask, flags, restorer = fields
    return _action(handler, signal_set(mask, 32), flags, restorer)


@shows("handler")
def _handler(frame: Frame, parameter: Parameter, value: int) -> str:
    return names("handler").value(value).partition(" ")[0]


@shows("stack")
def _stack(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("3I", value) if value and not (parameter.written and frame.failed) else None
    if fields is None:
        return pointer(value)
    return f"{{ss_sp={pointer(fields[0])}, ss_flags={names('stack_bits').flags(fields[1])}, ss_size={fields[2]}}}"


@shows("sigevent")
def _event(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("IiI", value) if value else None
    if fields is None:
        return pointer(value)
    content, signal, notify = fields
    pointed = (
        f"{{sival_int={signed(content)}, sival_ptr={pointer(content)}}}" if content else "{sival_int=0, sival_ptr=NULL}"
    )
    return f"{{sigev_value={pointed}, sigev_signo={signal_name(signal)}, sigev_notify={names('signal_end').value(notify)}}}"


@shows("siginfo")
def _siginfo(frame: Frame, parameter: Parameter, value: int) -> str:
    data = frame.read(value, 128) if value and not (parameter.written and frame.failed) else None
    return siginfo(data) if data is not None else pointer(value)


_CODES: Final = {
    4: "code_illegal",
    5: "code_trap",
    7: "code_bus",
    8: "code_arithmetic",
    11: "code_fault",
    17: "code_child",
}


def siginfo(data: bytes) -> str:
    """A struct siginfo: signal, code, and what comes with them."""
    signal, _, code, first, second, third, *more = struct.unpack_from("<8i", data)
    if not signal:
        return "{}"
    word, general = code & 0xFFFF_FFFF, names("code_any")
    own = names(_CODES[signal]) if signal in _CODES and 0 < code < 0x80 else general
    parts = [f"si_signo={signal_name(signal)}", f"si_code={own.value(word)}"]
    if own is general and code == -2:  # SI_TIMER
        parts += [f"si_timerid={first & 0xFFFF_FFFF:#x}", f"si_overrun={second}", _value(third)]
    elif own is general and code <= 0:
        parts += [f"si_pid={first}", f"si_uid={second}"]
        parts += [_value(third)] if code == -1 else []
    elif signal == 17:
        status = signal_name(third) if code in {2, 3, 4, 5, 6} else str(third)
        parts += [
            f"si_pid={first}",
            f"si_uid={second}",
            f"si_status={status}",
            f"si_utime={more[0]}",
            f"si_stime={more[1]}",
        ]
    elif signal in {4, 7, 8, 11} and own is not general:
        parts.append(f"si_addr={pointer(first & 0xFFFF_FFFF)}")
    return f"{{{', '.join(parts)}}}"


def _value(word: int) -> str:
    return f"si_value={{sival_int={word}, sival_ptr={pointer(word & 0xFFFF_FFFF)}}}"


def _pselect_mask(frame: Frame, parameter: Parameter, value: int) -> str:
    fields = frame.unpack("II", value) if value else None
    if fields is None:
        return pointer(value)
    bits = frame.unpack("Q", fields[0]) if fields[0] and fields[1] == 8 else None
    return f"{{sigmask={signal_set(bits[0]) if bits else pointer(fields[0])}, sigsetsize={fields[1]}}}"


SHOWS["pselect_mask"] = _pselect_mask
