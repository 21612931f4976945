"""SystemCalls: a table of what a guest may ask of its host.

A table belongs to one trap (``SYSCALL`` for the VX ABI, ``INT 0x80`` for Linux) and says in which registers number and
arguments are. The number is in EAX, and so is the result; a negative result is ``-errno``. A guest reaches nothing but
what is in the tables of its sandbox: everything else is ``-ENOSYS``.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from reference.errors import MemoryFault, OutOfMemory
from reference.records import dataclass
from reference.registers import EAX, EBP, EBX, ECX, EDI, EDX, ESI, MASK32
from reference.traps import SOFTWARE_INTERRUPT, Vector
from reference.weak import WeakGroup
from vx32py._errors import CallError
from vx32py._wait import Interrupted, WouldBlock

if TYPE_CHECKING:
    from reference.traps import Trap
    from vx32py._group import ThreadGroup
    from vx32py._task import Task

#: ``handler(process, *arguments) -> result``: arguments are unsigned 32-bit numbers, a result of None counts as 0.
Handler = Callable[..., int | None]
AnyHandler = TypeVar("AnyHandler", bound=Handler)

#: The VX ABI: DESIGN, section 8.
VX_TRAP: Final = int(Vector.SYSCALL)
VX_REGISTERS: Final = (EDX, ECX, EBX, EDI, ESI)
#: Linux on i386: entry_INT80_32 and the man page syscall(2).
LINUX_TRAP: Final = SOFTWARE_INTERRUPT + 0x80
LINUX_REGISTERS: Final = (EBX, ECX, EDX, ESI, EDI, EBP)

#: Flags of a code object (inspect.CO_VARARGS, CO_VARKEYWORDS): it takes *args or **kwargs.
_VARIADIC: Final = 0x4 | 0x8

#: Unknown calls are counted by number up to so many numbers, and all others together.
MOST_UNKNOWN: Final = 1024
OTHERS: Final = -1

_OUR_HANDLERS: Final = "vx32py.personality."


@dataclass(frozen=True, slots=True)
class Entry:
    """One call of a table. ``parameters`` are the handler's own names for its arguments, which ``fetch`` takes from the
    registers, and ``carry_out`` does so and calls the handler. ``foreign``: the handler is the application's, and not this
    package's own. ``native``: which native answer (:mod:`vx32py._native`) does the same as the handler; empty for none."""

    number: int
    name: str
    handler: Handler
    parameters: tuple[str, ...]
    fetch: Callable[[memoryview], tuple[int, ...]]
    carry_out: Callable[[Task, memoryview], int | None]
    foreign: bool
    native: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a guest makes. For an unknown number ``entry`` is None and ``arguments`` are all the registers."""

    process: Task
    table: SystemCalls
    number: int
    entry: Entry | None
    arguments: tuple[int, ...]

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.entry.name if self.entry is not None else self.table.name_of(self.number)


class Observer(Protocol):
    """Sees every system call of a process, and cannot change it (``process.observers``).

    It may have more methods: ``waits(call)``, when a call has to wait, and ``repeated(call)``, when it is made again, which is
    no other call; ``signalled(task, info)`` before a signal is delivered, with its struct siginfo; ``ended(task)`` when a
    process has ended, with a thread of its.
    """

    def entered(self, call: Call) -> None:
        """Before the handler runs."""

    def returned(self, call: Call, result: int | None) -> None:
        """After it, with the result as the guest gets it (signed), or None where the call does not return."""


def tell(observers: Sequence[Observer], event: str, *arguments: object) -> None:
    """Call a method of all observers that have it."""
    for observer in observers:
        method = getattr(observer, event, None)
        if method is not None:
            method(*arguments)


class Numbering(Protocol):
    """What is known of calls by their number alone."""

    def name_of(self, number: int) -> str:
        """Its name; ``call_NUMBER`` where there is none."""

    def error_of(self, number: int) -> int:
        """The errno that it answers where there is no handler."""


class LinuxNumbering:
    """Linux on i386: :mod:`vx32py.personality.linux.calls`, which is imported when somebody asks."""

    def name_of(self, number: int) -> str:
        """The name that the kernel has for it."""
        from vx32py.personality.linux.calls import name_of

        return name_of(number)

    def error_of(self, number: int) -> int:
        """ENOSYS, or the error that it is refused with."""
        from vx32py.personality.linux.refusals import error_of

        return error_of(number)


class TableUser(Protocol):
    """Who depends on what is in a table."""

    def table_changed(self) -> None:
        """It is not what it was."""


class _Process:
    def __init__(self) -> None:
        #: Held while a table is changed. Reentrant: to fill one imports a personality, which defines others.
        self.changing = threading.RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.changing = threading.RLock()  # another thread of the parent may have held it


_process: Final = _Process()


#: Signals that do not end a process that has not asked for them: they are ignored, or would stop it (signal(7)).
_HARMLESS: Final = frozenset({17, 18, 19, 20, 21, 22, 23, 28})


def _default_action(group: ThreadGroup, number: int) -> None:
    """What a signal does to a process that knows none."""
    if number not in _HARMLESS:
        group.terminate(number)


@dataclass
class Hooks:
    """What a personality does beside answering calls.

    ``deliver(task, wait)``: a task with ``attention`` goes on, or a call of its, which waits, may have to end: true if that
    call is over, with its result in EAX or EIP back at the call. ``fault(task, trap)``: a trap that no table of calls handles:
    true if the guest goes on. ``thread_ends(task)``, before its memory goes; ``ended(group)``, when a process has ended.
    ``send(group, number)``: the host sends a signal. ``limits_writes(task)``: whether handlers look at what is written to files,
    so that it must not be written natively.
    """

    deliver: Callable[[Task, WouldBlock | None], bool] = lambda task, wait: False
    fault: Callable[[Task, Trap], bool] = lambda task, trap: False
    thread_ends: Callable[[Task], None] = lambda task: None
    ended: Callable[[ThreadGroup], None] = lambda group: None
    send: Callable[[ThreadGroup, int], None] = _default_action
    limits_writes: Callable[[Task], bool] = lambda task: False


class SystemCalls:
    """A table of system calls: number → handler.

    >>> table = SystemCalls.vx()
    >>> @table.define(100, "add")
    ... def add(process, a, b):
    ...     return a + b

    A handler gets the process and as many arguments as it has parameters, unsigned. It returns the result, or None for
    0, or raises CallError for a negative one. A MemoryFault (the guest passed a bad pointer) becomes ``-EFAULT`` and an
    OutOfMemory ``-ENOMEM``. Any other exception leaves ``Process.run()`` with its traceback.
    """

    def __init__(
        self,
        name: str,
        trap: int,
        registers: tuple[int, ...],
        *,
        original: Callable[[], SystemCalls] | None = None,
        numbering: Numbering | None = None,
    ) -> None:
        """An empty table. ``registers`` are the numbers of the registers that hold the arguments, in order. ``numbering``
        tells of numbers that have no handler.

        With ``original`` it is a copy of the table which that returns: made when it is first needed, because many programs
        use one table of several, and to import a personality takes longer than they do.
        """
        self.name = name
        self.trap = trap
        self.registers = registers
        self._original = original
        self._numbering = numbering
        self._entries: dict[int, Entry] = {}
        #: Told when the table changes: processes that use it.
        self.users: WeakGroup[TableUser] = WeakGroup()
        #: What native answers make of the table as it is now (:mod:`vx32py._native`).
        self.prepared: dict[object, Any] = {}
        self.hooks = Hooks()

    @classmethod
    def vx(cls) -> SystemCalls:
        """A fresh table with the calls of the VX ABI."""
        return cls("vx", VX_TRAP, VX_REGISTERS, original=_original_vx)

    @classmethod
    def linux(cls) -> SystemCalls:
        """A fresh table with the Linux i386 calls that a program needs to compute on its standard streams."""
        return cls("linux", LINUX_TRAP, LINUX_REGISTERS, original=_original_linux, numbering=LinuxNumbering())

    def copy(self) -> SystemCalls:
        """A table with the same calls, that can be changed by itself."""
        other = SystemCalls(self.name, self.trap, self.registers, original=self._original, numbering=self._numbering)
        other._entries.update(self._entries)
        other.hooks = self.hooks
        return other

    def _complete(self) -> bool:
        """Take over the entries of the original, if that has not been done. Whether there was one to take them from."""
        if self._original is None:
            return False
        with _process.changing:
            if self._original is None:  # another thread has
                return True
            original = self._original()
            entries = {entry.number: entry for entry in original} | self._entries
            self.hooks = original.hooks
            self._entries, self._original = entries, None
            return True

    def define(self, number: int, name: str | None = None, *, native: str = "") -> Callable[[AnyHandler], AnyHandler]:
        """A decorator that makes a function the handler of call ``number``, in place of what was there.

        ``native`` is for this package's own handlers: the native answer that does the same (:mod:`vx32py._native`).
        """

        def decorate(handler: AnyHandler) -> AnyHandler:
            parameters = _parameters(handler)
            if not 1 <= len(parameters) <= len(self.registers) + 1:
                raise TypeError(f"a handler takes the process and at most {len(self.registers)} arguments")
            names = parameters[1:]
            registers = self.registers[: len(names)]
            foreign = not str(getattr(handler, "__module__", "")).startswith(_OUR_HANDLERS)
            entry = Entry(
                number, name or _name_of(handler), handler, names,
                _fetcher(registers), _carrier(handler, registers), foreign, native,
            )  # fmt: skip
            with _process.changing:
                self._complete()
                self._entries[number] = entry
            self._has_changed()
            return handler

        return decorate

    def remove(self, *names: str) -> SystemCalls:
        """Take calls out of the table, by name; they answer -ENOSYS from now on. Raises KeyError; returns the table."""
        for name in names:
            numbers = [entry.number for entry in self if entry.name == name]
            if not numbers:
                raise KeyError(name)
            for number in numbers:
                del self._entries[number]
        self._has_changed()
        return self

    def _has_changed(self) -> None:
        self.prepared.clear()
        for user in self.users:
            user.table_changed()

    def name_of(self, number: int) -> str:
        """What a call is called, be it in the table or not; ``call_NUMBER`` where that is not known."""
        entry = self.get(number)
        if entry is not None:
            return entry.name
        return self._numbering.name_of(number) if self._numbering is not None else f"call_{number}"

    def refusal(self, number: int) -> int:
        """The errno that a call answers which is not in the table."""
        return self._numbering.error_of(number) if self._numbering is not None else errno.ENOSYS

    def get(self, number: int) -> Entry | None:
        """The entry of a call, or None."""
        self._complete()
        return self._entries.get(number)

    def __iter__(self) -> Iterator[Entry]:
        self._complete()
        return iter(sorted(self._entries.values(), key=lambda entry: entry.number))

    def __len__(self) -> int:
        self._complete()
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<SystemCalls {self.name}: {len(self)} calls on trap {self.trap:#x}>"

    def dispatch(self, process: Task, words: memoryview) -> bool:
        """Carry out the call that ``words``, the registers of ``process``, describe. For the process alone.

        Whether code of the application's may have run: it may have touched what the engine needs of the host process.
        """
        entry = self._entries.get(words[EAX])
        if entry is None or process.observers or process.guards:
            return self._dispatch_slowly(process, words, entry)
        tally = process.tally
        try:
            tally[entry.name] += 1
        except KeyError:
            tally[entry.name] = 1
        try:
            result = entry.carry_out(process, words) or 0
        except CallError as error:
            result = -error.args[0]
        except (MemoryFault, OutOfMemory) as error:
            result = _error_of(error)
        # Exec has replaced the registers by the time its handler returns: there is nobody left to tell.
        if process.replaced:
            process.replaced = False
        else:
            words[EAX] = result & MASK32
        return entry.foreign

    def uncount(self, process: Task, number: int) -> None:
        """The call that was just made waits, and will be made again."""
        entry = self._entries.get(number)
        if entry is not None:
            process.tally[entry.name] -= 1

    def _dispatch_slowly(self, process: Task, words: memoryview, entry: Entry | None) -> bool:
        """The same for calls that nobody knows (yet), and before observers and guards."""
        if entry is None and (self._complete() or words[EAX] in self._entries):
            return self.dispatch(process, words)
        if entry is None:
            key, counts = (self.name, words[EAX]), process.unknown_calls
            counts[key if key in counts or len(counts) < MOST_UNKNOWN else (self.name, OTHERS)] += 1
        else:
            process.tally[entry.name] = process.tally.get(entry.name, 0) + 1
        result = self._observed(process, entry) if process.observers else self._answer(process, entry)
        if process.replaced:
            process.replaced = False
        else:
            words[EAX] = result & MASK32
        return True

    def _observed(self, process: Task, entry: Entry | None) -> int:
        words, call = process.engine.cpu.words, process.observed
        if call is None or call.number != words[EAX] or call.table is not self:
            arguments = tuple(words[r] for r in self.registers) if entry is None else entry.fetch(words)
            process.observed = call = Call(process, self, words[EAX], entry, arguments)
            tell(process.observers, "entered", call)
        else:
            tell(process.observers, "repeated", call)
        try:
            result = self._answer(process, entry)
        except (WouldBlock, Interrupted):
            tell(process.observers, "waits", call)
            raise
        except BaseException:
            process.observe_end(None)
            raise
        process.observe_end(signed(result & MASK32))
        return result

    def _answer(self, process: Task, entry: Entry | None) -> int:
        words, guards = process.engine.cpu.words, process.guards
        try:
            if guards and guards.wants(self, words[EAX], entry):
                return guards.carry_out(process, self, words[EAX], entry)
            return -self.refusal(words[EAX]) if entry is None else entry.carry_out(process, words) or 0
        except (CallError, MemoryFault, OutOfMemory) as error:
            return _error_of(error)


def _error_of(error: CallError | MemoryFault | OutOfMemory) -> int:
    """What a guest gets for an exception of a handler's."""
    if isinstance(error, CallError):
        return -error.errno
    return -errno.EFAULT if isinstance(error, MemoryFault) else -errno.ENOMEM


