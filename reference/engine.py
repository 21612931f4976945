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
    """Counters of one engine since its creation. Times in seconds; ``instructions`` as far as the engine counts them."""

    instructions: int = 0
    fragments: int = 0
    guest_bytes_translated: int = 0
    cache_bytes: int = 0
    traps: int = 0
    invalidations: int = 0
    seconds_translating: float = 0.0
    seconds_running: float = 0.0


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

    def resume(self) -> int:
        """Go on after a trap that was a call and has been answered, with nothing else done between: quicker than :meth:`run`.

        The number of the next trap, if that is a call, too: a software interrupt or SYSCALL, of which nothing is to be said
        but its number and ``cpu.eip``. -1 if :meth:`run` is to be called: it then returns the trap, or goes on.
        """
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

    def close(self) -> None:
        """Give back everything; the engine, its CPU and its space must not be used afterwards. Closing twice is fine."""
        ...
