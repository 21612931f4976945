"""Result: what a guest left behind."""

from __future__ import annotations

from collections import Counter
from typing import Final

from reference.engine import Stats
from reference.records import dataclass, field
from reference.traps import SOFTWARE_INTERRUPT, Trap, Vector
from vx32py._errors import GuestFailed, GuestTrapped, LimitExceeded, Timeout

#: The signal by which a native Linux program dies of a trap (arch/x86/kernel/traps.c).
_SIGNALS: Final = {
    Vector.DIVIDE_ERROR: 8, Vector.DEBUG: 5, Vector.BREAKPOINT: 5, Vector.OVERFLOW: 11, Vector.BOUND: 11,
    Vector.INVALID_OPCODE: 4, Vector.FP_OFF: 11, Vector.STACK_FAULT: 7, Vector.GENERAL_PROTECTION: 11,
    Vector.PAGE_FAULT: 11, Vector.FP_ERROR: 8, Vector.ALIGNMENT: 7, Vector.SIMD_ERROR: 8,
}  # fmt: skip


def signal_of(trap: Trap) -> int:
    """The number of the signal by which a native program would have died of ``trap``.

    >>> signal_of(Trap(Vector.DIVIDE_ERROR, 0x1000))
    8
    """
    if trap.number >= 0x400 and trap.number < 0x500:
        return trap.number - 0x400
    if SOFTWARE_INTERRUPT <= trap.number < SOFTWARE_INTERRUPT + 0x100:
        return 11  # a software interrupt without a gate is a general-protection fault
    return _SIGNALS.get(Vector(trap.number), 4) if trap.number in Vector._value2member_map_ else 4


@dataclass(frozen=True, slots=True)
class RunStats:
    """Counters of one run.

    ``engine`` is the engine's name and ``counters`` its own counters, live: while a process goes on, so do they.
    ``seconds`` is wall time inside ``run()``, ``memory`` the bytes mapped at the end. ``calls`` counts system calls by
    name, ``unknown_calls`` those that no table knows, by (table, number); of very
    many numbers the later ones are counted together, as -1. ``processes`` and ``threads`` say how many were started.
    """

    engine: str
    counters: Stats
    seconds: float
    memory: int
    calls: Counter[str] = field(default_factory=Counter)
    unknown_calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    processes: int = 1
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """How a guest ended, and what it wrote.

    ``exit_code`` is 0 to 255, or None where it did not exit by itself. Then either ``trap`` says why it stopped, with
    ``location`` the symbol at the trap's EIP, or ``limit`` names the limit that it passed. In a jail the trap is a signal,
    and there is an exit code, too: 128 and the signal's number. ``stdout`` and ``stderr`` hold what was captured.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    trap: Trap | None
    stats: RunStats
    location: str | None = None
    limit: str | None = None
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the guest exited with code 0."""
        return self.exit_code == 0

    @property
    def timed_out(self) -> bool:
        """Whether the wall-clock limit ended it."""
        return self.limit == "time"

    def describe(self) -> str:
        """One line on how it ended."""
        if self.trap is not None:
            return describe_trap(self.trap, self.location)
        if self.exit_code is not None:
            return f"exit code {self.exit_code}"
        return self.message or "stopped"

    def check(self) -> Result:
        """This result if the exit code is 0. Raises Timeout, LimitExceeded, GuestTrapped or GuestFailed otherwise."""
        if self.ok:
            return self
        if self.limit is not None:
            raise Timeout(self.stats.seconds) if self.timed_out else LimitExceeded(self.limit, self.message)
        if self.trap is not None:
            raise GuestTrapped(self.describe(), self)
        raise GuestFailed(self.describe(), self)


def describe_trap(trap: Trap, location: str | None) -> str:
    """A trap on one line, with the symbol at its EIP.

    >>> describe_trap(Trap(Vector.DIVIDE_ERROR, 0x8048010), "main+0x10")
    'divide error at eip 0x08048010 (main+0x10)'
    """
    text = str(trap)
    if location is None:
        return text
    where = f"at eip {trap.eip:#010x}"
    return text.replace(where, f"{where} ({location})", 1)
