"""Guards: functions of the host's that see calls before they are made, and let them be, answer or refuse them.

    @jail.on("openat", "%network")
    def look(call):
        if call.path == "/etc/passwd":
            raise vx32py.CallError(errno.EACCES)     # refused
        if call.name == "connect":
            return 0                                 # answered: the handler does not run
        return None                                  # let be

No guest code runs between a guard and the handler: all threads of a jail take turns, and a call is one turn. But a call that
has to wait is made again later, when other threads have run, and memory may be shared with somebody outside. So what a guard
has read of guest memory, through the call or through ``call.process.memory``, is kept: until the call is over its handler
reads the same bytes, whatever is in memory by then. What was checked is what is used.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from reference.errors import MemoryFault
from reference.memory import PAGE
from reference.weak import WeakGroup
from vx32py._calls import LINUX_TRAP
from vx32py._errors import CallError
from vx32py._memory import GuestMemory
from vx32py._wait import Interrupted, WouldBlock

if TYPE_CHECKING:
    from vx32py._calls import Entry, SystemCalls, TableUser
    from vx32py._task import Task
    from vx32py.personality.linux.calls import Parameter

#: ``guard(call)``: None lets the call be, a number answers it; CallError refuses it.
Guard = Callable[["GuardedCall"], int | None]

#: Sees every call, also those that nobody knows.
EVERY: Final = "*"
AT_FDCWD: Final = -100
MAX_PATH: Final = 4096
MAX_SOCKADDR: Final = 128
#: Bytes of strings and pointers that exec may have, as for the handler.
MOST_ARGUMENTS: Final = 1 << 20
#: UIO_MAXIOV: what sendmmsg takes.
MOST_MESSAGES: Final = 1024
SIGKILL: Final = 9
_MOST_KEPT: Final = 4096

_SOCKETCALL: Final = 102
#: socketcall(2): call → the call that it stands for, and how many arguments that has (net/socket.c, nargs).
_SOCKET_CALLS: Final = {
    1: ("socket", 3), 2: ("bind", 3), 3: ("connect", 3), 4: ("listen", 2), 5: ("accept", 3), 6: ("getsockname", 3),
    7: ("getpeername", 3), 8: ("socketpair", 4), 9: ("send", 4), 10: ("recv", 4), 11: ("sendto", 6), 12: ("recvfrom", 6),
    13: ("shutdown", 2), 14: ("setsockopt", 5), 15: ("getsockopt", 5), 16: ("sendmsg", 3), 17: ("recvmsg", 3),
    18: ("accept4", 4), 19: ("recvmmsg", 5), 20: ("sendmmsg", 4),
}  # fmt: skip
#: Call → which argument is the address of a sockaddr; its length is the next one.
_SOCKADDRS: Final = {"bind": 1, "connect": 1, "sendto": 4}


class CopiedMemory(GuestMemory):
    """Guest memory as it was when it was first read while ``recording``."""

    __slots__ = ("_pages", "recording")

    def __init__(self, memory: GuestMemory) -> None:
        super().__init__(memory.space)
        #: Page → its bytes, and for each of them 1 where it is known.
        self._pages: dict[int, tuple[bytearray, bytearray]] = {}
        self.recording = True

    def read(self, address: int, length: int) -> bytes:
        """Bytes, as they were if they have been read before."""
        data = bytearray(super().read(address, length))
        for page, at, low, count in _pieces(address, length):
            kept = self._pages.get(page)
            if kept is not None:
                copy, known = kept[0][low : low + count], kept[1][low : low + count]
                if 0 not in known:
                    data[at : at + count] = copy
                elif 1 in known:
                    data[at : at + count] = bytes(
                        c if k else d for c, k, d in zip(copy, known, data[at:], strict=False)
                    )
        if self.recording:
            self._keep(address, data)
        return bytes(data)

    def _keep(self, address: int, data: bytearray) -> None:
        for page, at, low, count in _pieces(address, len(data)):
            kept = self._pages.get(page)
            if kept is None:
                kept = self._pages[page] = bytearray(PAGE), bytearray(PAGE)
            kept[0][low : low + count] = data[at : at + count]
            kept[1][low : low + count] = b"\1" * count

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store bytes, which are what is read from then on."""
        super().write(address, data)
        self._follow(address, memoryview(data).cast("B"))

    def _follow(self, address: int, data: memoryview | bytes) -> None:
        if self._pages:
            for page, at, low, count in _pieces(address, len(data)):
                if page in self._pages:
                    self._pages[page][0][low : low + count] = data[at : at + count]

    def view(self, address: int, length: int, *, writable: bool = False) -> memoryview:
        """The bytes themselves; a copy where some have been read before. What a view is written to is not known any more."""
        view = super().view(address, length, writable=writable)
        touched = [piece for piece in _pieces(address, length) if piece[0] in self._pages]
        if writable:
            for page, _, low, count in touched:
                self._pages[page][1][low : low + count] = bytes(count)
            return view
        if not touched and not self.recording:
            return view
        view.release()
        return memoryview(self.read(address, length))

    def __getitem__(self, where: Any) -> Any:
        if isinstance(where, slice) and where.step is None and where.stop is not None:
            return self.read(where.start or 0, where.stop - (where.start or 0))
        return self.read(where, 1)[0] if isinstance(where, int) else super().__getitem__(where)

    def __setitem__(self, where: Any, value: Any) -> None:
        super().__setitem__(where, value)  # raises for whatever makes no sense
        if isinstance(where, slice):
            self._follow(where.start or 0, memoryview(value).cast("B"))
        else:
            self._follow(where, bytes([value]))

    def read_string(self, address: int, *, most: int = 1 << 20) -> bytes:
        """The bytes up to a zero byte. Raises ValueError when there is none within ``most`` bytes."""
        found = bytearray()
        recording, self.recording = self.recording, False  # what is behind the string is none of the guard's business
        try:
            while len(found) < most:
                here = address + len(found)
                piece = self.read(here, min(PAGE - here % PAGE, most - len(found)))
                end = piece.find(0)
                found += piece if end < 0 else piece[: end + 1]
                if end >= 0:
                    if recording:
                        self._keep(address, found)
                    return bytes(found[:-1])
        finally:
            self.recording = recording
        raise ValueError(f"no end of string within {most} bytes of {address:#010x}")

    def read_u8(self, address: int) -> int:
        """One byte."""
        return self.read(address, 1)[0]

    def read_u16(self, address: int) -> int:
        """A little-endian 16-bit word."""
        return int.from_bytes(self.read(address, 2), "little")

    def read_u32(self, address: int) -> int:
        """A little-endian 32-bit word."""
        return int.from_bytes(self.read(address, 4), "little")

    def read_u64(self, address: int) -> int:
        """A little-endian 64-bit word."""
        return int.from_bytes(self.read(address, 8), "little")

    def write_u8(self, address: int, value: int) -> None:
        """Store the low byte of ``value``."""
        self.write(address, bytes([value & 0xFF]))

    def write_u16(self, address: int, value: int) -> None:
        """Store the low 16 bits of ``value``."""
        self.write(address, (value & 0xFFFF).to_bytes(2, "little"))

    def write_u32(self, address: int, value: int) -> None:
        """Store the low 32 bits of ``value``."""
        self.write(address, (value & 0xFFFF_FFFF).to_bytes(4, "little"))

    def write_u64(self, address: int, value: int) -> None:
        """Store the low 64 bits of ``value``."""
        self.write(address, (value & (1 << 64) - 1).to_bytes(8, "little"))


