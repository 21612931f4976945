"""What a call returns, as text: ``3``, ``-1 ENOENT (No such file or directory)``, ``0x1 (flags FD_CLOEXEC)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py.personality.linux.calls import Parameter
from vx32py.strace.decode import SHOWS, octal, persona, short_hex
from vx32py.strace.descriptors import descriptors_of
from vx32py.strace.flags import error_text, names, signal_name
from vx32py.strace.frame import Frame, signed
from vx32py.strace.structs import date, signal_set

if TYPE_CHECKING:
    from collections.abc import Callable

#: Errors that a call which was interrupted ends with inside of the kernel; no guest sees them.
_RESTARTS: Final = frozenset({512, 513, 514, 516})


def result_text(kind: str, frame: Frame, result: int | None) -> str:
    """A result of a kind of calls.txt."""
    if result is None:
        return "?"
    kind, _, detail = kind.rstrip("]").partition("[")
    if -4096 < result < 0 and kind not in {"clock_t", "id"}:
        prefix = "?" if -result in _RESTARTS else "-1"
        return f"{prefix} {error_text(-result)}"
    show = _RESULTS.get(kind)
    return show(frame, result, detail) if show is not None else str(result)


def _address(frame: Frame, result: int, detail: str) -> str:
    return f"{result & 0xFFFF_FFFF:#x}" if result else "NULL" if detail else "0"


def _select(frame: Frame, result: int, detail: str) -> str:
    if not result:
        return "0 (Timeout)"
    parts, count = [], frame.values.get("nfds", 0)
    for name, word in (("readfds", "in"), ("writefds", "out"), ("exceptfds", "except")):
        found = descriptors_of(frame, frame.values.get(name, 0), count)
        if found:
            parts.append(f"{word} [{' '.join(map(str, found))}]")
    return f"{result} ({', '.join([*parts, *_time_left(frame)])})"


def _time_left(frame: Frame) -> list[str]:
    for parameter in frame.parameters:
        if parameter.name == "timeout" and parameter.written and frame.values["timeout"]:
            return [f"left {SHOWS[parameter.type](frame, parameter, frame.values['timeout'])}"]
    return []


def _poll(frame: Frame, result: int, detail: str) -> str:
    if not result:
        return "0 (Timeout)"

    found: list[str] = []
    for index in range(min(frame.values["nfds"], 1024)):
        fields = frame.unpack("iHH", frame.values["fds"] + 8 * index)
        if fields is None:
            break
        if fields[2] and len(found) < frame.limit:
            found.append(f"{{fd={fields[0]}, revents={names('poll_bits').flags(fields[2])}}}")
    return _with(str(result), [*([f"[{', '.join(found)}]"] if found else []), *_time_left(frame)])


def _with(text: str, parts: list[str]) -> str:
    return f"{text} ({', '.join(parts)})" if parts else text


def _fcntl(frame: Frame, result: int, detail: str) -> str:
    command = frame.values.get(detail, 0)
    if command == 1:
        return f"{result:#x} (flags {names('fd_bits').flags(result)})" if result else "0"
    if command == 3:
        flags = names("open_bits").flags(result & ~3, first=names("open_mode").value(result & 3))
        return f"{result:#x} (flags {flags})" if result else "0 (flags O_RDONLY)"
    if command == 1025:
        kind = names("lock_type").value(result).partition(" ")[0]
        return f"{result:#x}" if kind.startswith("0x") else f"{short_hex(result)} ({kind})"
    if command == 11 and result:
        return f"{result} ({signal_name(result)})"
    if command == 1034:
        return f"{result:#x} (seals {names('seals').flags(result)})" if result else "0"
    return str(result)


def _entry(frame: Frame, result: int, detail: str) -> str:
    fields = frame.unpack("i", frame.values.get("descriptor", 0))
    return f"{result} (entry_number={fields[0]})" if fields is not None else str(result)


def _mask(frame: Frame, result: int, detail: str) -> str:
    return f"{result & 0xFFFF_FFFF} ({signal_set(result & 0xFFFF_FFFF, 32)})" if result else "0 ([])"


def _moment(frame: Frame, result: int, detail: str) -> str:
    return _with(str(result), [date(result)])


def _prctl(frame: Frame, result: int, detail: str) -> str:
    dumpable = frame.values.get(detail) == 3  # PR_GET_DUMPABLE
    return f"{result} ({names('dumpable').value(result)})" if dumpable else str(result)


def _handler(frame: Frame, result: int, detail: str) -> str:
    name = SHOWS["handler"](frame, _HANDLER, result & 0xFFFF_FFFF)
    return name if name.startswith("0x") else f"{short_hex(result)} ({name})"


_HANDLER: Final = Parameter("handler", "handler")
_RESULTS: Final[dict[str, Callable[[Frame, int, str], str]]] = {
    "address": _address,
    "hex": _address,
    "mode": lambda frame, result, detail: octal(result),
    "clock_t": lambda frame, result, detail: str(result),
    "id": lambda frame, result, detail: str(result & 0xFFFF_FFFF if result >= 0 else signed(result)),
    "select": _select,
    "poll": _poll,
    "fcntl": _fcntl,
    "set_thread_area": _entry,
    "old_mask": _mask,
    "time": _moment,
    "prctl": _prctl,
    "handler": _handler,
    "signal": lambda frame, result, detail: f"{result} ({signal_name(result)})" if result else "0",
    "sched_policy": lambda frame, result, detail: f"{result} ({names('sched_policy').value(result)})",
    "personality": lambda frame, result, detail: f"{_address(frame, result, '')} ({persona(result)})",
}
