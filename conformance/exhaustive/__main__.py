"""``python -m conformance.exhaustive``."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from conformance.campaign.isolation import Failed
from conformance.exhaustive.campaign import Campaign, report
from conformance.exhaustive.space import PARTS, units
from jit.compiled import BuildError

_EPILOG = "\b\nParts:\n" + "\n".join(f"  {name:14}{what}" for name, what in PARTS.items())


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.option(
    "--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this part; may be given again."
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: one for each processor]")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="What the states are made from.")
@click.option("--from", "first", type=click.IntRange(min=0), default=0, metavar="N", help="Begin with unit N.")
@click.option("--every", type=click.IntRange(min=1), default=1, metavar="N", help="Only one unit in N.")
@click.option(
    "--count", type=click.IntRange(min=0), default=0, metavar="N", help="Only the first N encodings of a unit."
)
@click.option(
    "--store", type=click.Path(path_type=Path, dir_okay=False), help="Keep what is done here, and go on from it."
)
def main(
    parts: tuple[str, ...], jobs: int | None, seed: int, first: int, every: int, count: int, store: Path | None
) -> None:
    """Every encoding through decoder and translators; what they admit, on the processor and on the reference engine.

    The exit code is 1 if they disagree about anything.
    """
    chosen = units(parts or tuple(PARTS))[first::every]
    try:
        campaign = Campaign(chosen, jobs or len(os.sched_getaffinity(0)), seed, count, store)
    except (BuildError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    begin = time.perf_counter()
    with closing(campaign), Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("units", total=len(chosen), completed=len(chosen) - len(campaign.left))
        try:
            for unit in campaign.run(lambda: None):
                progress.update(task, advance=1, description=f"{unit.part}, {unit.name}")
        except Failed as error:
            raise click.ClickException(f"the enumeration failed: {error}") from error
    click.echo(report(campaign.total))
    click.echo(f"{len(campaign.left)} units of {len(chosen)} now, in {time.perf_counter() - begin:.0f} seconds")
    sys.exit(0 if campaign.total.clean else 1)


if __name__ == "__main__":
    main()