class GuardedCall:
    """A call that a guest wants to make. Calls through socketcall(2) have the name and the arguments of what they stand for.

    ``process`` is the task that makes it, ``name`` and ``number`` say which call, ``arguments`` are unsigned 32-bit numbers:
    those that the handler takes, or all six registers. ``memory`` is the guest's memory as the handler will find it.
    """

    def __init__(
        self, process: Task, table: SystemCalls, number: int, entry: Entry | None, arguments: tuple[int, ...]
    ) -> None:
        self.process = process
        self.table = table
        self.number = number
        self.entry = entry
        self.registers = arguments
        self.memory = CopiedMemory(process.memory)
        self.name, self.arguments = table.name_of(number), arguments
        if table.trap == LINUX_TRAP and number == _SOCKETCALL and arguments and arguments[0] in _SOCKET_CALLS:
            self.name, count = _SOCKET_CALLS[arguments[0]]
            try:
                words = struct.unpack(f"<{count}I", self.memory.read(arguments[1], 4 * count))
            except MemoryFault:
                words = ()
            self.arguments = words

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.process.pid

    @property
    def tid(self) -> int:
        """The number of the thread."""
        return self.process.tid

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths among the arguments, as the guest has written them; those that it may not read are left out."""
        return tuple(path for _, path in self._paths())

    @property
    def path(self) -> str | None:
        """The first path among the arguments, as the guest has written it, or None."""
        return next((path for _, path in self._paths()), None)

    @property
    def absolute_path(self) -> str | None:
        """:attr:`path` behind the directory that it starts from; ``..`` and links are still in it. None where there is none."""
        for index, path in self._paths():
            if path.startswith("/"):
                return path
            return f"{self._start(index).rstrip('/')}/{path}"
        return None

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where connect, bind or a message leads: (address, port), the path of a local socket, or None. The first one of a
        sendmmsg: see :attr:`addresses`."""
        return next(iter(self.addresses), None)

    @property
    def addresses(self) -> list[tuple[str, int] | str | None]:
        """The same for each message; None for one without an address, or with one that is none."""
        arguments, found = self.arguments, []
        with suppress(MemoryFault):
            if self.name in _SOCKADDRS and len(arguments) > _SOCKADDRS[self.name] + 1:
                index = _SOCKADDRS[self.name]
                found.append(self._sockaddr(arguments[index], arguments[index + 1]))
            elif self.name == "sendmsg" and len(arguments) > 1:
                found.append(self._sockaddr(*self._two_words(arguments[1])))
            elif self.name == "sendmmsg" and len(arguments) > 2:  # struct mmsghdr: a msghdr of 28 bytes, and a count
                for i in range(min(arguments[2], MOST_MESSAGES)):
                    found.append(self._sockaddr(*self._two_words(arguments[1] + 32 * i)))  # noqa: PERF401 - until a fault
        return found

    @property
    def argv(self) -> list[str]:
        """The arguments of a program that is to be executed, as far as they can be read."""
        index = {"execve": 1, "execveat": 2}.get(self.name)
        found: list[str] = []
        if index is None or len(self.arguments) <= index:
            return found
        at, room = self.arguments[index], MOST_ARGUMENTS
        with suppress(MemoryFault, ValueError):  # the handler will say what it thinks of that
            while at and room > 0 and (pointer := self.memory.read_u32(at)):
                text = self.memory.read_string(pointer, most=room)
                found.append(_decoded(text))
                room -= len(text) + 4
                at += 4
        return found

    def __getitem__(self, name: str | int) -> int:
        """An argument by position, or by the name that docs/linux-calls.md gives it. Raises KeyError, IndexError."""
        if isinstance(name, int):
            return self.arguments[name]
        position = 0
        for parameter in self._parameters:
            if parameter.name == name:
                return self.arguments[position]
            position += parameter.registers
        raise KeyError(name)

    def read(self, address: int, count: int) -> bytes:
        """Bytes of guest memory. Raises MemoryFault."""
        return self.memory.read(address, count)

    def read_string(self, address: int, *, most: int = MAX_PATH) -> bytes:
        """Bytes of guest memory up to a zero byte. Raises MemoryFault, ValueError."""
        return self.memory.read_string(address, most=most)

    def kill(self, signal: int = SIGKILL) -> None:
        """End the process as this signal does. Does not return."""
        self.process.exit_by_signal(signal)

    @property
    def _parameters(self) -> tuple[Parameter, ...]:
        return _parameters(self.name) if self.table.trap == LINUX_TRAP else ()

    def _paths(self) -> Iterator[tuple[int, str]]:
        position = 0
        for parameter in self._parameters:
            if parameter.type == "path" and position < len(self.arguments):
                with suppress(MemoryFault, ValueError):
                    path = self.memory.read_string(self.arguments[position], most=MAX_PATH)
                    yield position, _decoded(path)
            position += parameter.registers

    def _two_words(self, address: int) -> tuple[int, int]:
        return self.memory.read_u32(address), self.memory.read_u32(address + 4)

    def _sockaddr(self, address: int, length: int) -> tuple[str, int] | str | None:
        return parse_sockaddr(self.memory.read(address, min(length, MAX_SOCKADDR))) if address else None

    def _start(self, index: int) -> str:
        """The directory from which the path at a position starts."""
        parameters = self._parameters
        from vx32py.vfs.opened import name_of

        if index and parameters[index - 1].type == "dirfd":
            fd = self.arguments[index - 1]
            if fd != AT_FDCWD & 0xFFFF_FFFF:
                try:
                    return name_of(self.process.descriptors.get(fd))
                except CallError:
                    return "?"
        return self.process.files.cwd

    def __repr__(self) -> str:
        return f"<{self.name}({', '.join(f'{a:#x}' for a in self.arguments)}) of process {self.pid}>"


