"""The command: many cases, or one of them again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import click

from conformance.malformed.run import Report, run

#: How often there is a line where there is no terminal, in seconds.
_LINE_EVERY: Final = 10.0
_EPILOG: Final = """\b
Examples:
  python -m conformance.malformed images --count 1000
  python -m conformance.malformed calls --count 1000 --seed 7 --jobs 2
  python -m conformance.malformed images --seed 7 --only 123 --save spoilt.elf

Exit code 1 where something was found.
"""

_OPTIONS: Final = (
    click.option("--count", type=click.IntRange(min=1), default=1000, show_default=True, help="How many cases."),
    click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other cases."),
    click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes at a time."),
    click.option("--only", type=click.IntRange(min=0), help="Run the case with this number, and tell all about it."),
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(epilog=_EPILOG)
def main() -> None:
    """Malformed programs and random system calls: errors or results, and nothing else."""


@main.command()
@_with_options
@click.option("--save", type=click.Path(path_type=Path), help="With --only: write the image to this file.")
def images(count: int, seed: int, jobs: int, only: int | None, save: Path | None) -> None:
    """Malformed images through everything that reads programs."""
    from conformance.malformed.mutate import case
    from conformance.malformed.sources import all_sources

    sources = all_sources()
    if only is not None and save is not None:
        save.write_bytes(case(seed, only, sources)[1])
    _go("images", count, seed, jobs, only, sources)


@main.command()
@_with_options
def calls(count: int, seed: int, jobs: int, only: int | None) -> None:
    """Sequences of system calls with random arguments."""
    from conformance.malformed.plan import sequence
    from conformance.malformed.world import temporary

    if only is not None:
        click.echo(sequence(seed, only).describe())
    with temporary() as folder:
        _go("calls", count, seed, jobs, only, folder)


def _go(kind: str, count: int, seed: int, jobs: int, only: int | None, given: Any) -> None:
    with _Progress(count if only is None else 1) as progress:
        report = run(
            kind,
            count=count if only is None else 1,
            seed=seed,
            jobs=jobs,
            given=given,
            first=only or 0,
            tell=progress.tell,
        )
    _show(report, kind, seed)
    sys.exit(1 if not report.ok else 130 if report.interrupted else 0)


class _Progress(AbstractContextManager["_Progress"]):
    """A bar on a terminal, else a line from time to time; on stderr."""

    def __init__(self, count: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = console = Console(stderr=True)
        self._kinds: set[str] = set()
        self._count, self._last = count, time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[found]}"))
            self._bar = Progress(*columns, console=console)
            self._task = self._bar.add_task("cases", total=count, found="")
        self._context: AbstractContextManager[Any] = self._bar or nullcontext()

    def __enter__(self) -> Self:
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)

    def tell(self, report: Report) -> None:
        """What is known so far; the first finding of each kind at once."""
        for finding in report.findings:
            if finding.kind not in self._kinds:
                self._kinds.add(finding.kind)
                self._console.print(
                    f"case {finding.number}: {finding.kind}", highlight=False, markup=False, soft_wrap=True
                )
        found = f"{report.kinds.total()} findings of {len(report.kinds)} kinds"
        if self._bar is not None:
            self._bar.update(self._task, completed=report.cases, found=found)
        elif time.monotonic() - self._last > _LINE_EVERY:
            self._last = time.monotonic()
            rate = report.cases / max(report.seconds, 0.001)
            click.echo(f"{report.cases:,} of {self._count:,} cases, {rate:,.0f}/s, {found}", err=True)


def _show(report: Report, kind: str, seed: int) -> None:
    """The table at the end."""
    click.echo(f"{report.cases:,} cases in {report.seconds:,.0f} s{', interrupted' * report.interrupted}")
    for name, number in sorted(report.outcomes.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{number:>12,}  {name}")
    if report.ok:
        click.echo("nothing found")
        return
    click.echo(f"\n{report.kinds.total()} findings of {len(report.kinds)} kinds:")
    for name, number in report.kinds.most_common():
        first = min((f for f in report.findings if f.kind == name), key=lambda f: f.number)
        click.echo(f"{number:>12,}  {name}\n{'':14}--seed {seed} --only {first.number}: {first.detail}")


if __name__ == "__main__":
    main()
