"""Signals: our handler in place for those that concern guests, and an alternate stack for each thread that runs guests.

The handler itself is in ``handler.s``. Here is what surrounds it, and all that is not needed at the moment of a signal:
putting it in the place of others and remembering them, and what each thread needs. Other code may change any of this at
any time; :meth:`NativeProcessor.prepare` has it checked before each run, natively, and calls :func:`repair` if it must.
(What it cannot help: a handler for processor exceptions that one thread installs while another is in a guest gets the
faults of that guest, and will take them for the host's, until the next check.)

A guest that runs for long is left every 20 ms of processor time, and entered again: then what was missed is noticed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import threading
import weakref
from typing import Final, Protocol

from jit import gateway, hostarea, lowmem, system
from jit.gateway import Gateway
from reference.weak import WeakGroup

_SA_SIGINFO: Final = 4
_SA_RESTORER: Final = 0x0400_0000
_SA_ONSTACK: Final = 0x0800_0000
_SA_RESTART: Final = 0x1000_0000
_SA_NODEFER: Final = 0x4000_0000
_SA_RESETHAND: Final = 0x8000_0000
_NO_HANDLER: Final = (0, 1)  # SIG_DFL, SIG_IGN
_SS_DISABLE: Final = 2
_CLOCK_THREAD_CPUTIME: Final = 3
_SIGEV_THREAD_ID: Final = 4

#: Around a thread's alternate stack: a page that catches what runs over below, and one with the thread's record above.
_BESIDES: Final = 2 * system.PAGE

_SIGACTION: Final = struct.Struct("<QQQQ")  # struct kernel_sigaction: handler, flags, restorer, mask
_STACK_T: Final = struct.Struct("<QiiQ")  # address, flags, padding, size
_SIGEVENT: Final = struct.Struct("<QiiI44x")  # value, signal, how, thread

#: Processor exceptions. Ours in any case; everything else only where somebody handles it.
_EXCEPTIONS: Final = (11, 7, 8, 4, 5)  # SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP
#: The C library's own signals, the first two of the real-time ones: it would not understand being displaced.
_C_LIBRARY: Final = (32, 33)


def _query(number: int) -> tuple[int, int, int, int]:
    """(handler, flags, restorer, mask) of a signal."""
    old = ctypes.create_string_buffer(_SIGACTION.size)
    system.call("SYS_RT_SIGACTION", number, None, old, 8)
    handler, flags, restorer, mask = _SIGACTION.unpack(old.raw)
    return handler, flags, restorer, mask


def _set(number: int, handler: int, flags: int, restorer: int, mask: int) -> None:
    system.call("SYS_RT_SIGACTION", number, _SIGACTION.pack(handler, flags, restorer, mask), None, 8)


class Handlers:
    """Our handler, and those it has displaced (see ``handlers`` in ``handler.s``)."""

    def __init__(self, gate: Gateway) -> None:
        self._gateway = gate
        first = gate.address_of("handlers")
        self._entries = [first + (i << gateway.ENTRY_SHIFT) for i in range(gateway.ENTRIES)]
        self._restorer = gate.address_of("restorer")
        #: For each signal what the entries that were in force displaced, entry 0 first.
        self._displaced: dict[int, list[int]] = {}
        #: A private signal that only fetches a thread out of its guest. Taken from the upper end, where few look.
        free = (n for n in range(signal.SIGRTMAX - 2, signal.SIGRTMIN, -1) if _query(n)[0] == 0)
        self.kick = next(free, 0)
        #: Another one, for the main thread where a third has taken a signal: it ends what the main thread waits in, too, as that
        #: signal would have. The other one must not: timers send it at any time.
        self.wake = next(free, 0)
        if not self.wake:
            raise OSError(errno.EAGAIN, "fewer than two real-time signals are free")
        self._needed = (*_EXCEPTIONS, self.kick, self.wake)
        others = [
            n
            for n in range(1, signal.SIGRTMAX + 1)
            if n not in {*self._needed, *_C_LIBRARY, signal.SIGKILL, signal.SIGSTOP}
        ]
        gate.store("kick_signal", struct.pack("<I", self.kick))
        gate.store("wake_signal", struct.pack("<I", self.wake))
        gate.store("needed_mask", struct.pack("<Q", sum(1 << (n - 1) for n in self._needed)))
        gate.store("exception_signals", bytes([*_EXCEPTIONS, 0]))
        gate.store("other_signals", bytes([self.kick, self.wake, *others, 0]))
        for number in (*self._needed, *others):
            self.install(number)
        for number in _C_LIBRARY:
            handler, flags, restorer, mask = _query(number)
            if handler not in _NO_HANDLER and not flags & _SA_ONSTACK:
                # Without this it would run on the stack of the guest that it interrupts.
                _set(number, handler, flags | _SA_ONSTACK, restorer, mask)

    def install(self, number: int) -> None:
        """See that one of our entries is in force for signal ``number``, if it is one that we need or somebody handles it.

        Raises OSError where other code has displaced and kept all of them.
        """
        handler, flags, _, mask = _query(number)
        needed = number in self._needed
        if handler in self._entries:  # perhaps an earlier one again
            self._expect(number, handler)
            return
        if handler in _NO_HANDLER and not needed:
            return
        displaced = self._displaced.setdefault(number, [])
        if handler in displaced:
            entry = displaced.index(handler)
        elif len(displaced) < gateway.ENTRIES:
            entry = len(displaced)
            displaced.append(handler)
        else:
            raise OSError(errno.EBUSY, f"signal {number} has too many handlers on top of each other")
        where = (number << gateway.RECORD_SHIFT) + gateway.RECORD_HANDLERS + 16 * entry
        self._gateway.store("records", struct.pack("<QQ", handler, flags), where)
        if number == self.kick:
            flags, mask = _SA_RESTART, 0  # deferred while it is handled: many may be queued
        elif number == self.wake:
            flags, mask = 0, 0
        elif needed:
            flags, mask = _SA_NODEFER, 0  # a fault in a handler that ours calls must be able to reach it
        flags = flags & ~_SA_RESETHAND | _SA_SIGINFO | _SA_ONSTACK | _SA_RESTORER
        self._expect(number, self._entries[entry])
        _set(number, self._entries[entry], flags, self._restorer, mask)

    def _expect(self, number: int, entry: int) -> None:
        where = (number << gateway.RECORD_SHIFT) + gateway.RECORD_EXPECTED
        self._gateway.store("records", struct.pack("<Q", entry), where)


class User(Protocol):
    """Who knows the address of a thread's record."""

    def forget_thread(self) -> None:
        """The thread has ended."""