class Guards:
    """Which function sees which calls, in the order in which they came. A jail has one for all of its guests."""

    def __init__(self) -> None:
        self._functions: list[tuple[frozenset[str | int], Guard]] = []
        #: (trap, number, name of the entry) → what :meth:`wants` says.
        self._wanted: dict[tuple[int, int, str], bool] = {}
        #: Told when there is another one: processes, which may have answered natively what is to be seen now.
        self.users: WeakGroup[TableUser] = WeakGroup()

    def add(self, guard: Guard, *calls: str | int) -> None:
        """Show these calls to a function: names, numbers, classes such as ``%file``, ``%network``, ``%process``, or ``*``.

        Raises ValueError for a name that no call has.
        """
        if not callable(guard):
            raise TypeError(f"a guard is a function, not {type(guard).__name__}")
        numbers = {call for call in calls if isinstance(call, int)}
        words = {call for call in calls if isinstance(call, str)}
        chosen: set[str | int] = {*numbers, *(words & {EVERY})}
        chosen |= _select(words - {EVERY})
        if not chosen:
            raise ValueError("a guard needs the names of the calls that it is to see")
        self._functions.append((frozenset(chosen), guard))
        self._wanted.clear()
        for user in self.users:
            user.table_changed()

    def __bool__(self) -> bool:
        return bool(self._functions)

    def of(self, call: GuardedCall) -> list[Guard]:
        """The functions that see a call."""
        keys = {call.number, call.name, EVERY, call.table.name_of(call.number)}
        if call.entry is not None:
            keys.add(call.entry.name)
        return [guard for calls, guard in self._functions if not calls.isdisjoint(keys)]

    def wants(self, table: SystemCalls, number: int, entry: Entry | None) -> bool:
        """Whether a call has to be shown to somebody."""
        key = table.trap, number, entry.name if entry is not None else ""
        wanted = self._wanted.get(key)
        if wanted is None:
            keys = {number, EVERY, key[2], table.name_of(number)}
            if table.trap == LINUX_TRAP and number == _SOCKETCALL:
                keys |= {name for name, _ in _SOCKET_CALLS.values()}
            if len(self._wanted) >= _MOST_KEPT:  # a guest tries all numbers that there are
                self._wanted.clear()
            wanted = self._wanted[key] = any(not calls.isdisjoint(keys) for calls, _ in self._functions)
        return wanted

    def carry_out(self, process: Task, table: SystemCalls, number: int, entry: Entry | None) -> int:
        """Show a call to its guards, and have it made unless they answer.

        Raises CallError, and whatever guards and the handler raise.
        """
        words = process.engine.cpu.words
        arguments = tuple(words[r] for r in table.registers) if entry is None else entry.fetch(words)
        call = process.guarded
        waits = call is not None and (call.number, call.registers) == (number, arguments)
        if call is None or not waits:
            call = GuardedCall(process, table, number, entry, arguments)
        plain, process.memory, process.guarded = process.memory, call.memory, None
        try:
            if not waits:
                for guard in self.of(call):
                    answer = _checked(guard(call), guard)
                    if answer is not None:
                        return answer
            call.memory.recording = False
            return -table.refusal(number) if entry is None else entry.handler(process, *arguments) or 0
        except (WouldBlock, Interrupted):
            process.guarded = call  # it is made again, and is the same call then
            raise
        finally:
            if process.memory is call.memory:  # exec may have given the process another one
                process.memory = plain


