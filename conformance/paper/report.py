"""The results, as tables on a terminal and as a page."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.paper import machine, tables
from conformance.paper.bars import Verdict, judge
from conformance.paper.columns import COLUMNS, TITLES
from conformance.paper.programs import KINDS
from conformance.paper.results import Figure, Results, Row, geometric_mean, spread
from conformance.paper.samples import median


@dataclass(frozen=True)
class _Column:
    """A column of the table of programs; those of the highest ``rank`` go first where a terminal is too narrow."""

    heading: str
    cell: Callable[[Row], str]
    rank: int = 0


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _median(values: Sequence[float]) -> str:
    return _ratio(statistics.median(values)) if values else ""


def _range(values: Sequence[float]) -> str:
    return f"{_ratio(min(values))}-{_ratio(max(values))}" if values else ""


def _starts(row: Row) -> str:
    return " / ".join(f"{1000 * median(row.idle.get(column, [])):.1f}" for column in ("native", "guest"))


def _only_measured(cell: Callable[[Row], str]) -> Callable[[Row], str]:
    return lambda row: cell(row) if row.runs.get("guest") else ""


_COLUMNS: Final = (
    _Column("program", lambda row: row.program.name),
    _Column("native s", _only_measured(lambda row: f"{median(row.runs['native']):.3f}")),
    _Column("vx32py", _only_measured(lambda row: _median(row.ratios()))),
    _Column("spread", _only_measured(lambda row: _range(row.ratios()))),
    _Column("at work", _only_measured(lambda row: _median(row.at_work()))),
    _Column("qemu", lambda row: _median(row.ratios("qemu")), 1),
    _Column("wasm", lambda row: _median(row.ratios("wasm")), 1),
    _Column("64-bit", lambda row: _median(row.ratios("native64")), 2),
    _Column("wall", _only_measured(lambda row: _median(row.ratios(attribute="wall"))), 3),
    _Column("qemu spread", lambda row: _range(row.ratios("qemu")), 7),
    _Column("wasm spread", lambda row: _range(row.ratios("wasm")), 7),
    _Column("start ms", _only_measured(_starts), 4),
    _Column("translate ms", _only_measured(lambda row: f"{1000 * median(row.runs['guest'], 'translating'):.1f}"), 5),
    _Column("calls", _only_measured(lambda row: f"{row.runs['guest'][-1].calls:,}"), 6),
    _Column("rounds", _only_measured(lambda row: str(len(row.runs["guest"]))), 6),
    _Column("the paper has", lambda row: row.program.paper, 8),
    _Column("compiled by", lambda row: row.built.get("native", ""), 9),
)

_PAGE: Final = """\
# The paper's evaluation, on one machine

Time over that of a native 32-bit process; lower is better, 1 is native speed. `vx32py bench --write` makes this page.

{facts}

{programs}

{remarks}## The host side

{figures}

## Where we stand

{bars}

## What the columns say

* **native s**: processor time of the native 32-bit process, user and system, the median of its **rounds**: {rounds} at
  most, fewer where the guest's ratios agree within 2 %, and fewer of slow columns. A native program is a process from its creation to its end; a guest is one call of `Sandbox.run`: loading, translation, running and system calls.
* **vx32py**: the guest's time over the native one, of two runs next to each other: the median. **spread**: the lowest and the
  highest one. **wall**: the same of wall time. **at work**: without starting and ending, which are measured by themselves,
  with arguments that leave the program nothing to do; **start ms** are those times, native and guest. **translate ms**: the
  part of a guest's time in the translator. **calls**: system calls.
* **qemu**: the native 32-bit program under qemu-i386. **wasm**: the same sources as WebAssembly (clang -O3, 128-bit
  vectors), compiled by wasmtime for this processor before the measurement, one instance a run. **64-bit**: the same sources
  as a native 64-bit program, for information. All of them do the same work, and what they print is compared; only n-body
  with x87 instructions and Vorbis, which round in their own ways, may print something else as 64-bit programs and as
  WebAssembly.
* **compiled by**: who makes the 32-bit program, of two compilers the one that makes the faster program, and its options.
  The guest is that program. It may use what the default policy admits, up to SSE4.2. Arithmetic on 64-bit words (SHA-512,
  Whirlpool) takes 32-bit code twice the registers that it has: there 64-bit programs and WebAssembly have the advantage.
* Loops and examples: guest and native program are linked from the same objects at the same addresses and differ only in the
  one function that makes system calls (`calls.S`). Upstream programs (`sources.py`, `recipes.py`) and Debian's busybox: the
  same static file both times.
* **the paper has**: the range of its ratios over six processors; for a loop its own, for a program that of another one that
  does similar work.
* Programs and what they are asked to do are in `programs.py`, what they read in `inputs.py`. Means are geometric. Aims are compared with ratios at work.
"""


@contextlib.contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """A line that says what goes on, on a terminal; the function changes it."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("") as line:
        yield lambda text: line.update(text.splitlines()[0] if text else "")


