"""Tables of results, on a terminal and in Markdown, and what is in their cells."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass(frozen=True)
class Grid:
    """A table of which the first ``left`` columns are words, and the last one is whatever else is to be said."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1


def empty(headings: Iterable[str], *, left: int = 1, wrapped: Sequence[int] = ()) -> Table:
    """A table for a terminal, without rows; what is in ``wrapped`` columns gets more lines where there is no room."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    names = list(headings)
    for i, heading in enumerate(names):
        folded = i in wrapped or i - len(names) in wrapped
        table.add_column(heading, justify="right" if i >= left and not folded else "left", no_wrap=not folded)
    return table


def show(grids: Iterable[Grid], console: Console | None = None) -> None:
    """Print them."""
    from rich.console import Console

    console = console or Console()
    for grid in grids:
        table = empty(grid.headings, left=grid.left, wrapped=(-1,))
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A table of a page, without an end of line behind it."""
    lines = [
        "| " + " | ".join(headings) + " |",
        "|" + "---|" * left + "---:|" * (len(headings) - left),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def page(facts: Iterable[str], grids: Iterable[Grid]) -> str:
    """What was measured on, and the tables."""
    lines = [f"* {fact}" for fact in facts]
    for grid in grids:
        lines += ["", markdown(grid.headings, grid.rows, left=grid.left)]
    return "\n".join([*lines, ""])


def median(values: Sequence[float], form: str = ".2f") -> str:
    """The median, or nothing of nothing."""
    return format(statistics.median(values), form) if values else ""


def spread(values: Sequence[float]) -> str:
    """The lowest and the highest."""
    return f"{min(values):.2f}-{max(values):.2f}" if values else ""


def aim(limit: float | None) -> str:
    """What a ratio may be."""
    return "" if limit is None else f"<= {limit:.2f}"


def verdict(met: bool | None) -> str:
    """Whether an aim is met; None without one, or without figures."""
    return {True: "met", False: "not met", None: ""}[met]
