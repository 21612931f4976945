"""Samples: what a run of a program takes and prints, and the ratios of runs that took turns."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class Failed(RuntimeError):
    """A program did not end well."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: processor time and wall time in seconds, and what it printed. Of a guest, what its engine counted, too."""

    cpu: float
    wall: float
    output: bytes = field(repr=False)
    translating: float = 0.0
    calls: int = 0


def processor_time(who: int = resource.RUSAGE_SELF) -> float:
    """Seconds of processor time, user and system, that this process has had, or its children."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def median(samples: Sequence[Sample], attribute: str = "cpu") -> float:
    """The median of an attribute; 0 of no samples."""
    return statistics.median(getattr(sample, attribute) for sample in samples) if samples else 0.0


def ratios(ours: Sequence[Sample], theirs: Sequence[Sample], attribute: str = "cpu") -> list[float]:
    """One over the other, of each round."""
    pairs = zip(ours, theirs, strict=False)
    return [getattr(a, attribute) / getattr(b, attribute) for a, b in pairs if getattr(b, attribute) > 0]


def ratios_at_work(
    ours: Sequence[Sample], theirs: Sequence[Sample], idle: tuple[Sequence[Sample], Sequence[Sample]]
) -> list[float]:
    """The same of processor time without starting and ending: less the medians of runs that do nothing else."""
    starts = median(idle[0]), median(idle[1])
    pairs = zip(ours, theirs, strict=False)
    return [(a.cpu - starts[0]) / (b.cpu - starts[1]) for a, b in pairs if a.cpu > starts[0] and b.cpu > starts[1]]


def seconds(runs: Sequence[Sample], idle: Sequence[Sample]) -> dict[str, Any]:
    """Every sample of a column, for JSON."""
    return {
        "cpu": [sample.cpu for sample in runs],
        "wall": [sample.wall for sample in runs],
        "idle_cpu": [sample.cpu for sample in idle],
    }
