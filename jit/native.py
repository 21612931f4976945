"""One guest's real processor: its segments, its memory, and the way in and out.

A :class:`NativeProcessor` owns four things: the code segment (executable on the host, execute-only for the guest), the
control segment, the guest's memory, and the descriptors for the three. :meth:`NativeProcessor.enter` is the hot path.

The segments come from :mod:`jit.segments`, and go back there.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import struct
import threading
from typing import Any, Final

from jit import gateway, hostarea, ldt, lending, lowmem, resting, signals, system
from jit.answers import Answers
from jit.kept import KeptCode
from jit.resting import Loan
from jit.segments import Lease, Unit, pool
from jit.space import HostSpace
from reference import layout
from reference.errors import EngineUnavailable
from reference.policy import Policy
from reference.stop import Stop, StopKind
from reference.traps import Access

_LEFT: Final = Stop(StopKind.LEFT)
_PAGE_FAULT: Final = 14
_ERROR_WRITE, _ERROR_FETCH = 2, 16  # SDM volume 3, figure 4-12
#: What a guest may have at most: the rest is for code segments and the gateway.
LARGEST_LIMIT: Final = (4 << 30) - (256 << 20)

#: How much code there is room for in a small one.
_SMALL_CODE: Final = 4 << 20

_REASON: Final = layout.control_word(layout.REASON)
_KIND: Final = hostarea.KIND >> 2
_RAW_EIP: Final = hostarea.RAW_EIP >> 2
_PENDING: Final = hostarea.PENDING >> 2
_VECTOR: Final = hostarea.VECTOR >> 2
_ERROR_CODE: Final = hostarea.ERROR_CODE >> 2
_FAULT_ADDRESS: Final = hostarea.FAULT_ADDRESS >> 2
_CLOSED: Final = hostarea.CLOSED >> 2


class NativeProcessor:
    """A processor for one guest with ``limit`` addresses of memory, of which ``budget`` bytes may be mapped.

    ``code`` and ``control`` are the bytes of the two segments, ``space`` the guest's memory, ``origin`` the EIP of code
    offset 0 (:mod:`reference.layout`). The memory is at linear address zero where that is possible, unless ``prefer_zero``
    is False or the guest ``needs_page_zero``. Raises EngineUnavailable, MemoryError, OSError.

    With ``space`` the memory is another processor's, which keeps it: this one is a second thread's, say.

    ``small``: with less code and the least control segment.

    ``kept`` is the code that the segments hold already, of an earlier guest with the same ``program`` and ``policy``,
    ``metered`` or not; None if they are as new.

    One thread at a time may use it; only :meth:`interrupt` is for all.
    """

    def __init__(
        self,
        *,
        limit: int,
        budget: int | None = None,
        code_size: int = layout.DEFAULT_CODE_SIZE,
        needs_page_zero: bool = False,
        prefer_zero: bool = True,
        based_code: bool | None = None,
        program: object = None,
        policy: Policy | None = None,
        metered: bool = False,
        space: HostSpace | None = None,
        small: bool = False,
    ) -> None:
        if limit > LARGEST_LIMIT:
            raise lowmem.LowMemoryError(
                f"no room for a guest of {limit:#x} bytes, at most {LARGEST_LIMIT:#x} are possible"
            )
        segment = layout.segment_size(limit)
        if small:
            code_size, segment = _SMALL_CODE, layout.LEAST_SEGMENT
        if based_code is None:
            based_code = based_code_is_free()
        lending.collect()

        def get() -> tuple[Lease, Unit, Loan]:
            lease, loan = Lease(), Loan()
            unit = pool.take(lease.terms, code_size, based_code, segment, program, policy, metered)
            if space is None:
                resting.place(limit, program, needs_page_zero=needs_page_zero, prefer_zero=prefer_zero, loan=loan)
            return lease, unit, loan

        got: tuple[Lease, Unit, Loan] | None = None
        with contextlib.suppress(lowmem.LowMemoryError):
            got = get()
        if got is None:  # and not earlier: the error holds on to the segments that were got
            lending.collect()
            pool.empty()
            resting.empty()
            lowmem.trim_zero()
            lowmem.start_over()  # or the segments of this very guest would lie where a large one before it ended
            got = get()
        lease, unit, loan = got
        # The unit goes back when the last view of its control block has gone, which a CPU also holds.
        window = (ctypes.c_ubyte * unit.area).from_address(unit.control)
        window.lease = lease  # type: ignore[attr-defined]
        #: Whether to close the memory with this processor.
        self.owns_space = space is None
        self.space = HostSpace(loan, budget=budget, program=program) if space is None else space
        unit.prepare(self.space.base, limit)
        self.kept, unit.kept = unit.kept, None
        self._unit: Unit | None = unit
        self.origin = unit.origin
        self.control = memoryview(window).cast("B")
        self.code = memoryview((ctypes.c_ubyte * code_size).from_address(unit.code)).cast("B")
        self._words = self.control.cast("I")
        #: Who holds this while a guest runs keeps its memory and its registers where they are, whoever closes the
        #: processor.
        self.held: tuple[memoryview, ...] | None = (self._words, self.space.buffer)
        self._thunks = unit.thunks
        page = (ctypes.c_ubyte * system.PAGE).from_address(unit.thunks.answers)
        page.window = window  # type: ignore[attr-defined]  # whoever has the one view keeps what both are parts of
        self.answers = Answers(
            gateway.load(), memoryview(page).cast("B"), unit.thunks.answers, self.control, self.space
        )
        #: Enters at an EIP of the code segment and returns a KIND; for those who know that the thread is prepared.
        self.call = unit.thunks.call
        #: Goes on behind a call (``thunk_resume`` in ``gateway.s``); for those who know that the thread was prepared.
        self.resume = unit.thunks.resume(self.held)
        self._verify = unit.thunks.verify
        self._thread_id = 0
        self._entered = False

    def enter(self, offset: int, single: bool = False) -> Stop:
        """Enter the guest at code offset ``offset`` with the state in the control block; return when it stops.

        ``single`` sets the trap flag: STEPPED after one instruction (of a repeated string instruction: one repetition).

        When signals arrive for which there are Python handlers, the guest is left, they run before this returns, and the
        guest goes on. An exception of theirs is raised from here; :meth:`last_stop` then says where the guest stands.
        """
        if self._thread_id != threading.get_ident():
            self.prepare()
        held = self.held
        call = self._thunks.step if single else self.call
        self._entered = True
        kind = call(self.origin + offset)
        if kind == hostarea.KIND_LEFT:
            self._entered = False
            return _LEFT
        while kind == hostarea.KIND_INTERRUPTED and not self._words[_PENDING]:
            self.prepare()
            kind = call(self._words[_RAW_EIP])
        if held is not self.held:
            raise ValueError("the processor was closed while it ran")
        return self.last_stop()

    def called(self) -> None:
        """Take note that :attr:`call` was used, and has not simply LEFT the guest: :meth:`last_stop` is to tell how."""
        self._entered = True

    def last_stop(self) -> Stop:
        """How the guest stopped the last time it ran. Takes note of an interruption, so that there is not another.

        Where the exception of a signal handler came before the guest was entered at all: as if it had left to look up where
        it stands, so that it goes on there.
        """
        words = self._words
        if not self._entered:
            words[_REASON] = layout.Reason.LOOKUP
            return _LEFT
        stop = self._read_stop()
        self._entered = False  # not before: a signal handler may raise meanwhile
        return stop

    def _read_stop(self) -> Stop:
        words = self._words
        kind = words[_KIND]
        if kind == hostarea.KIND_LEFT:
            return _LEFT
        offset = words[_RAW_EIP] - self.origin
        if kind == hostarea.KIND_STEPPED:
            return Stop(StopKind.STEPPED, offset)
        if kind == hostarea.KIND_INTERRUPTED:
            words[_PENDING] = 0
            return Stop(StopKind.INTERRUPTED, offset)
        vector = words[_VECTOR]
        if vector != _PAGE_FAULT:
            return Stop(StopKind.FAULT, offset, vector)
        error = words[_ERROR_CODE]
        access = Access.EXECUTE if error & _ERROR_FETCH else Access.WRITE if error & _ERROR_WRITE else Access.READ
        address = (words[_FAULT_ADDRESS] - self.space.base) & 0xFFFF_FFFF
        return Stop(StopKind.FAULT, offset, vector, address, access)

    def prepare(self) -> None:
        """Make sure that this thread can run guests: signal handlers, alternate stack, signal mask. Call it at the start
        of each run, because other code may have changed them; about a microsecond if nobody has."""
        if self._thread_id != threading.get_ident():
            thread = signals.this_thread()
            thread.add_user(self)
            struct.pack_into("<Q", self.control, hostarea.THREAD_RECORD, thread.address)
            self._thread_id = threading.get_ident()
        while answer := self._verify():
            signals.repair(answer)

    def knows_thread(self) -> bool:
        """Whether this thread is the one that was prepared last."""
        return self._thread_id == threading.get_ident()

    def forget_thread(self) -> None:
        """The thread that prepared this processor has ended, and another may have its number."""
        self._thread_id = 0

    def bound_control(self, size: int) -> None:
        """Give the control segment this size. Only while no thread is in the guest."""
        if self._unit is not None:
            self._unit.bound_control(size)

    def interrupt(self) -> None:
        """Make a running or the next :meth:`enter` return INTERRUPTED. From any thread, and from signal handlers."""
        self._thunks.interrupt()

    def close(self, keep: KeptCode | None = None) -> None:
        """Give back memory and descriptors, with the code to ``keep`` for the next guest. Nothing of this object may be
        used afterwards. Closing twice is fine, and closing while another thread is in the guest: there :meth:`enter`
        raises ValueError."""
        if self.held is None:
            return
        self._words[_CLOSED] = 1
        self.interrupt()
        if self._unit is not None:
            self._unit.kept, self._unit = keep, None
        self.held = None
        self.call = self.resume = self._verify = closed
        self._thunks = _ClosedThunks()  # type: ignore[assignment]
        self.code = memoryview(b"")
        # For a thread that is just about to use it.
        self.control = memoryview(bytearray(layout.CONTROL_BLOCK + layout.DIRECT_TABLE))
        self._words = self.control.cast("I")
        if self.owns_space:
            self.space.close()
        lending.collect()


def closed(*_: int) -> int:
    """What the functions of a closed processor become. Raises ValueError."""
    raise ValueError("the processor is closed")


class _ClosedThunks:
    step = verify = staticmethod(closed)
    interrupt = staticmethod(lambda: 0)


@functools.cache
def based_code_is_free() -> bool:
    """Whether this processor runs code segments with a base of their own at full speed.

    Intel's do. On AMD's (measured on Zen 4) every taken branch in a code segment whose base is not zero costs about 20
    cycles, entering and leaving one takes microseconds, and any limit but 4 GiB costs up to a third of the speed, so there
    the code segment is flat, and execute-only. What else is executable below 4 GiB (the gateway, other guests' code caches,
    the text of an executable that is not position-independent) is then kept from the guest by the translator alone.
    """
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return any("GenuineIntel" in line for line in itertools.islice(file, 8))
    except OSError:
        return False


@functools.cache
def available() -> str | None:
    """None where this host can run guests natively, else the reason why not."""
    reason = gateway.supported() or ldt.probe()
    if reason is not None:
        return reason
    try:
        NativeProcessor(limit=system.PAGE, prefer_zero=False).close()
    except (EngineUnavailable, MemoryError, OSError) as error:
        return str(error)
    return None


def facts() -> dict[str, Any]:
    """What this host offers, for ``vx32py doctor``: names for people, and values."""
    reason = available()
    found: dict[str, Any] = {"available": reason is None}
    if reason is not None:
        return found | {"reason": reason}
    gate = gateway.load()
    zero = lowmem.why_no_zero(64 << 20)
    return found | {
        "guest memory at linear address zero": zero or "possible",
        "lowest mappable address": lowmem.lowest(),
        "code segments": "with a base of their own" if based_code_is_free() else "with base zero",
        "floating-point state": f"XSAVE, XCR0 {gate.xcr0:#x}" if gate.xsave_mask else "FXSAVE",
        "FSGSBASE": gate.fsgsbase,
        "bytes of a signal frame": gateway.signal_frame_bytes(),
        "private signal": signals.kick_signal(),
        "descriptors in use": sum(1 for raw in ldt.read_entries() if any(raw)),
    }
