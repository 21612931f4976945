"""The interpreter: fetch, decode, execute, one instruction after the other.

It runs code where it finds it, through whatever segments and memory it is given. With flat segments over a guest's
address space it is the golden model (:mod:`reference.engines`); with a code segment over a code cache it runs translated
code (:mod:`reference.model`). What it executes it does not judge: the decoder has refused what the policy refuses.

An instruction is decoded and bound once and remembered by its EIP, until the memory it came from changes; code that
modifies the very next instruction works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from reference.errors import MemoryFault, NotModelled
from reference.isa import semantics as _families  # noqa: F401 - fills the registry
from reference.isa.decode import MAX_LENGTH, decode
from reference.isa.instruction import Instruction, InvalidOpcode, TruncatedCode
from reference.isa.semantics.machine import LinearMemory, Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import SEMANTICS, Semantics
from reference.memory import PAGE_SHIFT
from reference.policy import Policy
from reference.registers import CPU, EIP, MASK32, Segment
from reference.segmentation import SegmentFault, Segments
from reference.traps import Access, GuestTrap, Trap, Vector, page_fault, processor_trap, protection_fault

#: More instructions than anybody waits for.
UNLIMITED: Final = 1 << 62

Decoder = Callable[[bytes, int], Instruction]


class Interpreter:
    """Executes instructions from ``cpu.eip`` on.

    ``decode`` turns up to fifteen bytes and their EIP into an instruction; left out, it is the table's decoder under
    ``policy``. ``extra`` gives, or replaces, the semantics of some mnemonics. ``clock`` is the time-stamp counter.

    Traps come back as they look from the segment: EIP is an offset in CS, a page fault's address is linear.
    """

    def __init__(
        self,
        cpu: CPU,
        memory: LinearMemory,
        segments: Segments,
        policy: Policy,
        *,
        decode: Decoder | None = None,
        extra: Mapping[str, Semantics] | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.machine = Machine(cpu, memory, segments, policy, clock)
        #: Instructions begun so far, including those that trapped. One that an interrupt has held up counts when it is done.
        self.executed = 0
        self._decode: Decoder = decode if decode is not None else _decoder(policy)
        self._semantics: Mapping[str, Semantics] = {**SEMANTICS, **extra} if extra else SEMANTICS
        self._operations: dict[int, Operation] = {}
        self._pages: dict[int, list[int]] = {}
        self._watching = False
        self.machine.segments_loaded = self.segments_changed

    def run(self, most: int = UNLIMITED) -> Trap | None:
        """Execute until a trap, and return it; None after ``most`` instructions without one.

        An interrupt (``machine.interrupted``) is taken between two instructions, or between two iterations of one that
        repeats. Raises NotModelled, with EIP at the instruction.
        """
        machine, known = self.machine, self._operations
        eip, count = machine.words[EIP], 0
        try:
            for count in range(1, most + 1):  # noqa: B007 - counted up at the end
                if machine.interrupted:
                    machine.take_interrupt(eip)
                operation = known.get(eip) or self._remember(eip)
                eip = operation.run(machine, operation)
        except (GuestTrap, SegmentFault, MemoryFault) as error:
            trap = trap_of(error, eip)
            eip = trap.eip
            count -= trap.number == Vector.IRQ
            return trap
        except NotModelled:
            count -= 1
            raise
        finally:
            machine.words[EIP] = eip
            self.executed += count
        return None

    def run_one(self) -> Trap | None:
        """Execute one instruction without remembering it: for an instruction that will not come again soon."""
        machine = self.machine
        eip = machine.words[EIP]
        try:
            operation = self.bind(eip)
            self.executed += 1
            eip = operation.run(machine, operation)
        except (GuestTrap, SegmentFault, MemoryFault) as error:
            trap = trap_of(error, eip)
            eip = trap.eip
            return trap
        finally:
            machine.words[EIP] = eip
        return None

    def fetch(self, eip: int) -> Instruction:
        """The instruction at ``CS:eip``. Raises SegmentFault or GuestTrap where there is none to execute."""
        segments = self.machine.segments
        linear = segments.linear(Segment.CS, eip, 1, Access.EXECUTE)
        _, last = segments.window(Segment.CS, Access.EXECUTE)
        code = self.machine.memory.fetch(linear, min(MAX_LENGTH, last - eip + 1))
        try:
            return self._decode(code, eip)
        except TruncatedCode:
            if eip + len(code) > last:
                raise SegmentFault("the instruction reaches beyond CS") from None
            raise GuestTrap(page_fault(eip, linear + len(code) & MASK32, Access.EXECUTE)) from None
        except InvalidOpcode as error:
            raise GuestTrap(processor_trap(Vector.INVALID_OPCODE, eip, error.reason)) from None

    def bind(self, eip: int) -> Operation:
        """The instruction at ``CS:eip``, ready to run. Raises like :meth:`fetch`."""
        instruction = self.fetch(eip)
        return Operation(self.machine, instruction, self._semantics.get(instruction.mnemonic, _not_modelled))

    def forget(self, first_page: int, last_page: int) -> None:
        """Drop what was decoded from these pages of linear memory (half-open)."""
        if last_page - first_page > len(self._pages):
            pages = [page for page in self._pages if first_page <= page < last_page]
        else:
            pages = [page for page in range(first_page, last_page) if page in self._pages]
        for page in pages:
            for eip in self._pages.pop(page):
                self._operations.pop(eip, None)

    def segments_changed(self) -> None:
        """Drop everything that was bound to the old content of the segment registers."""
        self.machine.segments_changed()
        self._operations.clear()
        self._pages.clear()

    def close(self) -> None:
        """Stop watching memory."""
        if self._watching:
            self._watching = False
            self.machine.memory.remove_watcher(self.forget)

    def _remember(self, eip: int) -> Operation:
        operation = self.bind(eip)
        linear = self.machine.segments.linear(Segment.CS, eip, 1, Access.EXECUTE)
        first, last = linear >> PAGE_SHIFT, (linear + operation.instruction.length - 1 & MASK32) >> PAGE_SHIFT
        for page in {first, last}:
            if page not in self._pages:
                self._pages[page] = []
                self._watch(page)
            self._pages[page].append(eip)
        self._operations[eip] = operation
        return operation

    def _watch(self, page: int) -> None:
        memory = self.machine.memory
        if not self._watching:
            self._watching = True
            memory.add_watcher(self.forget)
        memory.watch(page, page + 1)


def trap_of(error: Exception, eip: int) -> Trap:
    """What the exception of an instruction at ``eip`` means as a trap."""
    if isinstance(error, GuestTrap):
        return error.trap
    if isinstance(error, MemoryFault):
        return page_fault(eip, error.address, error.access)
    assert isinstance(error, SegmentFault)
    vector = Vector.STACK_FAULT if error.stack else Vector.GENERAL_PROTECTION
    return protection_fault(eip, str(error), vector=vector)


def _decoder(policy: Policy) -> Decoder:
    return lambda code, eip: decode(code, eip, policy)


def _not_modelled(machine: Machine, operation: Operation) -> int:
    raise NotModelled(operation.instruction.mnemonic, operation.eip)
