"""The results, as a table on a terminal and as a page."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from conformance.paper.bench import Row, Sample

_HEADINGS: Final = (
    "program", "native s", "guest s", "ratio", "spread", "at work", "wall", "start ms", "translate ms", "calls",
    "the paper has",
)  # fmt: skip
#: So many columns are shown on a terminal of less than so many characters.
_NARROW, _WIDE = 6, 150

_PAGE: Final = """\
# The paper's evaluation, on one machine

Time as a guest over time as a native 32-bit process; lower is better, 1 is native speed. `vx32py bench --write` makes
this page.

{notes}

{table}

* **native s**, **guest s**: processor time, user and system, medians. A native program is a process from its creation to
  its end; a guest is one call of `Sandbox.run`: loading, translation, running and system calls.
* **ratio**: of two runs next to each other, the median of {rounds}; **spread**: the lowest and the highest one. **wall**: the same
  of wall time.
* **at work**: the ratio without starting and ending, which are measured by themselves, with arguments that leave the
  program nothing to do. **start ms**: those times, native and guest. **translate ms**: the part of a guest's time in the
  translator. **calls**: system calls.
* Guest and native program are linked from the same objects at the same addresses and differ only in the one function
  that makes system calls (`calls.S`). Busybox is Debian's binary, the same file both times.
* **the paper has**: the range of its ratios over six processors; for a loop its own, for a program that of another one
  that does similar work.
"""


@contextlib.contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """A line that says what goes on, on a terminal; the function changes it."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("") as line:
        yield lambda text: line.update(text.splitlines()[0] if text else "")


def cells(row: Row) -> list[str]:
    """A row's cells, as text."""
    if not row.guest:
        return [row.program.name, *[""] * (len(_HEADINGS) - 2), row.remark]
    ratios, working = row.ratios(), row.working_ratios()
    worth_it = working and row.program.repeat == 1
    return [
        row.program.name + (f" ({row.remark})" if row.remark else ""),
        f"{_median(row.native, 'cpu'):.3f}",
        f"{_median(row.guest, 'cpu'):.3f}",
        _ratio(statistics.median(ratios)),
        f"{_ratio(min(ratios))}-{_ratio(max(ratios))}",
        _ratio(statistics.median(working)) if worth_it else "",
        _ratio(statistics.median(row.ratios("wall"))),
        f"{1000 * _median(row.idle_native, 'cpu'):.1f} / {1000 * _median(row.idle_guest, 'cpu'):.1f}",
        f"{1000 * _median(row.guest, 'translating'):.1f}",
        f"{row.guest[-1].calls:,}",
        row.program.paper,
    ]


def _median(samples: Sequence[Sample], attribute: str) -> float:
    values: list[float] = [getattr(sample, attribute) for sample in samples]
    return statistics.median(values)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def show(rows: Sequence[Row], notes: Sequence[str]) -> None:
    """Print the table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # A page has room for all columns, a terminal for those that say most.
    shown = _HEADINGS if console.width >= _WIDE else _HEADINGS[:_NARROW]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in shown:
        table.add_column(heading, justify="left" if heading == "program" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row)[: len(shown)])
    for note in notes:
        console.print(note, highlight=False)
    console.print(table)
    for row in rows:
        if row.remark:
            console.print(f"{row.program.name}: {row.remark}", highlight=False)


def markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """The page."""
    lines = [
        "| " + " | ".join(_HEADINGS) + " |",
        "|---|" + "---:|" * (len(_HEADINGS) - 1),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |" for row in rows),
    ]
    rounds = max((len(row.guest) for row in rows), default=0)
    return _PAGE.format(notes="\n".join(f"* {note}" for note in notes), table="\n".join(lines), rounds=rounds)
