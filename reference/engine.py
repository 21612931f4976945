"""The Engine protocol: what runs a guest.

An engine belongs to one guest. It holds the guest's registers and memory, runs until a trap, and returns it. Handling
the trap (a system call, say) means to change ``cpu`` and ``space`` and to run again.
"""

from __future__ import annotations

from typing import Protocol

from reference.memory import AddressSpace
from reference.policy import Policy
from reference.records import dataclass
from reference.registers import CPU
from reference.traps import Trap


@dataclass(slots=True)
class Stats:
    """Counters of one engine since its creation. Times in seconds. ``instructions`` are counted as :meth:`Engine.run_for`
    says; where instructions are translated only from its first call on, or from the beginning if the engine was made for it."""

    instructions: int = 0
    fragments: int = 0
    guest_bytes_translated: int = 0
    cache_bytes: int = 0
    traps: int = 0
    invalidations: int = 0
    seconds_translating: float = 0.0
    seconds_running: float = 0.0

    def add(self, other: Stats) -> None:
        """Count what another one has counted, too."""
        for name in Stats.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Engine(Protocol):
    """One guest's processor."""

    name: str
    cpu: CPU
    space: AddressSpace
    policy: Policy
    stats: Stats
    #: A trap that the next run() returns before anything else: it has come while that was not possible. None forgets it.
    held: Trap | None

    def run(self) -> Trap:
        """Run from ``cpu.eip`` until a trap. Raises NotModelled where the engine lacks an instruction."""
        ...

    def run_for(self, instructions: int) -> Trap | None:
        """Run so many instructions from ``cpu.eip`` on, or until a trap; None if there was no trap among them.

        ``stats.instructions`` grows by what was executed, the same on every engine:

        * an instruction counts one, a repeated string instruction too, however often it repeats;
        * one that traps counts, whether the trap stands before it (a fault, an invalid opcode) or behind it (a system call,
          INT3, INTO); so does the attempt to fetch one that is not there; one that faults and is executed again counts again;
        * an instruction that is not modelled does not count; an IRQ trap does not, and an instruction that it has held up counts when it is done;
        * a trap that was :attr:`held` has been counted before, and is returned whatever ``instructions`` says.
        """
        ...

    def expect_calls(self, trap: int, arguments: tuple[int, ...]) -> None:
        """Most calls will be made by this trap, with the first arguments in these registers: :meth:`resume` is about them."""
        ...

    def resume(self, foreign: bool) -> int:
        """Go on after such a call has been answered: quicker than :meth:`run`, on the thread that has run last.

        ``foreign``: code of the application's has run meanwhile. Returns the number of the next call, EAX, if the guest stops
        there, of which nothing more is to be said. -1 if :meth:`run` is to be called: it returns another trap, or goes on.
        If an exception of a signal handler's comes out of it, or of the :meth:`run` that is called then, :meth:`recover` must
        be called before anything else.
        """
        ...

    def can_resume(self) -> bool:
        """Whether :meth:`resume` may be the first thing that this thread does with the engine in a run: it has run last."""
        ...

    def recover(self) -> None:
        """The result of a :meth:`resume` was lost: keep it for :meth:`run`. Then ``cpu`` and ``held`` say where the guest is."""
        ...

    def settle(self) -> None:
        """Bring :attr:`stats` up to date."""
        ...

    def step(self) -> Trap:
        """Run exactly one instruction: a SINGLE_STEP trap, or the trap that the instruction itself causes.

        One repetition of a string instruction does not count: the whole of REP MOVS is one instruction.
        """
        ...

    def interrupt(self) -> None:
        """Make a running (or the next) :meth:`run` return an IRQ trap soon. From any thread or signal handler."""
        ...

    def set_thread_pointer(self, selector: int | None, base: int | None) -> None:
        """What GS means to the guest from now on: the selector it reads, the address of ``GS:0``; None for unusable."""
        ...

    def leave_space(self) -> None:
        """Do not close :attr:`space` with the engine: others use it, too."""
        ...

    def leave_code(self) -> object:
        """Hold what was derived from the guest's code; the result is for :meth:`take_code` of another engine with the same
        memory and registers: that of a fork, or of this guest later. None where there is nothing to be had."""
        ...

    def take_code(self, left: object) -> None:
        """Have what another engine has left, as far as the memory is what it was; for an engine that has no code."""
        ...

    def close(self) -> None:
        """Give back everything; the engine, its CPU and its space must not be used afterwards. Closing twice is fine."""
        ...
