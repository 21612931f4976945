"""``#p``: a directory for each process (proc(3))."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

from reference.errors import MemoryFault
from reference.registers import EAX
from vx32py._wait import WouldBlock
from vx32py.plan9 import delivery, notes
from vx32py.plan9.chan import DMDIR, Caller, Chan
from vx32py.plan9.devices.cons import number
from vx32py.plan9.devices.dup import describe
from vx32py.plan9.devices.nodes import Node, SingleDevice
from vx32py.plan9.ending import take_message
from vx32py.plan9.errors import (
    ERRMAX,
    Ebadarg,
    Ebadctl,
    Ecmdargs,
    Enochild,
    Enonexist,
    Eperm,
    Eprocdied,
    Error,
    Etoobig,
)
from vx32py.plan9.namespace import MAFTER, MBEFORE, MCACHE, MCREATE
from vx32py.plan9.proc import NORMAL_PRIORITY
from vx32py.plan9.quoting import quote

if TYPE_CHECKING:
    from vx32py.plan9.kernel import Kernel
    from vx32py.plan9.proc import Proc

_MOST_KEPT: Final = 4096
_MOST_READ: Final = 1 << 20
#: The floating-point registers as FXSAVE has them; the host's engine may keep more.
_FXSAVE: Final = 512
#: Where EAX and ESP are in a Ureg.
_AX: Final = 7
_SP: Final = 17
#: Longer messages are none.
_MOST_MESSAGE: Final = 16 << 10
_LETTERS: Final = ((MAFTER, "a"), (MBEFORE, "b"), (MCREATE, "c"), (MCACHE, "C"))
_FILES: Final[dict[str, int]] = {
    "args": 0o660, "ctl": 0o600, "fd": 0o444, "fpregs": 0o400, "kregs": 0o400, "mem": 0o600, "note": 0o600,
    "noteid": 0o664, "notepg": 0o200, "ns": 0o444, "proc": 0o400, "regs": 0o600, "segment": 0o444, "status": 0o444,
    "text": 0o555, "wait": 0o400,
}  # fmt: skip


class _Root(Node):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__("#p", 0o555 | DMDIR, path=0)
        self._kernel = kernel

    def child(self, caller: Caller, name: str) -> Node:
        if name == "trace" or not (name.isascii() and name.isdigit() and len(name) < 10):
            raise Error(Enonexist)
        proc = self._kernel.proc(int(name))
        if proc is None or not proc.alive or str(proc.pid) != name:
            raise Error(Enonexist)
        return _Folder(proc, self)

    def children(self, caller: Caller) -> Iterable[Node]:
        return [_Folder(proc, self) for proc in self._kernel.procs() if proc.alive]


class _Folder(Node):
    def __init__(self, proc: Proc, root: _Root) -> None:
        super().__init__(str(proc.pid), 0o555 | DMDIR, path=proc.pid << 8, owner=proc.user)
        self.proc = proc
        self._root = root

    def parent(self, caller: Caller) -> Node:
        return self._root

    def child(self, caller: Caller, name: str) -> Node:
        if name not in _FILES:
            raise Error(Enonexist)
        return _File(name, self)

    def children(self, caller: Caller) -> Iterable[Node]:
        return [_File(name, self) for name in _FILES]


class _File(Node):
    """One of a process's files; ``read`` and ``write`` go to a function for each."""

    def __init__(self, name: str, folder: _Folder) -> None:
        mode = _FILES[name]
        path = folder.qid.path | list(_FILES).index(name) + 1
        super().__init__(name, mode, path=path, owner=folder.proc.user)
        self.proc = folder.proc
        self._folder = folder

    def parent(self, caller: Caller) -> Node:
        return self._folder

    def _check(self) -> Proc:
        if not self.proc.alive:
            raise Error(Eprocdied)
        return self.proc

    @property
    def length(self) -> int:
        return len(b"\0".join(self.proc.args)) if self.name == "args" else 0

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        self._check()
        if self.name == "notepg":
            # Who has it open writes to the group that the process is in now.
            chan.state = self.proc.note_group
        elif self.name == "text" and self.proc.program_path is not None:
            # It is the file of the program: so programs find out where they are (/sys/src/9/port/devproc.c, proctext).
            chan.path = self.proc.program_path
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        proc = self._check()
        if self.name == "mem":
            return _memory(proc, offset, min(count, _MOST_READ))
        if self.name == "wait":
            return _wait(proc, count)
        if self.name == "note":
            return _read_note(proc, count)
        if self.name == "regs":
            return delivery.UREG.pack(*delivery.registers(proc))[offset : offset + count]
        if self.name == "text":
            return proc.module.data[offset : offset + min(count, _MOST_READ)]
        if self.name == "fpregs":
            return bytes(proc.registers.fp)[:_FXSAVE][offset : offset + count]
        make = _TEXTS.get(self.name)
        if make is None:
            raise Error(Eperm)
        if offset == 0 or chan.state is None:
            text = make(proc).encode(errors="surrogateescape")
            # What is long is not kept for who may never ask for it.
            chan.state = text if len(text) <= _MOST_KEPT else None
            return text[offset : offset + count]
        piece: bytes = chan.state[offset : offset + count]
        return piece

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        proc = self._check()
        if len(data) >= (ERRMAX - 1 if self.name in {"note", "notepg"} else _MOST_MESSAGE) and self.name != "mem":
            raise Error(Etoobig)
        text = data.decode(errors="surrogateescape")
        if self.name == "ctl":
            _control(proc, text)
        elif self.name == "note":
            if not notes.post(proc, text.split("\0")[0]):
                raise Error("note not posted")
        elif self.name == "notepg":
            if chan.state is not proc.note_group and not chan.state.members:
                raise Error(Eprocdied)
            writer = cast("Proc", caller)
            for member in tuple(chan.state.members):
                if member is not writer:
                    notes.post(member, text.split("\0")[0])
        elif self.name == "mem":
            try:
                proc.poke(offset, data)
            except MemoryFault:
                raise Error(Ebadarg) from None
        elif self.name == "regs":
            _set_registers(proc, data, offset)
        elif self.name == "args":
            if len(data) >= 4096:
                raise Error(Etoobig)
            proc.args = [data.rstrip(b"\0")]
        elif self.name == "noteid":
            _join(proc, text)
        else:
            raise Error(Eperm)
        return len(data)


