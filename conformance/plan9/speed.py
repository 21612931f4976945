"""How long Go's programs take on the kernel, and natively on Linux, side by side: medians of runs that take turns.

Besides the time that has passed there is the processor time, start and end included, which says more where a machine has
much else to do.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from conformance.plan9 import golang, kernels
from reference.records import dataclass
from vx32py.plan9.kernel import Kernel

_HERE: Final = Path(__file__).resolve().parent
_TIMEOUT: Final = 600.0


@dataclass(frozen=True, slots=True)
class Measure:
    """A program with its arguments; what counts is what it says itself, or the time from its start to its end."""

    title: str
    source: Path
    arguments: tuple[str, ...] = ()
    says: bool = True


MEASURES: Final = (
    Measure("hello, start to end", _HERE / "programs" / "hello.go", says=False),
    Measure("computing", _HERE / "benchmarks" / "computing.go"),
    Measure("collecting, 1 thread", _HERE / "benchmarks" / "collecting.go", ("1",)),
    Measure("collecting, 4 threads", _HERE / "benchmarks" / "collecting.go", ("4",)),
    Measure("talking, 1 thread", _HERE / "benchmarks" / "talking.go", ("1",)),
    Measure("talking, 4 threads", _HERE / "benchmarks" / "talking.go", ("4",)),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians in seconds, of time and of processor time, and how many calls it makes on the kernel."""

    title: str
    guest: float
    native: float
    guest_cpu: float
    native_cpu: float
    calls: dict[str, int]


def measured(runs: int, progress: golang.Progress = lambda line: None) -> Iterator[Figure]:
    """All of them. Raises golang.Unavailable, LimitExceeded."""
    for measure in MEASURES:
        image = golang.build(measure.source, golang.PLAN9, progress=progress).read_bytes()
        program = golang.build(measure.source, golang.LINUX, progress=progress)
        guest: list[tuple[float, float]] = []
        native: list[tuple[float, float]] = []
        calls: dict[str, int] = {}
        for number in range(runs + 1):
            here, calls = _on_plan9(measure, image)
            there = _on_linux(measure, program)
            if number:  # the first one is there to translate and to read from disk
                guest.append(here)
                native.append(there)
        times = [statistics.median(each[i] for each in side) for i in (0, 1) for side in (guest, native)]
        yield Figure(measure.title, times[0], times[1], times[2], times[3], calls)


def _on_plan9(measure: Measure, image: bytes) -> tuple[tuple[float, float], dict[str, int]]:
    tallies: list[dict[str, int]] = []

    def run() -> str:
        with Kernel(timeout=_TIMEOUT, memory="512M") as kernel:
            kernels.put(kernel, "program", image)
            written = bytearray()
            proc = kernel.start(
                ["program", *measure.arguments], stdin=b"", stdout=written.extend, stderr=written.extend
            )
            kernel.wait(proc)
            tallies.append(dict(proc.tally))
            if proc.status:
                raise golang.Unavailable(f"{measure.title}: {proc.status}")
        return written.decode()

    return _time(measure, run), tallies[0]


def _on_linux(measure: Measure, program: Path) -> tuple[float, float]:
    def run() -> str:
        return subprocess.run(
            [str(program), *measure.arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
            timeout=_TIMEOUT,
        ).stdout

    return _time(measure, run)


def _time(measure: Measure, run: Callable[[], str]) -> tuple[float, float]:
    """How long it took, as the program says or from start to end; and the processor time."""
    started, cpu = time.perf_counter(), _cpu()
    said = run()
    took, cpu = time.perf_counter() - started, _cpu() - cpu
    if not measure.says:
        return took, cpu
    found = re.search(r"^seconds ([0-9.e+-]+)$", said, re.MULTILINE)
    assert found is not None
    return float(found[1]), cpu


def _cpu() -> float:
    """Processor time of this process and of its children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
