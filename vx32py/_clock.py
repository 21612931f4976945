"""Time and randomness as a guest gets them: the host's, or made-up ones that are equal in every run."""

from __future__ import annotations

import os
import time
from typing import Final, Protocol

#: Where made-up time begins: 2001-09-09 01:46:40 UTC, in nanoseconds since the epoch.
VIRTUAL_EPOCH: Final = 1_000_000_000 * 10**9
#: How far a look at the made-up clock moves it, so that loops which wait for it come to an end: one microsecond.
VIRTUAL_TICK: Final = 1000


class Clock(Protocol):
    """What system calls ask. All times in nanoseconds."""

    virtual: bool

    def realtime(self) -> int:
        """Since the epoch."""

    def monotonic(self) -> int:
        """Since some point in the past; never goes back."""

    def cpu(self) -> int:
        """Processor time that the guest has used."""

    def random(self, count: int) -> bytes:
        """Random bytes."""

    def hold(self) -> tuple[int, int]:
        """Its state, for a snapshot."""

    def go_on_from(self, held: tuple[int, int]) -> None:
        """Take that state again: what is made up is what it was; the host's time goes on, and is not behind it."""


class HostClock:
    """The host's clocks and random numbers. Monotonic time starts with the sandbox, not with the host's boot."""

    virtual = False

    def __init__(self) -> None:
        #: Where monotonic time and processor time begin, on the host's clocks.
        self.started = time.monotonic_ns()
        self.started_processor = time.process_time_ns()

    def realtime(self) -> int:
        return time.time_ns()

    def monotonic(self) -> int:
        return time.monotonic_ns() - self.started

    def cpu(self) -> int:
        return time.process_time_ns() - self.started_processor

    def random(self, count: int) -> bytes:
        return os.urandom(count)

    def hold(self) -> tuple[int, int]:
        return self.monotonic(), self.cpu()

    def go_on_from(self, held: tuple[int, int]) -> None:
        self.started -= max(held[0] - self.monotonic(), 0)
        self.started_processor -= max(held[1] - self.cpu(), 0)


class VirtualClock:
    """The same time and the same numbers in every run. Time passes when it is looked at, or slept through."""

    virtual = True

    def __init__(self) -> None:
        self.elapsed = 0
        self._state = 0x9E37_79B9_7F4A_7C15

    def realtime(self) -> int:
        return VIRTUAL_EPOCH + self.monotonic()

    def monotonic(self) -> int:
        self.elapsed += VIRTUAL_TICK
        return self.elapsed

    def cpu(self) -> int:
        return self.monotonic()

    def hold(self) -> tuple[int, int]:
        return self.elapsed, self._state

    def go_on_from(self, held: tuple[int, int]) -> None:
        self.elapsed, self._state = held

    def random(self, count: int) -> bytes:
        """From SplitMix64 with a fixed seed: reproducible, and no secret."""
        mask = (1 << 64) - 1
        out = bytearray()
        while len(out) < count:
            self._state = (self._state + 0x9E37_79B9_7F4A_7C15) & mask
            mixed = self._state
            mixed = (mixed ^ mixed >> 30) * 0xBF58_476D_1CE4_E5B9 & mask
            mixed = (mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB & mask
            out += (mixed ^ mixed >> 31).to_bytes(8, "little")
        return bytes(out[:count])