def _memory(proc: Proc, address: int, count: int) -> bytes:
    """Some of a process's memory, as much as there is from there on."""
    segment = next((each for each in proc.segments if each.base <= address < each.top), None)
    if segment is None:
        raise Error(Ebadarg)
    try:
        return proc.peek(address, min(count, segment.top - address))
    except MemoryFault:
        raise Error(Ebadarg) from None


def _wait(proc: Proc, count: int) -> bytes:
    """What the process would be told by await, taken from it."""
    if not proc.wait_queue:
        if not proc.child_count:
            raise Error(Enochild)
        raise WouldBlock(lambda: bool(proc.wait_queue) or not proc.alive)
    message = take_message(proc)
    times = " ".join(map(str, message.times))
    return f"{message.pid} {times} {quote(message.text)}".encode(errors="surrogateescape")[:count]


def _read_note(proc: Proc, count: int) -> bytes:
    """The first note that has not been delivered."""
    if not proc.notes.pending:
        return b""
    text = proc.notes.pending.pop(0).text.encode(errors="surrogateescape")
    return text[:count]


def _status(proc: Proc) -> str:
    """Name, user, state, six times in ms, memory in KiB, two priorities."""
    own = int(proc.seconds_running * 1000)
    real = int((time.monotonic() - proc.started) * 1000)
    times = (own, 0, real, *proc.child_times[:2], 0)
    size = sum(each.top - each.base for each in proc.segments if each.kind != "Stack") >> 10
    state = _state(proc)
    numbers = "".join(number(each) for each in (*times, size, proc.priority, proc.priority))
    return f"{proc.text[:27]:<28}{proc.user[:27]:<28}{state:<12}{numbers}"


def _state(proc: Proc) -> str:
    """What it is doing: a call, by the name that the kernel has for it (sysctab), or running."""
    if proc.group.stopped:
        return "Stopped"
    if proc.call:
        return "Rendez" if proc.call == "rendezvous" else proc.call.strip("_").capitalize()
    return "Running" if proc.family.current is proc else "Ready"


def _segments(proc: Proc) -> str:
    lines = []
    for each in proc.segments:
        letter = "R" if each.readonly else " "
        lines.append(f"{each.kind:<6} {letter}{' '} {each.base:08x} {each.top:08x} {each.size.users:4d}\n")
    return "".join(lines)


def _fds(proc: Proc) -> str:
    lines = [f"{proc.dot.path}\n"]
    lines += [describe(chan, fd) for fd, chan in proc.fds if isinstance(chan, Chan)]
    return "".join(lines)


def flag_text(flag: int) -> str:
    """How bind was told, as its options.

    >>> flag_text(MAFTER | MCREATE)
    '-ac'
    """
    letters = "".join(letter for bit, letter in _LETTERS if flag & bit)
    return "-" + letters if letters else ""