def announce(programs: int, figures: int, rounds: int, seconds: float) -> None:
    """Say how much there is to do, before it is done."""
    from rich.console import Console

    time = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    Console(stderr=True).print(
        f"{programs} programs and {figures} figures of the host side, up to {rounds} rounds each: about {time}, and more"
        " for what is not compiled yet",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def show(results: Results) -> None:
    """Print the tables."""
    from rich.console import Console

    console = Console()
    for fact in machine.lines(results.machine):
        console.print(fact, highlight=False)
    if results.rows:
        shown = _fitting(results.rows, console.width)
        table = tables.empty(column.heading for column in shown)
        kind = results.rows[0].program.kind
        for row in results.rows:
            if row.program.kind != kind:
                kind = row.program.kind
                table.add_section()
            table.add_row(*(column.cell(row) for column in shown))
        console.print(table)
        for line in _remarks(results):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
    if results.figures:
        table = tables.empty(_FIGURES, wrapped=(0, -1))
        for cells in _figures(results):
            table.add_row(*cells)
        console.print(table)
    table = tables.empty(_BARS, wrapped=(0,))
    judged = [verdict for verdict in judge(results) if verdict.value is not None]
    for verdict in judged:
        style = "green" if verdict.met else "red"
        table.add_row(*_bar(verdict)[:-1], f"[{style}]{_bar(verdict)[-1]}[/]")
    if judged:
        console.print(table)


def _fitting(rows: Sequence[Row], room: int) -> list[_Column]:
    """The columns for which so many characters suffice, in order."""
    widths = {c.heading: max(len(c.heading), *(len(c.cell(row)) for row in rows)) + len("  ") for c in _COLUMNS}
    shown = list(_COLUMNS)
    while len(shown) > 2 and sum(widths[column.heading] for column in shown) > room:
        shown.remove(max(shown, key=lambda column: column.rank))
    return shown


def markdown(results: Results) -> str:
    """The page."""
    programs = [[column.cell(row) for column in _COLUMNS] for row in results.rows]
    remarks = _remarks(results)
    return _PAGE.format(
        facts="\n".join(f"* {fact}" for fact in [*machine.lines(results.machine), *_means(results)]),
        programs=tables.markdown([column.heading for column in _COLUMNS], programs),
        remarks="\n".join(f"* {line}" for line in remarks) + "\n\n" if remarks else "",
        figures=tables.markdown(_FIGURES, _figures(results)) if results.figures else "Not measured.",
        bars=tables.markdown(_BARS, [_bar(verdict) for verdict in judge(results)]),
        rounds=results.rounds,
    )


def _means(results: Results) -> list[str]:
    """Geometric means at work of each kind, a line each."""
    lines = []
    for kind in KINDS:
        rows = results.of_kind(kind)
        means = []
        for column in COLUMNS[1:]:
            ratios = [ratio for row in rows if (ratio := row.best(column)) is not None]
            mean = geometric_mean(ratios)
            if mean is not None:
                means.append(f"{TITLES[column]} {_ratio(mean)}")
        if means:
            lines.append(f"mean of {kind}: {', '.join(means)}")
    return lines


def _remarks(results: Results) -> list[str]:
    """What is wrong or missing, a line each; a reason that many rows share is said once."""
    reasons: dict[str, list[str]] = {}
    for row in results.rows:
        if row.remark:
            reasons.setdefault(row.remark, []).append(row.program.name)
        for column, why in row.missing.items():
            if not row.remark:
                reasons.setdefault(f"{TITLES[column]}: {why}", []).append(row.program.name)
    lines = [f"{_names(names, len(results.rows))}: {why}" for why, names in reasons.items()]
    if results.quick:
        lines.append("a quick look: little work, so that starting weighs more than it should")
    return lines


def _names(names: Sequence[str], rows: int) -> str:
    return "everything" if len(names) == rows and rows > 1 else ", ".join(names)


_FIGURES: Final = ("host side", "median", "unit", "spread", "")


def _figures(results: Results) -> list[list[str]]:
    return [[f.name, *_figure(f), f.remark] for f in results.figures]


def _figure(figure: Figure) -> list[str]:
    found = spread(figure.values)
    if found is None:
        return ["", "", ""]
    return [_plain(found["median"]), figure.unit, f"{_plain(found['low'])}-{_plain(found['high'])}"]


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


_BARS: Final = ("aim", "limit", "figure", "")


def _bar(verdict: Verdict) -> list[str]:
    bar, value = verdict.bar, verdict.value
    said = {True: "met", False: "not met", None: "not measured"}[verdict.met]
    unit = f" {bar.unit}" if bar.unit else ""
    return [bar.title, f"{bar.sense} {bar.limit:g}{unit}", "" if value is None else f"{_plain(value)}{unit}", said]
