"""Printer: an observer of system calls that writes what strace would write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from vx32py.personality.linux.calls import KnownCall, known_calls
from vx32py.strace import descriptors, processes, sockets, structs  # noqa: F401  (they fill the table of types)
from vx32py.strace.decode import AFTER, MANY, show
from vx32py.strace.flags import signal_name
from vx32py.strace.frame import STRING_LIMIT, Frame
from vx32py.strace.results import result_text
from vx32py.strace.signatures import parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py._calls import Call
    from vx32py._task import Task
    from vx32py.personality.linux.calls import Parameter

#: Where the results of short calls stand, one below the other.
_COLUMN: Final = 40
_SOCKETCALL: Final = 102
#: How the kernel ends a call for a signal, before it is known what becomes of it (linux/errno.h).
_RESTARTSYS: Final = 512
_RESTART: Final = dict.fromkeys(
    (
        "pause",
        "sigsuspend",
        "rt_sigsuspend",
        "ppoll",
        "select",
        "_newselect",
        "pselect6",
        "ppoll_time64",
        "pselect6_time64",
    ),
    514,
) | dict.fromkeys(("nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "poll", "restart_syscall"), 516)


class _Open:
    """A call that has been entered and has not returned."""

    __slots__ = ("begun", "frame", "known", "later", "name", "parted", "pid", "process", "wanted", "words")

    def __init__(self, process: Task, name: str, known: KnownCall | None, frame: Frame) -> None:
        self.process = process
        self.pid = process.pid
        self.name = name
        self.known = known
        self.frame = frame
        self.wanted = True
        #: Whether arguments have been written, and a comma behind them.
        self.begun = self.parted = False
        #: Texts of arguments in order; None for those that are known when it has returned, which are ``later``.
        self.words: list[list[str] | None] = []
        self.later: dict[int, Parameter] = {}


class Printer:
    """``write`` gets text, with line ends in it; a call that waits has the beginning of its line written before it does.

    ``only``: names of the calls to show, all when None. ``string_limit``: how many bytes of a string, and elements of an
    array, are shown. ``relative``: begin each line with the seconds since the last one.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        only: frozenset[str] | None = None,
        string_limit: int = STRING_LIMIT,
        relative: bool = False,
    ) -> None:
        self._write = write
        self._only = only
        self._limit = string_limit
        self._relative = relative
        self._last: float | None = None
        self._open: dict[int, _Open] = {}
        #: Threads that have been seen; with more than one, lines begin with a number.
        self._seen: set[int] = set()
        #: Whose line is being written, and how much of it there is.
        self._unfinished: int | None = None
        self._width = 0

    # -- what happens --------------------------------------------------------------------------------------------

    def entered(self, call: Call) -> None:
        """A call begins: its line as far as it is known."""
        known, name, parameters, values = identify(call)
        frame = Frame(call.process.memory, parameters, values, self._limit)
        opened = _Open(call.process, name, known, frame)
        opened.wanted = self._only is None or name in self._only or call.name in self._only
        self._open[call.process.tid] = opened
        if not opened.wanted:
            return
        for index, parameter in enumerate(parameters):
            value = values[parameter.name]
            if parameter.written and (not parameter.read or parameter.type in AFTER):
                opened.words.append(None)
                opened.later[index] = parameter
                if parameter.read:
                    frame.notes[parameter.name] = show(frame, parameter, value)
            else:
                opened.words.append(_texts(frame, parameter, value))
        known_now = opened.words[: opened.words.index(None)] if None in opened.words else opened.words
        shown = [text for texts in known_now if texts for text in texts]
        self._begin(call.process)
        waits = len(known_now) < len(opened.words)
        # Of arguments that may turn out to be none it is not known yet whether there is something to be parted.
        opened.parted = waits and opened.later[len(known_now)].type not in MANY
        opened.begun = bool(shown)
        self._put(f"{name}({', '.join(shown)}" + (", " if shown and opened.parted else ""))

    def repeated(self, call: Call) -> None:
        """It is made again: where a signal has ended its line, on a line of its own."""
        if call.process.tid not in self._open:
            self.entered(call)

    def returned(self, call: Call, result: int | None) -> None:
        """It is over: the rest of its line."""
        self._finish(call.process, result)

    def ended(self, process: Task) -> None:
        """A process (or a thread of one) has ended."""
        pid = process.pid
        for opened in [o for o in self._open.values() if o.pid == pid and o.process is not process]:
            self._finish(opened.process, None)
        self._finish(process, None)
        if process.signal is not None:
            self.line(process, f"+++ killed by {signal_name(process.signal)} +++")
        elif process.exit_code is not None:
            self.line(process, f"+++ exited with {process.exit_code} +++")

    def signalled(self, process: Task, info: bytes) -> None:
        """A signal is about to be delivered: its struct siginfo. A call that it has interrupted is over."""
        opened = self._open.get(process.tid)
        if opened is not None:
            self._finish(process, -_RESTART.get(opened.name, _RESTARTSYS))
        self.line(process, f"--- {signal_name(int.from_bytes(info[:4], 'little'))} {structs.siginfo(info)} ---")

    # -- lines ---------------------------------------------------------------------------------------------------

    def line(self, process: Task, text: str) -> None:
        """A line of its own."""
        self._begin(process)
        self._put(text + "\n")
        self._unfinished = None

    def close(self) -> None:
        """The line that is not finished will not be."""
        if self._unfinished is not None:
            self._write(" <unfinished ...>\n")
            self._unfinished = None

    def _finish(self, process: Task, result: int | None) -> None:
        number = process.tid
        opened = self._open.pop(number, None)
        if opened is None or not opened.wanted:
            return
        frame = opened.frame
        frame.result = result
        if self._unfinished != number:
            self._begin(process)
            self._put(f"<... {opened.name} resumed>")
        rest, late = [], False
        for index, texts in enumerate(opened.words):
            late = late or index in opened.later
            if late:
                rest += texts if texts is not None else self._late(opened, index)
        kind = opened.known.result if opened.known is not None else "int"
        text = f"{', ' if rest and opened.begun and not opened.parted else ''}{', '.join(rest)})"
        padding = " " * (_COLUMN - 1 - self._width - len(text))
        self._put(f"{text}{padding} = {result_text(kind, frame, result)}\n")
        self._unfinished = None

    @staticmethod
    def _late(opened: _Open, index: int) -> list[str]:
        frame, parameter = opened.frame, opened.later[index]
        value = frame.values[parameter.name]
        if frame.result is None:
            return [f"{value:#x}"]
        after = AFTER.get(parameter.type) if parameter.read else None
        return [after(frame, parameter, value)] if after is not None else _texts(frame, parameter, value)

    def _begin(self, process: Task) -> None:
        """The beginning of a line; another one that is not finished gets its end."""
        if self._unfinished is not None:
            self._write(" <unfinished ...>\n")
        self._unfinished = number = process.tid
        self._seen.add(number)
        self._width = 0
        prefix = f"[pid {number}] " if len(self._seen) > 1 else ""
        if self._relative:
            now = time.monotonic()
            prefix += f"{now - (self._last if self._last is not None else now):>12.6f} "
            self._last = now
        self._put(prefix)

    def _put(self, text: str) -> None:
        self._width += len(text)
        self._write(text)