class Thread:
    """What a thread needs to run guests: an alternate stack, a timer, and the record that tells native code of both.

    ``address`` is that of the record. Made by the thread itself, and given back when the thread ends.
    """

    def __init__(self, gate: Gateway, kick: int) -> None:
        self._kick = kick
        # One frame for the signal, another for one that interrupts its handler, and what Python's own handlers use. Above
        # 4 GiB, as any ordinary mapping: the kernel must never take a guest's stack pointer for one that is already on it.
        size = max(64 << 10, 8 * gateway.signal_frame_bytes())
        self._size = -(-size // system.PAGE) * system.PAGE
        guard = lowmem.anywhere(_BESIDES + self._size)
        system.mprotect(guard, system.PAGE, system.NONE)
        self._stack = guard + system.PAGE
        # Not in Python's memory, which is gone before the process is: the timer's signals come to the end, and write there.
        self.address = self._stack + self._size
        self._record = (ctypes.c_char * hostarea.THREAD_RECORD_BYTES).from_address(self.address)
        gate.adopt_thread()
        self._finalizer: weakref.finalize[..., Thread] | None = None
        self._users: WeakGroup[User] = WeakGroup()
        self.renew()

    def renew(self) -> None:
        """Fill in the record: at the start, and in the child after a fork, which has another number and no timers."""
        number = threading.get_native_id()
        timer = self._make_timer(number)
        main = 0xFFFF_FFFF if number == os.getpid() else 0
        struct.pack_into("<QQIIiIQ", self._record, 0, self._stack, 0, number, main, timer, 0, 0)
        if self._finalizer is not None:
            self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _retire_thread, self._users, self._stack, self._size, number, timer)
        self._finalizer.atexit = False

    def add_user(self, user: User) -> None:
        """Tell ``user`` when the thread ends; it must forget the record then."""
        self._users.add(user)

    def set_stack(self) -> None:
        """Make ours the thread's alternate stack."""
        system.call("SYS_SIGALTSTACK", _STACK_T.pack(self._stack, 0, 0, self._size), None)

    def _make_timer(self, number: int) -> int:
        """A timer over the thread's processor time that sends the kick signal; -1 where the system has none left."""
        timer = ctypes.create_string_buffer(4)
        try:
            event = _SIGEVENT.pack(self.address, self._kick, _SIGEV_THREAD_ID, number)
            system.call("SYS_TIMER_CREATE", _CLOCK_THREAD_CPUTIME, event, timer)
        except OSError:
            return -1
        return int.from_bytes(timer.raw, "little")


def _retire_thread(users: WeakGroup[User], stack: int, size: int, number: int, timer: int) -> None:
    """Runs in the thread that ends, as its last Python code. Where it does not (in the interpreter's own shutdown, or in
    the child of a fork), stack and record stay: unmapping them while a thread may still get signals would kill the process."""
    for user in users:
        user.forget_thread()
    if threading.get_native_id() != number:
        return
    if timer >= 0:
        system.call("SYS_TIMER_DELETE", timer)
    current = ctypes.create_string_buffer(_STACK_T.size)
    system.call("SYS_SIGALTSTACK", None, current)
    if _STACK_T.unpack(current.raw)[0] == stack:
        system.call("SYS_SIGALTSTACK", _STACK_T.pack(0, _SS_DISABLE, 0, 0), None)
    system.munmap(stack - system.PAGE, _BESIDES + size)


class _Process:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.handlers: Handlers | None = None
        self.threads = threading.local()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.lock = threading.RLock()  # another thread of the parent may have held it
        thread: Thread | None = getattr(self.threads, "thread", None)
        if thread is not None:
            thread.renew()


_process: Final = _Process()


def this_thread() -> Thread:
    """The calling thread's :class:`Thread`; the first call of all installs the handlers. Raises OSError."""
    thread: Thread | None = getattr(_process.threads, "thread", None)
    if thread is None:
        gate = gateway.load()
        with _process.lock:
            if _process.handlers is None:
                _process.handlers = Handlers(gate)
        thread = _process.threads.thread = Thread(gate, _process.handlers.kick)
    return thread


def repair(answer: int) -> None:
    """Put right what ``verify`` (in ``handler.s``) found: the alternate stack (-1), or the handler of a signal."""
    thread = this_thread()
    if answer < 0:
        thread.set_stack()
    else:
        assert _process.handlers is not None
        with _process.lock:
            _process.handlers.install(answer)


def kick_signal() -> int | None:
    """The private signal, or None before the first guest has run."""
    return _process.handlers.kick if _process.handlers is not None else None
