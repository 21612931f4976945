"""``#c``: the console, and what the kernel tells about itself (cons(3))."""

from __future__ import annotations

import os
import time
import weakref
from typing import TYPE_CHECKING, Final, cast

from vx32py._hostfile import Transfers
from vx32py.plan9.chan import Caller, Chan, HostDescriptor
from vx32py.plan9.devices.nodes import Folder, SingleDevice, TextFile
from vx32py.plan9.devices.streams import Sink, Source, Stream
from vx32py.plan9.errors import Ebadctl, Eperm, Error, Etoobig

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py.plan9.kernel import Kernel
    from vx32py.plan9.proc import Proc

#: How often a second the fast clock ticks: it counts nanoseconds.
FREQUENCY: Final = 1_000_000_000
_MOST_RANDOM: Final = 64 << 10
#: What osversion says (the fourth edition's).
_VERSION: Final = "2000"
_LONGEST_NAME: Final = 64
_MOST_CONTROL: Final = 1024
#: What drivers are called.
_NAMES: Final = {
    "/": "root", "c": "cons", "e": "env", "d": "dup", "|": "pipe", "s": "srv", "M": "mnt", "k": "ram", "p": "proc", "o": "objects",
    "U": "tree", "I": "ip",
}  # fmt: skip


def number(value: int, width: int = 12) -> str:
    """A number as most of these files have it: right-justified, and a blank (readnum)."""
    return f"{value:>{width - 1}} "


class _Random(TextFile):
    """Random bytes, as many as are asked for."""

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        return _kernel(caller).family.clock.random(min(count, _MOST_RANDOM))


class _Plain(TextFile):
    """A file that is the same on the host, where it is called ``device``."""

    def __init__(self, name: str, content: Callable[[Caller], bytes] | None, mode: int, device: str) -> None:
        take = (lambda _caller, _data: None) if content is not None else None
        super().__init__(name, content, take, mode)
        self._device = device
        self._host: HostDescriptor | None = None

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        if self._host is None:
            try:
                fd = os.open(self._device, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                return None
            if Transfers.of(os.fstat(fd)) is not Transfers.PROMPT:
                os.close(fd)
                return None
            self._host = HostDescriptor(fd, _MOST_RANDOM, lasting=False)
            weakref.finalize(self, os.close, fd).atexit = False
        chan.host = self._host
        return None


class _Zero(_Plain):
    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        return bytes(min(count, _MOST_RANDOM))


def _kernel(caller: Caller) -> Kernel:
    return cast("Kernel", caller.view)


class _Control(TextFile):
    """consctl: what is asked for on it holds while it is open (cons(3))."""

    def __init__(self, cons: Cons) -> None:
        super().__init__("consctl", None, cons.control, 0o220)
        self._cons = cons
        self._users = 0

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        self._users += 1
        return None

    def close(self, chan: Chan) -> None:
        self._users -= 1
        if self._users == 0:
            self._cons.set_raw(False)


class Cons(SingleDevice):
    """The device: ``console`` is its file cons; ``raw`` is whether somebody has asked for what is typed as it is typed, and
    ``on_raw`` is told when that changes."""

    def __init__(self, kernel: Kernel, source: Source, sink: Sink) -> None:
        self._kernel = kernel
        self.folder = Folder("#c")
        super().__init__("c", self.folder)
        self.console = Stream("cons", source, sink)
        self.raw = False
        self.on_raw: Callable[[bool], None] | None = None
        self.messages = bytearray()
        for node in (
            self.console,
            _Control(self),
            TextFile("pid", lambda caller: number(caller.pid)),
            TextFile("ppid", lambda caller: number(getattr(caller, "ppid", 0))),
            TextFile("pgrpid", lambda caller: number(_note_group(caller))),
            TextFile("user", lambda caller: caller.user, _become_none, 0o666),
            TextFile("hostowner", lambda _: kernel.user),
            TextFile("hostdomain", lambda _: ""),
            TextFile("sysname", lambda _: kernel.sysname, self._rename, 0o664),
            TextFile("time", self._time, _refuse, 0o664),
            TextFile("bintime", self._bintime, _refuse, 0o664),
            _Random("random", mode=0o444),
            _Plain("null", lambda _: b"", 0o666, "/dev/null"),
            _Zero("zero", None, 0o444, "/dev/zero"),
            TextFile("sysstat", self._sysstat, lambda _caller, _data: None, 0o666),
            TextFile("swap", self._swap, _refuse, 0o664),
            TextFile("osversion", lambda _: _VERSION),
            TextFile("cputime", _cputime),
            TextFile("drivers", self._drivers),
            TextFile("config", lambda _: ""),
            TextFile("kmesg", lambda _: bytes(self.messages)),
            TextFile("kprint", lambda _: b""),
            TextFile("reboot", None, _refuse, 0o660),
        ):
            self.folder.add(node)

    def set_raw(self, raw: bool) -> None:
        """Have keys as they are typed, or lines that have been edited."""
        if raw != self.raw:
            self.raw = raw
            if self.on_raw is not None:
                self.on_raw(raw)

    def control(self, _: Caller, data: bytes) -> None:
        """A message to consctl. Raises Error."""
        if len(data) > _MOST_CONTROL:
            raise Error(Etoobig)
        for word in data.split():
            if word in (b"rawon", b"rawoff"):
                self.set_raw(word == b"rawon")
            elif not word.startswith((b"ctl", b"sys", b"hold")):
                raise Error(Ebadctl)

    def _rename(self, caller: Caller, data: bytes) -> None:
        name = data.decode(errors="replace").strip()
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise Error("bad value")
        self._kernel.sysname = name

    def _time(self, caller: Caller) -> str:
        clock = self._kernel.family.clock
        now = clock.realtime()
        wide = 22
        return number(now // 10**9) + number(now, wide) + number(clock.monotonic(), wide) + number(FREQUENCY, wide)

    def _bintime(self, caller: Caller) -> bytes:
        clock = self._kernel.family.clock
        return b"".join(each.to_bytes(8, "big") for each in (clock.realtime(), clock.monotonic(), FREQUENCY))

    def _sysstat(self, caller: Caller) -> str:
        turns, calls = self._kernel.family.turns, sum(self._kernel.tally.values())
        return "".join(number(each) for each in (0, turns, 0, calls, 0, 0, 0, 0, 100, 0)) + "\n"

    def _swap(self, caller: Caller) -> str:
        memory = self._kernel.sandbox.memory
        pages = memory // 4096
        return (
            f"{memory} memory\n4096 pagesize\n0 kernel\n0/{pages} user\n0/0 swap\n0/0 kernel malloc\n0/0 kernel draw\n"
        )

    def _drivers(self, caller: Caller) -> str:
        return "".join(f"#{letter} {_NAMES.get(letter, letter)}\n" for letter in self._kernel.devices)


def _refuse(_caller: Caller, _data: bytes) -> None:
    raise Error(Eperm)


def _become_none(caller: Caller, data: bytes) -> None:
    if data.strip() != b"none":
        raise Error(Eperm)
    caller.user = "none"


def _note_group(caller: Caller) -> int:
    group = getattr(caller, "note_group", None)
    return group.number if group is not None else 1


def _cputime(caller: Caller) -> str:
    """User, system and real time in ms, of itself and of its ended children."""
    if not hasattr(caller, "seconds_running"):
        return number(0) * 6
    proc = cast("Proc", caller)
    own = int(proc.seconds_running * 1000)
    real = int((time.monotonic() - proc.started) * 1000)
    user, system = proc.child_times[:2]
    return "".join(number(each) for each in (own, 0, real, user, system, 0))