def _pieces(address: int, length: int) -> Iterator[tuple[int, int, int, int]]:
    """A range of memory, page by page: (page, where its bytes begin in the range, and in the page, how many)."""
    at = 0
    while at < length:
        page, low = divmod(address + at, PAGE)
        count = min(PAGE - low, length - at)
        yield page, at, low, count
        at += count


def parse_sockaddr(data: bytes) -> tuple[str, int] | str | None:
    """What a struct sockaddr says: (address, port), a path (``@name`` for an abstract one), or None."""
    import socket  # takes a while to import

    if len(data) < 2:
        return None
    family = int.from_bytes(data[:2], "little")
    if family == socket.AF_INET and len(data) >= 8:
        return socket.inet_ntop(family, data[4:8]), int.from_bytes(data[2:4], "big")
    if family == socket.AF_INET6 and len(data) >= 24:
        return socket.inet_ntop(family, data[8:24]), int.from_bytes(data[2:4], "big")
    if family == socket.AF_UNIX:
        abstract = data[2:3] == b"\0"
        return "@" + _decoded(data[3:]) if abstract else _decoded(data[2:].partition(b"\0")[0])
    return None


@cache
def _parameters(name: str) -> tuple[Parameter, ...]:
    """What the arguments of a Linux call are."""
    from vx32py.personality.linux.calls import known_calls

    return next((call.parameters for call in known_calls().values() if call.name == name), ())


def _select(words: Iterable[str]) -> frozenset[str]:
    """The calls that names and classes mean. Raises ValueError, with the nearest name."""
    from vx32py.personality.linux.calls import known_calls, select

    found: frozenset[str] = frozenset()
    for word in words:
        try:
            found |= select([word])
        except ValueError as error:
            import difflib

            near = difflib.get_close_matches(word, [call.name for call in known_calls().values()], 1)
            raise ValueError(f"{error}{f'; did you mean {near[0]!r}?' if near else ''}") from None
    return found


def _checked(answer: Any, guard: Guard) -> int | None:
    if answer is None or (isinstance(answer, int) and not isinstance(answer, bool) and -(1 << 31) <= answer < 1 << 32):
        return answer
    name = getattr(guard, "__name__", "guard")
    raise TypeError(f"a guard returns None or the call's 32-bit result; {name} returned {answer!r}")


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
