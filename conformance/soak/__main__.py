"""``python -m conformance.soak``: the soak, and with ``signals`` the shots. Exit code 1 if anything went wrong."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

import click
from rich.console import Console

from conformance.soak import lines, run, shots, telling

_UNITS = {"s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """Seconds, or such as 20m."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click."""
        text = str(value)
        try:
            seconds = float(text.rstrip("smh")) * _UNITS.get(text[-1:], 1)
        except ValueError:
            self.fail(f"{value!r} is not a duration such as 90, 20m or 2h", param, ctx)
        if not seconds > 0:
            self.fail("a duration is more than 0", param, ctx)
        return seconds


_engine = click.option(
    "--engine", default="jit", show_default=True, type=click.Choice(("jit", "translated", "reference")),
    help="What runs the guests.",
)  # fmt: skip
_seed = click.option("--seed", type=int, default=None, help="For the same choices again; any if not given.")


@click.group(invoke_without_command=True)
@click.option("--duration", default="60s", show_default=True, type=Duration(), help="How long it goes on, such as 20m.")
@click.option("--threads", default=4, show_default=True, type=click.IntRange(1, 64), help="How many run guests.")
@click.option("--replay", type=int, default=None, help="Live the one story with this seed, again and again.")
@_engine
@_seed
@click.pass_context
def soak(
    context: click.Context, duration: float, threads: int, replay: int | None, engine: str, seed: int | None
) -> None:
    """Guests in many threads, hostile and benign, for a long time; what they leave behind is measured."""
    if context.invoked_subcommand is not None:
        return
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    with telling.working() as say:

        def show(report: run.Report) -> None:
            figures = telling.figures(report.samples[-1] if report.samples else {})
            say(f"{report.seconds:.0f} of {duration:.0f} s: {sum(report.done.values())} stories; {figures}")

        report = run.soak(
            seconds=duration, threads=threads, engine=engine, seed=seed, replay=replay, progress=show
        )  # fmt: skip
    tell(report, Console())
    sys.exit(0 if report.ok else 1)


def tell(report: run.Report, console: Console) -> None:
    """The report for people."""
    stories = ", ".join(f"{name} {count}" for name, count in sorted(report.done.items()))
    console.print(
        f"{report.engine}, {report.threads} threads, seed {report.seed}: {sum(report.done.values())} stories in"
        f" {report.seconds:.0f} s ({stories})",
        highlight=False,
    )
    telling.results(console, report.trends, report.complaints, ok=report.ok)


@soak.command()
@click.option("--count", default=2000, show_default=True, type=click.IntRange(1), help="How many shots.")
@_engine
@_seed
def signals(count: int, engine: str, seed: int | None) -> None:
    """Ctrl-C and other signals at random moments: at programs, at handlers that return, at the command line."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    click.echo(f"{engine}, seed {seed}")
    # A shot at the command line is a process of its own.
    at_command_line = max(1, count // 10)
    kinds: list[tuple[str, Callable[[], Iterator[shots.Tally]]]] = [
        ("interrupts", lambda: shots.at_programs("interrupts", engine, count - 3 * at_command_line, seed)),
        ("handlers", lambda: shots.at_programs("handlers", engine, 2 * at_command_line, seed)),
        ("command line", lambda: shots.at_command_line(engine, at_command_line, seed)),
    ]
    wrong = 0
    for name, shoot in kinds:
        tally = shots.Tally()
        with telling.counting(name) as show:
            for tally in shoot():
                show(tally.shots)
        click.echo(f"{name}: {tally.shots} shots, {tally.signals} signals, {len(tally.complaints)} complaints")
        for complaint in tally.complaints:
            click.echo(complaint)
        wrong += len(tally.complaints)
    sys.exit(1 if wrong else 0)


@soak.command(name="lines")
@click.option("--step", default=1, show_default=True, type=click.IntRange(1), help="Only every so many lines.")
@_engine
def every_line(step: int, engine: str) -> None:
    """An exception at every line of the library that short lives of guests execute."""
    wrong = telling.every_line(lines.stories(engine), lambda name: lines.sweep(engine, name, step=step))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    soak()