def _names(proc: Proc) -> str:
    """The name space as commands that make the same one (namespace(6))."""
    from vx32py.plan9.devices.srv import Services

    services = proc.view.devices["s"]
    lines = []
    for mount, head in proc.names.listed():
        flag, to, origin = flag_text(mount.flag), mount.to, head.origin.path
        connection = getattr(to.aux, "connection", None)
        if connection is not None and str(to.path) == "#M":
            name = services.name_of(connection.chan) if isinstance(services, Services) else None
            lines.append(f"mount {flag} {name or connection.chan.path} {origin} {mount.spec}\n")
        else:
            lines.append(f"bind {flag} {to.path} {origin}\n")
    return "".join(lines) + f"cd {proc.dot.path}\n"


def _arguments(proc: Proc) -> str:
    return " ".join(quote(each.decode(errors="surrogateescape")) for each in proc.args)


_TEXTS: Final[dict[str, Callable[[Proc], str]]] = {
    "status": _status, "segment": _segments, "fd": _fds, "ns": _names, "args": _arguments,
    "noteid": lambda proc: number(proc.note_group.number), "proc": lambda proc: "", "kregs": lambda proc: "",
}  # fmt: skip


#: Messages to ctl, and how many words each has. Of processors, swapping and so on there are none here: these change nothing.
_MESSAGES: Final = {
    "closefd": 2, "closefiles": 1, "cost": 2, "deadline": 2, "fixedpri": 2, "hang": 1, "interrupt": 1, "kill": 1,
    "nohang": 1, "nointerrupt": 1, "noswap": 1, "period": 2, "pri": 2, "private": 1, "profile": 1, "start": 1,
    "startstop": 1, "stop": 1, "trace": 1, "waitstop": 1, "wired": 2,
}  # fmt: skip


def _control(proc: Proc, text: str) -> None:
    """A message to ctl. Raises Error."""
    words = text.split("\0", maxsplit=1)[0].split()
    if not words:
        raise Error("empty control message")
    word = words[0]
    if _MESSAGES.get(word) != len(words):
        said = " ".join(map(quote, words))[: ERRMAX - 40]
        raise Error(f'{Ecmdargs if word in _MESSAGES else "unknown control message"} "{said}"')
    if word == "kill":
        proc.group.stopped = False
        proc.doomed = proc.attention = True
    elif word == "stop":
        proc.group.stopped = True
        proc.attention = True
    elif word in {"start", "startstop"}:
        if not proc.group.stopped:
            raise Error(Ebadctl)
        proc.group.stopped, proc.stops_at_note, proc.attention = False, word == "startstop", True
    elif word in {"hang", "nohang"}:
        proc.hang = word == "hang"
    elif word == "waitstop":
        if not proc.group.stopped and proc.alive:
            raise WouldBlock(lambda: proc.group.stopped or not proc.alive)
        if not proc.alive:
            raise Error(Eprocdied)
    elif word == "closefd":
        proc.fds.take(_number(words[1])).close()
    elif word == "closefiles":
        fds = proc.fds
        for fd, _ in tuple(fds):
            fds.take(fd).close()
    elif word in ("pri", "fixedpri"):
        priority = _number(words[1])
        if priority > NORMAL_PRIORITY:
            raise Error(Eperm)
        proc.set_priority(priority)


def _number(word: str) -> int:
    """A number that a message has. Raises Error."""
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise Error(Ebadarg)
    return int(word)


def _set_registers(proc: Proc, data: bytes, offset: int) -> None:
    """Change the registers of a stopped process: those that it could change itself. Raises Error."""
    if not proc.group.stopped:
        raise Error(Ebadctl)
    ureg = bytearray(delivery.UREG.pack(*delivery.registers(proc)))
    if offset % 4 or len(data) % 4 or offset + len(data) > len(ureg):
        raise Error(Ebadarg)
    ureg[offset : offset + len(data)] = data
    changed = list(delivery.UREG.unpack(ureg))
    if proc.is_in_call:  # which is made again: it must remain the same call, and EAX gets its result anyway
        if changed[_SP] != proc.registers.esp:
            raise Error(Ebadctl)
        changed[_AX] = proc.registers.words[EAX]
    delivery.set_registers(proc, changed)


def _join(proc: Proc, text: str) -> None:
    """Be in the note group of another process's."""
    wanted = text.split("\0", maxsplit=1)[0].strip()
    for other in proc.kernel.procs():
        if str(other.note_group.number) == wanted and other.user == proc.user:
            proc.note_group.members.remove(proc)
            proc.note_group.leave()
            proc.note_group = other.note_group.share()
            proc.note_group.members.append(proc)
            return
    raise Error(Ebadarg)


def proc_device(kernel: Kernel) -> SingleDevice:
    """The device."""
    return SingleDevice("p", _Root(kernel))
