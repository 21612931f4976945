"""What we want to reach: limits for what is measured, so that a reader sees where we stand.

Ratios are at work, that is without starting and ending, which have bars of their own; medians of pairs. A bar whose figures
were not measured is neither met nor missed. Nothing depends on a bar: times differ from machine to machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from conformance.paper.programs import Program
from conformance.paper.results import Results, Row, geometric_mean

Value: TypeAlias = Callable[[Results], float | None]


@dataclass(frozen=True)
class Bar:
    """An aim: what it is about, the limit, whether it is the most or the least, and how the figure is found. ``program`` is
    the program whose ratio it is, if it is one's."""

    title: str
    limit: float
    value: Value
    unit: str = ""
    sense: Literal["at most", "at least"] = "at most"
    program: str = ""


@dataclass(frozen=True)
class Verdict:
    """A bar and where we stand; None for what was not measured."""

    bar: Bar
    value: float | None

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached."""
        if self.value is None:
            return None
        return self.value <= self.bar.limit if self.bar.sense == "at most" else self.value >= self.bar.limit


def judge(results: Results) -> list[Verdict]:
    """All bars."""
    return [Verdict(bar, bar.value(results)) for bar in BARS]


def _ratio(name: str) -> Value:
    def value(results: Results) -> float | None:
        row = results.row(name)
        return None if row is None else row.best()

    return value


def limit_of(program: Program) -> float | None:
    """The most that a program's ratio is to be, if there is an aim."""
    found = next((bar.limit for bar in BARS if bar.program == program.name), None)
    return _WORST_COMPUTATION if found is None and program.kind == "compute" else found


def _of(program: str, limit: float, title: str = "") -> Bar:
    """An aim for the ratio of one program."""
    return Bar(title or program, limit, _ratio(program), program=program)


def _figure(name: str) -> Value:
    return lambda results: results.figure(name)


def _ratios(rows: Iterable[Row]) -> list[float]:
    return [ratio for row in rows if (ratio := row.best()) is not None]


def _compute_mean(results: Results) -> float | None:
    return geometric_mean(_ratios(results.of_kind("compute")))


def _compute_worst(results: Results) -> float | None:
    return max(_ratios(results.of_kind("compute")), default=None)


def _over_guest(column: Literal["qemu", "wasm"], *, without: str = "") -> Value:
    """How many times the guest's time another way to run it takes, over all computations."""

    def value(results: Results) -> float | None:
        rows = [row for row in results.of_kind("compute") if not without or without not in row.program.name]
        found = [row.best(column, over="guest") for row in rows]
        return geometric_mean(ratio for ratio in found if ratio is not None)

    return value


_WORST_COMPUTATION: Final = 1.10

# fmt: off
BARS: Final = (
    Bar("compute, geometric mean", 1.02, _compute_mean),
    Bar("compute, each", _WORST_COMPUTATION, _compute_worst),
    _of("jump", 1.00),
    _of("jumpal", 1.00),
    _of("jumpfar", 1.00),
    _of("call", 1.30),
    _of("Fibonacci, every call made", 1.30, "Fibonacci"),
    _of("virtual calls", 1.30),
    _of("qsort with a callback", 1.30),
    _of("callind", 1.40),
    _of("switch interpreter", 1.40),
    _of("computed-goto interpreter", 1.40),
    _of("Lua", 1.40),
    Bar("qemu-i386 over vx32py, compute", 3.0, _over_guest("qemu"), sense="at least"),
    Bar("wasmtime over vx32py, compute without SHA-512", 1.25, _over_guest("wasm", without="SHA-512"), sense="at least"),
    Bar("translation", 10.0, _figure("translation, the translator"), "MB/s", "at least"),
    Bar("first instruction, nothing cached", 5000.0, _figure("first instruction, nothing cached"), "ms"),
    Bar("vx32py run hello over python -c pass", 5.0, _figure("vx32py run hello / python -c pass")),
    Bar("vx32py run busybox true over python -c pass", 6.0, _figure("vx32py run busybox true / python -c pass")),
    Bar("a system call into Python", 1.5, _figure("system call into Python and back"), "µs"),
    Bar("a native answer over the bare call: write", 0.15, _figure("write answered natively over a bare write"), "µs"),
    Bar("a native answer over the bare call: read", 0.15, _figure("read answered natively over a bare read"), "µs"),
    Bar("creating a guest", 100.0, _figure("guest created and closed"), "µs"),
    Bar("restoring a snapshot, ten dirty pages", 20.0, _figure("snapshot restored, ten dirty pages"), "µs"),
    Bar("two threads over one", 1.9, _figure("two guests in two threads over one"), sense="at least"),
)
# fmt: on
