"""Code and control segments, with their descriptors: who has them, and those that wait for the next guest.

They cost a few system calls and page faults, and most guests are short, so they are kept when a guest has gone, with the
code that was translated for it (:mod:`jit.kept`).
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import struct
import threading
from typing import Final

from jit import gateway, hostarea, ldt, lending, lowmem, system
from jit.kept import KeptCode
from reference import layout
from reference.errors import EngineUnavailable
from reference.policy import Policy
from reference.segmentation import Descriptor

#: So many closed guests' segments wait for new guests.
_MOST_IDLE: Final = 8
_LEAVE_POINTER: Final = layout.CONTROL_BLOCK + layout.LEAVE_POINTER


class Unit:
    """A code and a control segment with three descriptors, which outlive guests. They are there after :meth:`make`."""

    def __init__(self, code_size: int, based_code: bool, segment: int) -> None:
        self.kind = (code_size, based_code, segment)
        self.code_size = code_size
        #: The sizes of the control segment and of the control area.
        self.segment = segment
        self.area = layout.CONTROL_BLOCK + segment
        #: What the segments hold from their last guest; None if they are as new.
        self.kept: KeptCode | None = None
        #: Whose they are; None while they wait, and since when that is.
        self.lease: object = None
        self.since = 0
        self.ready = False
        self._code_room: list[int] = []
        self._control_room: list[int] = []
        self._pages: list[int] = []
        self._indices: list[int] = []

    def make(self) -> None:
        """Get memory and descriptors. Raises EngineUnavailable, OSError, MemoryError; :meth:`destroy` is called then."""
        gate = self._gateway = gateway.load()
        if gate.host_code_selector >= layout.NO_CODE:
            raise EngineUnavailable(f"the selector of this host's code, {gate.host_code_selector:#x}, is too large")
        code_size, based_code, segment = self.kind
        self.code = lowmem.reserve(code_size, self._code_room)
        self.control = lowmem.reserve(self.area, self._control_room)
        system.mprotect(self.control, self.area, system.READ | system.WRITE)
        try:
            system.mprotect(self.code, code_size, system.READ | system.WRITE | system.EXECUTE)
        except OSError as error:
            raise EngineUnavailable(f"the system refuses writable and executable memory: {error}") from error
        self.origin = 0 if based_code else self.code
        self._bound = segment
        #: Base and limit of the data segment.
        self._data = 0, 1
        for descriptor in (
            # With base zero the limit bounds only upwards, and any but 4 GiB costs a third of the speed on Zen 4.
            Descriptor.execute_only(self.code, code_size) if based_code else Descriptor.execute_only(0, 1 << 32),
            Descriptor.data(self.control + layout.CONTROL_BLOCK, segment),
            Descriptor.data(*self._data),
        ):
            ldt.allocator.allocate(descriptor, self._indices)
        self._block = self._constants()
        self._leave_pointer = struct.pack("<IH", gate.address_of("leave"), gate.host_code_selector)
        self.thunks = gateway.Thunks(gate, self.control, self._pages)
        self.ready = True

    def wipe(self) -> None:
        """Forget everything but the code that is kept: all that is not a table reads as zeros, and if no code is kept, so
        does everything."""
        if self.kept is None:
            system.forget(self.control, self.area)
            system.forget(self.code, self.code_size)
        else:
            ctypes.memset(self.control, 0, layout.CONTROL_BLOCK + layout.DIRECT_TABLE)

    def bound_control(self, size: int) -> None:
        """Give the control segment this size, from the next entry on."""
        if size != self._bound:
            self._bound = -1  # neither, should an exception come before it is known
            ldt.write_entry(self._indices[1], Descriptor.data(self.control + layout.CONTROL_BLOCK, size))
            self._bound = size

    def prepare(self, base: int, limit: int) -> None:
        """Fill in the control block, which is all zeros, for a guest with memory there; the page of answers is cleared."""
        ctypes.memset(self.thunks.answers, 0, system.PAGE)
        if (base, limit) != self._data:
            self._data = 0, 0  # neither, as above
            ldt.write_entry(self._indices[-1], Descriptor.data(base, limit))
            self._data = base, limit
        self.bound_control(self.segment)
        ctypes.memmove(self.control, self._block, len(self._block))
        ctypes.memmove(self.control + _LEAVE_POINTER, self._leave_pointer, len(self._leave_pointer))

    def _constants(self) -> bytes:
        """The control block as a guest begins with it, up to its registers."""
        gate = self._gateway
        code_index, control_index, data_index = self._indices
        block = bytearray(layout.FP_IMAGE)
        struct.pack_into("<IH", block, layout.ENTER_POINTER, 0, ldt.selector(code_index))
        struct.pack_into("<Q", block, hostarea.SELF, self.control)
        for offset, value in (
            (hostarea.XSAVE_MASK, gate.xsave_mask),
            (hostarea.XRSTOR_MASK, gate.xrstor_mask),
            (hostarea.FSGSBASE, gate.fsgsbase),
            (hostarea.DATA_SELECTOR, ldt.selector(data_index)),
            (hostarea.CONTROL_SELECTOR, ldt.selector(control_index)),
            (hostarea.CODE_SELECTOR, ldt.selector(code_index)),
            (hostarea.MAGIC, hostarea.MAGIC_VALUE),
            (hostarea.STAYS_UNTIL_QUICK, hostarea.QUICK_STAYS),
        ):
            struct.pack_into("<I", block, offset, value)
        return bytes(block)

    def destroy(self) -> None:
        """Give memory and descriptors back. May be interrupted by an exception, and called again."""
        self.ready = False
        gateway.Thunks.release(self._pages)
        ldt.allocator.free_all(self._indices)
        system.munmap_from(self._control_room, self.area)
        system.munmap_from(self._code_room, self.code_size)


class _Terms:
    """What a lease is about, which outlives it."""

    def __init__(self) -> None:
        self.unit: Unit | None = None

    def end(self) -> None:
        """Give the segments back."""
        pool.put_back(self.unit, self)


class Lease:
    """Segments for a guest, for as long as somebody refers to this object."""

    def __init__(self) -> None:
        self.terms = _Terms()
        lending.lend(self, self.terms.end)


#: Whose segments are that are about to go.
_NOBODY: Final = object()


class _Pool:
    """Segments: those that guests have, and those that wait for a guest."""

    def __init__(self) -> None:
        # Reentrant: the guest of a signal handler may need segments at any time.
        self._lock = threading.RLock()
        self._units: list[Unit] = []
        self._turns = itertools.count()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()  # another thread of the parent may have held it

    def take(
        self, terms: _Terms, code_size: int, based_code: bool, segment: int, program: object, policy: Policy | None,
        metered: bool,
    ) -> Unit:  # fmt: skip
        """Segments whose code suits, or that hold none, or what has waited longest. Raises what :meth:`Unit.make` raises."""
        kind = (code_size, based_code, segment)
        with self._lock:
            idle = self._idle()
            fitting = [unit for unit in idle if unit.kind == kind]
            for unit in fitting:
                if unit.kept is not None and policy is not None and unit.kept.suits(program, policy, metered):
                    unit.lease, terms.unit = terms, unit
                    return unit
            if not fitting or (len(idle) < _MOST_IDLE and all(unit.kept is not None for unit in fitting)):
                chosen = Unit(*kind)
                chosen.lease, terms.unit = terms, chosen
                self._units.append(chosen)
            else:
                chosen = next((unit for unit in fitting if unit.kept is None), fitting[0])
                chosen.lease, terms.unit = terms, chosen
        if not chosen.ready:
            chosen.make()
        if chosen.kept is not None:
            chosen.kept = None
            chosen.wipe()
        return chosen

    def put_back(self, unit: Unit | None, terms: _Terms) -> None:
        """The lease has ended. May be interrupted by an exception, and called again."""
        if unit is None or unit.lease is not terms:
            return
        if unit.ready:
            unit.wipe()
            since = next(self._turns)
            unit.since, unit.lease = since, None
            if len(self._units) <= _MOST_IDLE:
                return
            with self._lock:
                for each in self._idle()[:-_MOST_IDLE]:
                    each.lease = _NOBODY
        else:
            unit.lease = _NOBODY
        self._clear_away()

    def empty(self) -> None:
        """Give up all that wait."""
        gc.collect()  # guests that nobody closed, perhaps
        lending.collect()
        with self._lock:
            for unit in self._idle():
                unit.lease = _NOBODY
        self._clear_away()

    def _idle(self) -> list[Unit]:
        """Those that wait, the longest first."""
        return sorted((unit for unit in self._units if unit.lease is None), key=lambda unit: unit.since)

    def _clear_away(self) -> None:
        with self._lock:
            for unit in [unit for unit in self._units if unit.lease is _NOBODY]:
                unit.destroy()
                self._units.remove(unit)


pool: Final = _Pool()
