"""The command: many damaged archives, or one of them again."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import click

from conformance.malformed.run import Report, run

_MODULE: Final = "conformance.archives.judge"
_LINE_EVERY: Final = 10.0
_EPILOG: Final = """\b
Examples:
  python -m conformance.archives --count 10000 --jobs 2
  python -m conformance.archives --first 10000 --count 10000       go on where that ended
  python -m conformance.archives --only 4711 --save damaged.zip    one case again

Every case is a function of the seed and its number. Exit code 1 where something was found.
"""


@click.command(epilog=_EPILOG)
@click.option("--count", type=click.IntRange(min=1), default=1000, show_default=True, help="How many cases.")
@click.option("--first", type=click.IntRange(min=0), default=0, help="The number of the first case.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other cases.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes at a time.")
@click.option("--only", type=click.IntRange(min=0), help="The case with this number alone.")
@click.option("--save", type=click.Path(path_type=Path), help="With --only: write the archive to this file.")
def main(count: int, first: int, seed: int, jobs: int, only: int | None, save: Path | None) -> None:
    """Damaged archives: extracted, refused, or extracted in part, and nothing else."""
    if only is not None:
        count, first = 1, only
        if save is not None:
            from conformance.archives.mutate import mutant
            from conformance.archives.sources import all_sources

            save.write_bytes(mutant(seed, only, all_sources()).data)
    last = time.monotonic()

    def tell(report: Report) -> None:
        nonlocal last
        if time.monotonic() - last > _LINE_EVERY:
            last = time.monotonic()
            rate = report.cases / max(report.seconds, 0.001)
            click.echo(
                f"{report.cases:,} of {count:,} cases, {rate:,.0f}/s, {len(report.kinds)} kinds of findings", err=True
            )

    report = run(_MODULE, count=count, seed=seed, jobs=jobs, given=None, first=first, tell=tell)
    click.echo(f"{report.cases:,} cases in {report.seconds:,.0f} s{', interrupted' * report.interrupted}")
    for name, number in sorted(report.outcomes.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{number:>12,}  {name}")
    for finding in report.findings:
        click.echo(f"case {finding.number}: {finding.kind}: {finding.detail}")
    click.echo("nothing found" if report.ok else f"{report.kinds.total()} findings of {len(report.kinds)} kinds")
    sys.exit(1 if not report.ok else 130 if report.interrupted else 0)


if __name__ == "__main__":
    main(prog_name="python -m conformance.archives")
