"""What we want to reach: limits for what is measured, so that a reader sees where we stand.

Ratios are at work, that is without starting and ending, which have bars of their own; medians of pairs. A bar whose figures
were not measured is neither met nor missed. Nothing depends on a bar: times differ from machine to machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from conformance.paper.results import Results, Row, geometric_mean

Value: TypeAlias = Callable[[Results], float | None]


@dataclass(frozen=True)
class Bar:
    """An aim: what it is about, the limit, whether it is the most or the least, and how the figure is found."""

    title: str
    limit: float
    value: Value
    unit: str = ""
    sense: Literal["at most", "at least"] = "at most"


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


# fmt: off
BARS: Final = (
    Bar("compute, geometric mean", 1.02, _compute_mean),
    Bar("compute, each", 1.10, _compute_worst),
    Bar("jump", 1.00, _ratio("jump")),
    Bar("jumpal", 1.00, _ratio("jumpal")),
    Bar("jumpfar", 1.00, _ratio("jumpfar")),
    Bar("call", 1.30, _ratio("call")),
    Bar("Fibonacci", 1.30, _ratio("Fibonacci, every call made")),
    Bar("virtual calls", 1.30, _ratio("virtual calls")),
    Bar("qsort with a callback", 1.30, _ratio("qsort with a callback")),
    Bar("callind", 1.40, _ratio("callind")),
    Bar("switch interpreter", 1.40, _ratio("switch interpreter")),
    Bar("computed-goto interpreter", 1.40, _ratio("computed-goto interpreter")),
    Bar("Lua", 1.40, _ratio("Lua")),
    Bar("qemu-i386 over vx32py, compute", 3.0, _over_guest("qemu"), sense="at least"),
    Bar("wasmtime over vx32py, compute without SHA-512", 1.25, _over_guest("wasm", without="SHA-512"), sense="at least"),
    Bar("translation", 10.0, _figure("translation, the translator"), "MB/s", "at least"),
    Bar("vx32py run hello over python -c pass", 5.0, _figure("vx32py run hello / python -c pass")),
    Bar("vx32py run busybox true over python -c pass", 6.0, _figure("vx32py run busybox true / python -c pass")),
    Bar("a system call into Python", 1.5, _figure("system call into Python and back"), "µs"),
    Bar("a native answer over the bare call: write", 0.15, _figure("write answered natively over a bare write"), "µs"),
    Bar("a native answer over the bare call: read", 0.15, _figure("read answered natively over a bare read"), "µs"),
    Bar("creating a guest", 100.0, _figure("guest created and closed"), "µs"),
    Bar("two threads over one", 1.9, _figure("two guests in two threads over one"), sense="at least"),
)
# fmt: on