def _texts(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    several = MANY.get(parameter.type)
    return several(frame, parameter, value) if several is not None else [show(frame, parameter, value)]


def identify(call: Call) -> tuple[KnownCall | None, str, tuple[Parameter, ...], dict[str, int]]:
    """What a call is, and its arguments by name."""
    known = known_calls().get(call.number) if call.table.name == "linux" else None
    if known is not None and known.name != call.name:
        known = None  # a host's own call in place of the kernel's
    if known is None:
        unnamed = [f"a{n}" for n in range(len(call.arguments))]
        parameters = parameters_of(unnamed if call.entry is None else call.entry.parameters)
        return None, call.name, parameters, {p.name: v for p, v in zip(parameters, call.arguments, strict=False)}
    words = call.process.engine.cpu.words
    values = [words[register] for register in call.table.registers]
    if known.number == _SOCKETCALL:
        real = sockets.behind(values[0], known_calls())
        if real is not None:
            arguments = Frame(call.process.memory, (), {}, 0).unpack(f"{len(real.parameters)}I", values[1])
            if arguments is not None:
                known, values = real, list(arguments)
    return known, known.name, known.parameters, _assign(known.parameters, values)


def _assign(parameters: tuple[Parameter, ...], words: list[int]) -> dict[str, int]:
    """Registers to parameters; some take two."""
    values, at = {}, 0
    for parameter in parameters:
        value = words[at]
        if parameter.type == "off64":
            value |= words[at + 1] << 32
        elif parameter.type == "off64be":
            value = value << 32 | words[at + 1]
        values[parameter.name] = value
        at += parameter.registers
    return values
