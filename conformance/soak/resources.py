"""What a process that runs guests must not keep: memory, descriptors, threads, LDT entries, mappings, timers."""

from __future__ import annotations

import gc
import os
import statistics
from dataclasses import dataclass
from typing import Final

from jit import ldt

#: What is sampled, with the unit.
NAMES: Final = {
    "rss": "KiB", "private": "KiB", "descriptors": "", "threads": "", "ldt": "entries", "mappings": "", "timers": "",
}  # fmt: skip


def sample() -> dict[str, int]:
    """The figures of this process as it is now."""
    found = dict.fromkeys(NAMES, 0)
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == "VmRSS":
                found["rss"] = int(value.split()[0])
            elif name == "Threads":
                found["threads"] = int(value)
    with open("/proc/self/smaps_rollup", encoding="ascii", errors="replace") as file:
        found["private"] = next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))
    found["descriptors"] = len(os.listdir("/proc/self/fd")) - 1
    with open("/proc/self/maps", "rb") as maps:
        found["mappings"] = sum(1 for _ in maps)
    try:
        found["ldt"] = sum(1 for raw in ldt.read_entries() if any(raw))
    except OSError:  # no such table here
        found["ldt"] = 0
    try:
        with open("/proc/self/timers", "rb") as timers:
            found["timers"] = timers.read().count(b"ID:")
    except OSError:
        pass
    return found


def settled(engine: str) -> dict[str, int]:
    """The figures when no guest is there, and nothing is kept for the next one."""
    gc.collect()
    if engine == "jit":
        from jit import lending, resting, segments

        lending.collect()
        segments.pool.empty()
        resting.empty()
        for _ in range(3):  # what those had borrowed that have rested; and finalizers may need others' to have run
            gc.collect()
            lending.collect()
    return sample()


#: How much more the last quarter may have than the first, beside a tenth: what is kept for the next guest comes and goes.
_SLACK: Final = {
    "rss": 40 << 10, "private": 40 << 10, "descriptors": 80, "threads": 8, "ldt": 120, "mappings": 400, "timers": 8,
}  # fmt: skip
#: What there may be more of at the very end, when no guest is left, than at the beginning.
_LEFT: Final = {
    "rss": 60 << 10, "private": 60 << 10, "descriptors": 2, "threads": 1, "ldt": 0, "mappings": 60, "timers": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Trend:
    """One figure over the time of a soak: medians of the first, the second to third, and the last quarter; and what there
    was at the beginning and at the end without guests."""

    name: str
    first: float
    middle: float
    last: float
    before: int
    after: int

    @property
    def is_flat(self) -> bool:
        """Whether it has not grown."""
        return self.last <= 1.1 * self.first + _SLACK[self.name] and self.after <= 1.05 * self.before + _LEFT[self.name]


def trends(samples: list[dict[str, int]], before: dict[str, int], after: dict[str, int]) -> list[Trend]:
    """What became of each figure. The first eighth of the samples does not count: everything is made for the first time."""
    samples = samples[len(samples) // 8 :] or [before]
    quarter = max(1, len(samples) // 4)
    parts = samples[:quarter], samples[quarter:-quarter] or samples, samples[-quarter:]
    found = []
    for name in NAMES:
        first, middle, last = (statistics.median(each[name] for each in part) for part in parts)
        found.append(Trend(name, first, middle, last, before[name], after[name]))
    return found
