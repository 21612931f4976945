"""What the soaks say on a terminal, of guests in threads and of Plan 9's processes alike: how it goes, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from conformance.soak import resources
from conformance.soak.lines import Line


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """A line that says what goes on; the function changes it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("preparing")
        yield lambda text: progress.update(task, description=text)


@contextmanager
def counting(name: str) -> Iterator[Callable[[int], None]]:
    """A line that says how many there were of something that has no known end; the function changes the number."""
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)
        yield lambda count: progress.update(task, completed=count)


def figures(sample: Mapping[str, int]) -> str:
    """A sample in a line."""
    return ", ".join(f"{name} {value}" for name, value in sample.items())


def results(console: Console, trends: Sequence[resources.Trend], complaints: Sequence[str], *, ok: bool) -> None:
    """What a soak has found."""
    if trends:
        table = Table("", "first quarter", "middle", "last quarter", "before", "after", "")
        for trend in trends:
            values = (trend.first, trend.middle, trend.last, trend.before, trend.after)
            name = f"{trend.name} {resources.NAMES[trend.name]}".strip()
            table.add_row(name, *(f"{value:,.0f}" for value in values), "flat" if trend.is_flat else "GROWS")
        console.print(table)
    for complaint in complaints:
        console.print(complaint, markup=False, highlight=False, soft_wrap=True)
    console.print("all is well" if ok else f"{len(complaints)} complaints")


def every_line(names: Iterable[str], sweep: Callable[[str], Iterable[Line]]) -> int:
    """Sweep the stories of these names; how many lines had a problem, each of which is said."""
    wrong = 0
    for name in names:
        count = 0
        with counting(name) as show:
            for line in sweep(name):
                count += 1
                show(count)
                if line.problem:
                    wrong += 1
                    click.echo(f"{name}, line {line.number}, {line.where}: {line.problem}")
        click.echo(f"{name}: {count} lines")
    return wrong
