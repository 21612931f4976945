"""The command line of ``python -m conformance.programs``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from conformance import kept
from conformance.programs import cases, report, roots, sets
from conformance.programs.case import Case
from conformance.programs.run import NATIVE, Comparison, Outcome, compare, run

_EPILOG = """\b
Examples:
  python -m conformance.programs                    what the test suite runs
  python -m conformance.programs bash tar-xz        cases, programs or trees by name
  python -m conformance.programs --all --write      everything, and docs/programs.md
  python -m conformance.programs --native --all     only natively: what is expected
"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--all", "everything", is_flag=True, help="Also the programs that the test suite leaves out (2 GB of packages)."
)
@click.option(
    "--engine", "engines", multiple=True, help="Only on this engine, or native: twice natively, which must agree."
)
@click.option("--native", "native_only", is_flag=True, help="Run natively alone and show what comes out.")
@click.option("--list", "listing", is_flag=True, help="Say which cases there are.")
@click.option("--write", is_flag=True, help="Write docs/programs.md from these results and those of earlier runs.")
@click.option("--show", is_flag=True, help="Show both outputs where they differ.")
@click.argument("names", nargs=-1)
def main(
    names: tuple[str, ...], everything: bool, engines: tuple[str, ...], native_only: bool, listing: bool, write: bool,
    show: bool,
) -> None:  # fmt: skip
    """Run programs out of Debian's i386 packages natively and in the jail, and compare. The exit code is 1 if any differs."""
    try:
        chosen = cases.chosen(names, everything=everything)
    except KeyError as error:
        raise click.UsageError(f"no case, program or tree is called {error.args[0]}; --list says which are") from None
    if listing:
        for case in chosen:
            click.echo(f"{case.name:26} {case.package:22} {case.root:16} {' '.join(case.engines)}")
        return
    if native_only:
        wrong = sum(not _native(case, number, len(chosen), show) for number, case in enumerate(chosen, 1))
    else:
        done = _compare(chosen, engines, show)
        click.echo(report.summary(done))
        wrong = sum(not comparison.agrees for comparison in done)
    if write:
        report.write(kept.load(report.RESULTS))
        click.echo(f"wrote {report.DOCUMENT}")
    raise SystemExit(1 if wrong else 0)


def _tree(case: Case) -> roots.Root:
    try:
        return sets.fetch(case.root, lambda line: click.echo(f"  {line}", err=True))
    except roots.Unavailable as error:
        raise click.ClickException(str(error)) from None


def _native(case: Case, number: int, count: int, show: bool) -> bool:
    outcome = run(case, _tree(case), NATIVE)
    click.echo(f"[{number}/{count}] {case.name}: exit code {outcome.exit_code}, {outcome.seconds:.2f} s")
    if show:
        _show(outcome)
    return outcome.exit_code is not None


def _compare(chosen: Sequence[Case], engines: Sequence[str], show: bool) -> list[Comparison]:
    done: list[Comparison] = []
    for number, case in enumerate(chosen, 1):
        root = _tree(case)
        expected: Outcome | None = None
        for engine in engines or case.engines:
            comparison = compare(case, root, engine, expected)
            expected = comparison.native
            done.append(comparison)
            before, after = comparison.native.seconds, comparison.jailed.seconds
            verdict = "same" if comparison.agrees else f"DIFFERS: {comparison.difference}"
            click.echo(f"[{number}/{len(chosen)}] {case.name} {engine}: {before:.2f} s, {after:.2f} s: {verdict}")
            if show and not comparison.agrees:
                _show(comparison.native)
                _show(comparison.jailed)
            if engine != NATIVE:
                results = kept.load(report.RESULTS)
                report.record(results, comparison, root)
                kept.save(results, report.RESULTS)
    return done


def _show(outcome: Outcome) -> None:
    click.echo(f"--- exit code {outcome.exit_code}")
    click.echo(outcome.stdout)
    click.echo(outcome.stderr)
    click.echo("\n".join(outcome.files))
