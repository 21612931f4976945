"""Tracing: what processes ask of the kernel, a line for each call.

``3 cat: open("/lib/words", OREAD) = -1 '/lib/words' file does not exist``: the process's number and program, the call with its
arguments, the result, and the error where there is one. A call that waits has a line of its own before it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, cast

from vx32py.strace.frame import STRING_LIMIT, Frame, pointer, quoted, signed

if TYPE_CHECKING:
    from vx32py._calls import Call
    from vx32py._task import Task
    from vx32py.plan9.proc import Proc

#: Of every call what its arguments are, in order. A number in parentheses is the argument that says how many bytes there are.
_CALLS: Final = {
    name: tuple(kinds.split())
    for name, kinds in (
        line.split(":")
        for line in """\
sysr1:
_errstr:text
bind:path path bind
chdir:path
close:fd
dup:fd fd
alarm:number
exec:path words
exits:text
_fsession:fd hex number
fauth:fd text
_fstat:fd hex
segbrk:hex hex
_mount:fd path bind text
open:path open
_read:fd taken(2) number
oseek:fd signed whence
sleep:number
_stat:path hex
rfork:rfork
_write:fd bytes(2) number
pipe:pair
create:path open mode
fd2path:fd string number
brk_:hex
remove:path
_wstat:
_fwstat:
notify:hex
noted:noted
segattach:hex text hex number
segdetach:hex
segfree:hex number
segflush:hex number
rendezvous:hex hex
unmount:path path
_wait:hex
semacquire:hex number
semrelease:hex number
seek:hex fd long high whence
fversion:fd number text number
errstr:text number
stat:path hex number
fstat:fd hex number
wstat:path hex number
fwstat:fd hex number
mount:fd fd path bind text
await:taken(1) number
pread:fd taken(2) number long high
pwrite:fd bytes(2) number long high
tsemacquire:hex number
nsec:hex""".splitlines()
    )
}
_OPEN: Final = (
    (0x10, "OTRUNC"),
    (0x20, "OCEXEC"),
    (0x40, "ORCLOSE"),
    (0x1000, "OEXCL"),
)
_BIND: Final = ((4, "MCREATE"), (16, "MCACHE"))
_RFORK: Final = (
    (1, "RFNAMEG"), (2, "RFENVG"), (4, "RFFDG"), (8, "RFNOTEG"), (16, "RFPROC"), (32, "RFMEM"), (64, "RFNOWAIT"),
    (1024, "RFCNAMEG"), (2048, "RFCENVG"), (4096, "RFCFDG"), (8192, "RFREND"), (16384, "RFNOMNT"),
)  # fmt: skip
_DM: Final = ((1 << 31, "DMDIR"), (1 << 30, "DMAPPEND"), (1 << 29, "DMEXCL"), (1 << 26, "DMTMP"))
_MOST_WORDS: Final = 16


def flags_text(value: int, names: Sequence[tuple[int, str]], first: Sequence[str] = ()) -> str:
    """Bits by name, behind the name of the number in the lowest bits, if those are one.

    >>> flags_text(0x11, _OPEN, ("OREAD", "OWRITE", "ORDWR", "OEXEC"))
    'OWRITE|OTRUNC'
    """
    found = [first[value & 3]] if first else []
    rest = value & ~3 if first else value
    for bit, name in names:
        if rest & bit:
            found.append(name)
            rest &= ~bit
    if rest or not found:
        found.append(f"{rest:#x}")
    return "|".join(found)


_SHOWN: Final[dict[str, Callable[[Frame, int], str]]] = {
    "path": lambda frame, value: frame.path(value),
    "text": lambda frame, value: frame.string(value),
    "fd": lambda _, value: str(signed(value)),
    "signed": lambda _, value: str(signed(value)),
    "number": lambda _, value: str(value),
    "hex": lambda _, value: pointer(value),
    "open": lambda _, value: flags_text(value, _OPEN, ("OREAD", "OWRITE", "ORDWR", "OEXEC")),
    "bind": lambda _, value: flags_text(value, _BIND, ("MREPL", "MBEFORE", "MAFTER", "MORDER")),
    "rfork": lambda _, value: flags_text(value, _RFORK),
    "whence": lambda _, value: str(value),
    "noted": lambda _, value: ("NCONT", "NDFLT", "NSAVE", "NRSTR")[value] if value < 4 else str(value),
    "mode": lambda _, value: "|".join(
        [*(name for bit, name in _DM if value & bit), f"0{value & ~sum(bit for bit, _ in _DM):o}"]
    ),
    "words": lambda frame, value: _words(frame, value),  # noqa: PLW0108 - it is defined below
}
#: What is known when the call has returned.
_LATER: Final = ("taken", "pair", "string")


def _words(frame: Frame, address: int) -> str:
    found: list[str] = []
    for index in range(_MOST_WORDS):
        word = frame.unpack("I", address + 4 * index)
        if word is None:
            return pointer(address)
        if not word[0]:
            return "[" + ", ".join(found) + "]"
        found.append(frame.string(word[0]))
    return "[" + ", ".join(found) + ", ...]"


class Tracer:
    """An observer (``kernel.observers``) that writes a line for each call."""

    def __init__(self, write: Callable[[str], object], *, string_limit: int = STRING_LIMIT) -> None:
        self._write = write
        self._limit = string_limit
        #: The beginnings of calls that have not returned, by process, and whether they have been shown.
        self._open: dict[int, tuple[str, list[str | None], bool]] = {}

    def entered(self, call: Call) -> None:
        """A call begins."""
        kinds = _CALLS.get(call.name, ("hex",) * len(call.arguments))
        frame = Frame(call.process.memory, (), {}, self._limit)
        shown = [self._argument(frame, kind, index, call) for index, kind in enumerate(kinds)]
        self._open[call.process.tid] = (call.name.rstrip("_"), shown, False)

    def _argument(self, frame: Frame, kind: str, index: int, call: Call) -> str | None:
        kind, _, size = kind.partition("(")
        value = call.arguments[index]
        if kind in _LATER:
            return None
        if kind == "bytes":
            return frame.bytes(value, call.arguments[int(size[0])])
        if kind == "long":
            number = value | call.arguments[index + 1] << 32
            return str(number - (1 << 64) if number >> 63 else number)
        if kind == "high":
            return ""
        return _SHOWN[kind](frame, value)

    def waits(self, call: Call) -> None:
        """It has to wait, which is shown once."""
        opened = self._open.get(call.process.tid)
        if opened is not None and not opened[2]:
            name, shown, _ = opened
            self._line(call.process, f"{name}({_joined(shown)} ...")
            self._open[call.process.tid] = name, shown, True

    def returned(self, call: Call, result: int | None) -> None:
        """It is over: with -1 the error string says why."""
        opened = self._open.pop(call.process.tid, None)
        if opened is None:
            return
        name, shown, told = opened
        frame = Frame(call.process.memory, (), {}, self._limit)
        kinds = _CALLS.get(call.name, ())
        for index, kind in enumerate(kinds):
            if shown[index] is None:
                shown[index] = _afterwards(frame, kind.partition("(")[0], call.arguments[index], result)
        begin = f"... {name}({_joined(shown)})" if told else f"{name}({_joined(shown)})"
        self._line(call.process, f"{begin} = {_result(call, result)}")

    def ended(self, task: Task) -> None:
        """A process has ended; its last call does not return."""
        opened = self._open.pop(task.tid, None)
        if opened is not None and not opened[2]:
            self._line(task, f"{opened[0]}({_joined(opened[1])})")
        status = cast("Proc", task).status
        self._line(task, f"ended: {quoted((status or '').encode(errors='surrogateescape'))}")

    def _line(self, task: Task, text: str) -> None:
        program = quoted(cast("Proc", task).text.encode(errors="surrogateescape"))[1:-1]
        self._write(f"{task.pid} {program}: {text}\n")


def _joined(shown: list[str | None]) -> str:
    """Arguments, without those that are part of another one."""
    return ", ".join(each if each is not None else "..." for each in shown if each != "")


def _afterwards(frame: Frame, kind: str, value: int, result: int | None) -> str:
    if result is None or result < 0:
        return pointer(value)
    if kind == "taken":
        return frame.bytes(value, result)
    if kind == "string":
        return frame.path(value)
    pair = frame.unpack("2i", value)
    return str(list(pair)) if pair is not None else pointer(value)


def _result(call: Call, result: int | None) -> str:
    if result is None:
        return "?"
    if result == -1:
        return f"-1 {quoted(cast('Proc', call.process).error.encode(errors='surrogateescape'))[1:-1]}"
    if call.name in ("segattach", "rendezvous", "segbrk") and result:
        return f"{result & 0xFFFF_FFFF:#x}"
    return str(result)
