"""The commands ``tree`` and ``programs`` of ``python -m conformance.plan9``."""

from __future__ import annotations

import os
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


@click.command()
@click.option("--engine", default="auto", help="auto, jit, translated or reference")
@click.option("--write", is_flag=True, help="Write docs/plan9-programs.md.")
@click.option("--list", "listing", is_flag=True, help="Say which cases there are.")
@click.argument("names", nargs=-1, metavar="[PROGRAM | 'PROGRAM: CASE']...")
def programs(names: tuple[str, ...], engine: str, write: bool, listing: bool) -> None:
    """Run scripts with the programs of the tree, on the kernel and with Debian's build of them on Linux, and compare what they
    write and whether they end well. The exit code is 1 where they differ.

    \b
    Examples:
      python -m conformance.plan9 programs
      python -m conformance.plan9 programs rc 'awk: arrays'
      python -m conformance.plan9 programs stress      hundreds of processes, megabytes, thousands of files
      python -m conformance.plan9 programs --write
    """
    from conformance.plan9.tree import cases, comparing, layout, report

    chosen = [
        case for case in cases.all_cases()
        if case.program in names or case.title in names or (not names and case.program != cases.STRESS)
    ]  # fmt: skip
    missing = set(names) - {case.program for case in chosen} - {case.title for case in chosen}
    if missing:
        raise click.UsageError(f"no case is called {min(missing)!r}; --list says which are")
    if listing:
        for case in chosen:
            click.echo(case.title)
        return
    done: list[comparing.Comparison] = []
    try:
        with comparing.comparer(
            layout.kept(), engine=engine, large=any(case.program == cases.STRESS for case in chosen)
        ) as comparer:
            for comparison in comparer.compare_all(chosen):
                done.append(comparison)
                if comparison.problem:
                    why = f" ({comparison.case.differs})" if comparison.case.differs else ""
                    click.echo(f"{comparison.case.title}: {comparison.problem}{why}")
    except (Unavailable, OSError) as error:
        raise click.ClickException(str(error)) from None
    rows = report.rows(done)
    for row in rows:
        click.echo(f"{row.program:10} {row.agree:3} of {row.cases:3}  {row.plan9:7.2f} s {row.linux:7.2f} s")
    if write:
        path = Path(__file__).resolve().parents[3] / "docs" / "plan9-programs.md"
        path.write_text(report.text(rows, done), encoding="utf-8")
        click.echo(os.path.relpath(path))
    wrong = [each for each in done if not each.agree and not each.case.differs]
    click.echo(f"{sum(each.agree for each in done)} of {len(done)} cases agree")
    raise SystemExit(1 if wrong else 0)
