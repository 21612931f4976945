"""``python -m conformance.plan9 soak``: exit code 1 if anything was wrong."""

from __future__ import annotations

import random
import sys

import click
from rich.console import Console

from conformance.plan9.soak import lines, run
from conformance.soak import telling


@click.command(name="soak")
@click.option("--minutes", default=1.0, show_default=True, type=click.FloatRange(0.01), help="How long it goes on.")
@click.option("--processes", default=200, show_default=True, type=click.IntRange(1, 1000), help="Workers at a time.")
@click.option("--engine", default="jit", show_default=True, type=click.Choice(("jit", "translated", "reference")))
@click.option("--memory", default="8M", show_default=True, help="Of each process.")
@click.option("--seed", type=int, default=None, help="For the same stories again, nearly; any if not given.")
def soak(minutes: float, processes: int, engine: str, memory: str, seed: int | None) -> None:
    """Hundreds of processes for a long time: none may hang, no message may be lost, nothing may be left."""
    seed = random.SystemRandom().getrandbits(31) if seed is None else seed
    with telling.working() as say:

        def show(report: run.Report) -> None:
            figures = telling.figures(report.samples[-1])
            say(f"{report.waited} stories, {report.most_at_a_time} processes; {figures}")

        report = run.soak(
            seconds=minutes * 60, workers=processes, engine=engine, seed=seed, memory=memory, progress=show
        )  # fmt: skip
    tell(report, Console(), seed)
    sys.exit(0 if report.ok else 1)


@click.command(name="lines")
@click.option("--step", default=101, show_default=True, type=click.IntRange(1), help="Only every so many lines.")
@click.option("--engine", default="jit", show_default=True, type=click.Choice(("jit", "translated", "reference")))
@click.argument("names", nargs=-1, metavar="[STORY]...", type=click.Choice(lines.NAMES))
def every_line(step: int, engine: str, names: tuple[str, ...]) -> None:
    """An exception at every line of the library that kernels' lives execute, as of Ctrl-C: nothing may be left."""
    wrong = telling.every_line(names or lines.NAMES, lambda name: lines.sweep(engine, name, step=step))
    sys.exit(1 if wrong else 0)


def tell(report: run.Report, console: Console, seed: int) -> None:
    """The report for people."""
    console.print(
        f"{report.engine}, {report.workers} workers, seed {seed}: {report.made} stories in {report.seconds:.0f} s,"
        f" {report.waited} waited for, {report.refused} without room; {report.processes} processes,"
        f" {report.most_at_a_time} at a time",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    telling.results(console, report.trends, report.complaints, ok=report.ok)
