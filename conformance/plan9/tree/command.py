"""The commands ``tree`` and ``programs`` of ``python -m conformance.plan9``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from conformance.plan9.tree.oracle import Unavailable
from conformance.plan9.tree.recipes import PROGRAMS


@click.command()
@click.option("--to", type=click.Path(path_type=Path), help="Write the tree here; else it is kept in the cache.")
@click.option("--only", default="", help="Programs, separated by commas; else all.")
def tree(to: Path | None, only: str) -> None:
    """Build a tree of Plan 9's from the sources of Debian's package 9base, and say where it is.

    \b
    Examples:
      python -m conformance.plan9 tree --to /tmp/plan9
      vx32py plan9 --root /tmp/plan9 -c 'ls -l /386/bin'
    """
    from conformance.plan9.tree import building, layout

    names = [name for name in only.split(",") if name] or list(PROGRAMS)
    for name in names:
        if name not in PROGRAMS:
            raise click.UsageError(f"there is no program {name}: {', '.join(sorted(PROGRAMS))}")
    started = time.monotonic()
    try:
        with click.progressbar(length=len(names), label="building", file=sys.stderr) as bar:
            built, failed = building.build_all(names, lambda line: bar.update(1))
        if to is not None:
            layout.make(to, built)
        place = to or layout.kept(built)
    except (Unavailable, OSError) as error:
        raise click.ClickException(str(error)) from None
    for name, why in sorted(failed.items()):
        click.echo(f"{name}: {why}", err=True)
    click.echo(f"{len(built)} programs in {time.monotonic() - started:.1f} s", err=True)
    click.echo(place)
    raise SystemExit(1 if failed else 0)