def _fetcher(registers: tuple[int, ...]) -> Callable[[memoryview], tuple[int, ...]]:
    """A function that takes these registers out of a register file, as fast as can be."""
    if not registers:
        return lambda words: ()
    if len(registers) == 1:
        register = registers[0]
        return lambda words: (words[register],)
    return itemgetter(*registers)


def _parameters(handler: Handler) -> tuple[str, ...]:
    """The names of a handler's parameters. Raises TypeError where any of them is not positional."""
    if isinstance(handler, FunctionType) and not hasattr(handler, "__wrapped__"):
        code = handler.__code__
        if not code.co_kwonlyargcount and not code.co_flags & _VARIADIC:
            return code.co_varnames[: code.co_argcount]
    import inspect  # takes longer to import than this module, and functions are nearly all there is

    parameters = inspect.signature(handler).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    if not kinds <= {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}:
        raise TypeError("a handler takes positional parameters only: the process, then one for each argument")
    return tuple(parameter.name for parameter in parameters)


def _original_vx() -> SystemCalls:
    from vx32py.personality import vx

    return vx.TABLE


def _original_linux() -> SystemCalls:
    from vx32py.personality import linux

    return linux.TABLE


def _carrier(handler: Handler, registers: tuple[int, ...]) -> Callable[[Task, memoryview], int | None]:
    """A function that calls a handler with these registers: written out, because this is done at every call."""
    match registers:
        case ():
            return lambda process, words: handler(process)
        case (a,):
            return lambda process, words: handler(process, words[a])
        case (a, b):
            return lambda process, words: handler(process, words[a], words[b])
        case (a, b, c):
            return lambda process, words: handler(process, words[a], words[b], words[c])
        case (a, b, c, d):
            return lambda process, words: handler(process, words[a], words[b], words[c], words[d])
    fetch = _fetcher(registers)
    return lambda process, words: handler(process, *fetch(words))


def _name_of(handler: Any) -> str:
    return str(getattr(handler, "__name__", "call")).strip("_")


def signed(word: int) -> int:
    """A 32-bit register as a signed number.

    >>> signed(0xFFFFFFFF)
    -1
    """
    return word - (1 << 32) if word & 0x8000_0000 else word


def signed64(low: int, high: int) -> int:
    """Two 32-bit registers as a signed 64-bit number."""
    value = high << 32 | low
    return value - (1 << 64) if high & 0x8000_0000 else value
