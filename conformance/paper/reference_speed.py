"""How fast the specification is: instructions per second of the two engines that are written in Python.

``python -m conformance.paper.reference_speed`` runs each program so many times, in turns, and prints the medians. Times
are processor time. An instruction of the ``translated`` engine is one of translated code, of which there are more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import vx32py
from conformance import guests
from conformance.paper import report
from vx32py import _compile

ENGINES: Final = ("reference", "translated")


@dataclass(frozen=True, slots=True)
class Work:
    """A program that exercises one kind of instruction: an example, how it is compiled, and what it is asked to do."""

    title: str
    example: str
    args: tuple[str, ...]
    flags: tuple[str, ...] = ("-mno-sse",)
    stdin: bytes = b""


WORKS: Final = (
    Work("an integer loop (primes)", "primes", ("60000",)),
    Work("calls (fib)", "fib", ("20",)),
    Work("SHA-256 of 16 KiB", "sha256", ("-",), stdin=bytes(1 << 14)),
    Work("floating point, x87 (n-body)", "nbody", ("30",)),
    Work("floating point, SSE2 (n-body)", "nbody", ("30",), ("-msse2",)),
)


def instructions_per_second(work: Work, engine: str, progress: _compile.Progress) -> float:
    """One run. Raises what ``Result.check`` raises, and `vx32py._compile.CompileError`."""
    program = guests.example(work.example, flags=work.flags, progress=progress)
    box = vx32py.Sandbox(engine=engine)
    start = time.process_time()
    result = box.run(program, work.args, stdin=work.stdin).check()
    return result.stats.counters.instructions / (time.process_time() - start)


def measure(rounds: int, progress: _compile.Progress) -> dict[tuple[str, str], float]:
    """Medians by program and engine."""
    figures: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds):
        for work in WORKS:
            for engine in ENGINES:
                progress(f"{turn + 1} of {rounds}: {work.title} on {engine}")
                figures.setdefault((work.title, engine), []).append(instructions_per_second(work, engine, progress))
    return {key: statistics.median(values) for key, values in figures.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; 1 if a program cannot be compiled, 2 for usage."""
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(prog="python -m conformance.paper.reference_speed", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each program (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        with report.status() as progress:
            figures = measure(max(1, options.rounds), progress)
    except (_compile.CompileError, FileNotFoundError) as error:
        print(f"reference_speed: {error}", file=sys.stderr)
        return 1
    table = Table("thousands of instructions per second", *ENGINES)
    for column in table.columns[1:]:
        column.justify = "right"
    for work in WORKS:
        table.add_row(work.title, *(f"{figures[work.title, engine] / 1e3:,.0f}" for engine in ENGINES))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
