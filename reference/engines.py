"""The reference engine: guest code, executed where it stands. The golden model that every other engine must agree with.

The guest's world is flat. DS, ES and SS cover its address space from 0 to the limit; instructions are fetched from pages
with execute permission; GS is the thread pointer where the policy has one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from reference.engine import Stats
from reference.interpreter import Interpreter
from reference.memory import AddressSpace
from reference.policy import Policy
from reference.registers import CPU, MASK32, Segment
from reference.segmentation import LDT, Descriptor, SegmentFault, Segments
from reference.traps import Access, Trap, Vector


class GuestSegments(Segments):
    """The segments as a guest sees them.

    CS reaches over all 4 GiB: what is not there shows as a page that cannot be executed. GS has no descriptor; its base
    is ``cpu.gs_base``, and an access through it must be inside the data segment after the base has been added. Only the
    selector that the host has handed out can be loaded into it, or a null selector, which changes nothing.
    """

    def __init__(self, cpu: CPU, limit: int) -> None:
        super().__init__(LDT())
        self.cpu = cpu
        data = Descriptor.data(0, limit)
        for register in (Segment.DS, Segment.ES, Segment.SS):
            self.hidden[register] = data
        self.hidden[Segment.CS] = Descriptor.execute_only(0, 1 << 32)

    def selector(self, register: Segment) -> int:
        """The guest's view of a selector: 0 where it has none."""
        return (self.cpu.gs_selector or 0) if register == Segment.GS else super().selector(register)

    def load(self, register: Segment, selector: int) -> None:
        """A guest loads GS only. Raises SegmentFault for a selector that is not its own."""
        if register != Segment.GS or (selector & ~3 and selector != self.cpu.gs_selector):
            raise SegmentFault(f"selector {selector:#06x} is not the guest's")

    def linear(self, register: Segment, offset: int, size: int, access: Access) -> int:
        """As :meth:`Segments.linear`, with GS as the thread pointer."""
        if register == Segment.GS:
            if self.cpu.gs_base is None:
                raise SegmentFault("GS is not in use")
            register, offset = Segment.DS, self.cpu.gs_base + offset & MASK32
        return super().linear(register, offset, size, access)


class ReferenceEngine:
    """One guest on the interpreter; an :class:`~reference.engine.Engine`.

    >>> space = AddressSpace(0x10000)
    >>> space.map(0x1000, 0x1000, Access.RX)
    >>> space.store(0x1000, bytes.fromhex("b82a000000 0f05"))   # mov eax, 42; syscall
    >>> engine = ReferenceEngine(space)
    >>> engine.cpu.eip = 0x1000
    >>> str(engine.run()), engine.cpu.eax
    ('syscall at eip 0x00001007', 42)
    """

    name = "reference"

    def __init__(
        self,
        space: AddressSpace,
        policy: Policy | None = None,
        *,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.cpu = CPU()
        self.space = space
        self.policy = policy if policy is not None else Policy.default()
        self.stats = Stats()
        self.held: Trap | None = None
        segments = GuestSegments(self.cpu, space.limit)
        self._interpreter = Interpreter(self.cpu, space, segments, self.policy, clock=clock)

    def run(self) -> Trap:
        """Run until a trap."""
        trap = self._run_counted()
        assert trap is not None
        return trap

    def expect_calls(self, trap: int, arguments: tuple[int, ...]) -> None:
        """Of no importance here."""

    def resume(self, foreign: bool) -> int:
        """There is nothing to spare: :meth:`run` does it."""
        return -1

    def can_resume(self) -> bool:
        """See :meth:`reference.engine.Engine.can_resume`."""
        return False

    def recover(self) -> None:
        """Nothing is ever lost."""

    def settle(self) -> None:
        """They always are."""

    def step(self) -> Trap:
        """Run one instruction. A pending interrupt comes first."""
        return self._run_counted(1) or Trap(Vector.SINGLE_STEP, self.cpu.eip)

    def run_for(self, instructions: int) -> Trap | None:
        """See :meth:`reference.engine.Engine.run_for`."""
        return self._run_counted(instructions)

    def interrupt(self) -> None:
        """Make a running (or the next) run return an IRQ trap."""
        self._interpreter.machine.interrupted = True

    def set_thread_pointer(self, selector: int | None, base: int | None) -> None:
        """What GS means from now on."""
        self.cpu.gs_selector = selector
        self.cpu.gs_base = base

    def leave_space(self) -> None:
        """It never closes it."""

    def leave_code(self) -> object:
        """None: nothing is derived from code."""
        return None

    def take_code(self, left: object) -> None:
        """Nothing is taken."""

    def close(self) -> None:
        """Let go of the space."""
        self._interpreter.close()

    def _run_counted(self, most: int | None = None) -> Trap | None:
        interpreter, stats = self._interpreter, self.stats
        begin, before = time.perf_counter(), interpreter.executed
        try:
            trap = interpreter.run() if most is None else interpreter.run(most)
        finally:
            stats.instructions += interpreter.executed - before
            stats.seconds_running += time.perf_counter() - begin
        stats.traps += trap is not None
        return trap


def execute_one(
    cpu: CPU, space: AddressSpace, policy: Policy, *, clock: Callable[[], int] = time.perf_counter_ns
) -> Trap | None:
    """Execute the one instruction at ``cpu.eip`` by the reference semantics: for engines that cannot do it themselves.

    The trap it causes, or None. Raises NotModelled.
    """
    return Interpreter(cpu, space, GuestSegments(cpu, space.limit), policy, clock=clock).run_one()
