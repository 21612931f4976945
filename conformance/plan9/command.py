"""The command line of ``python -m conformance.plan9``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from conformance import kept
from conformance.plan9 import cases, golang
from conformance.plan9.soak.command import every_line, soak
from conformance.plan9.tree.command import programs as tree_programs
from conformance.plan9.tree.command import tree

if TYPE_CHECKING:
    from conformance.plan9.gotests import Results

_EPILOG = """\b
Examples:
  python -m conformance.plan9                          all Go programs
  python -m conformance.plan9 run files digests        some of them
  python -m conformance.plan9 gotests --packages sort  tests of Go's own library
  python -m conformance.plan9 gotests --write          all of them, and docs/plan9-go.md
  python -m conformance.plan9 soak --minutes 10        hundreds of processes for a long time
  python -m conformance.plan9 tree --to /tmp/plan9     a tree of C programs to boot
  python -m conformance.plan9 programs                 its programs beside those of Linux
"""


def progress(line: str) -> None:
    """Say what goes on."""
    click.echo(line, err=True)


@click.group(
    invoke_without_command=True, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)  # fmt: skip
@click.pass_context
def main(context: click.Context) -> None:
    """Real programs of Plan 9's, made by Go's compiler, on the kernel; without a command all programs are run."""
    if context.invoked_subcommand is None:
        context.invoke(run)


@main.command()
@click.option("--engine", default="auto", help="auto, jit, translated or reference")
@click.option("--list", "listing", is_flag=True, help="Say which programs there are.")
@click.argument("names", nargs=-1, metavar="[PROGRAM]...")
def run(names: tuple[str, ...] = (), engine: str = "auto", listing: bool = False) -> None:
    """Build Go programs, run each on the kernel and, where that says what it should do, on Linux. The exit code is 1 if one
    does not do what it should, 2 without Go."""
    from conformance.plan9 import programs

    try:
        chosen = cases.chosen(names)
    except KeyError as error:
        raise click.UsageError(f"no program is called {error.args[0]}; --list says which are") from None
    wrong = 0
    for case in chosen:
        if listing:
            click.echo(case.title)
            continue
        try:
            outcome = programs.compare(case, engine, progress)
        except golang.Unavailable as error:
            raise click.UsageError(str(error)) from None
        wrong += bool(outcome.problem)
        native = f"{outcome.native:6.2f}" if outcome.native is not None else "     -"
        click.echo(f"{outcome.name:18} {outcome.seconds:6.2f} s {native} s  {outcome.problem or 'as it should be'}")
    raise SystemExit(1 if wrong else 0)


@main.command()
@click.option("--packages", multiple=True, metavar="PACKAGE", help="Only these; may be given several times.")
@click.option("--engine", default="auto", help="auto, jit, translated or reference")
@click.option("--timeout", default=240.0, help="Seconds for the tests of a package.")
@click.option("--memory", default="512M", help="For each process.")
@click.option("--native/--no-native", default=True, help="Run the same tests on Linux, too.")
@click.option("--show", is_flag=True, help="Show what tests have said that fail.")
@click.option("--write", is_flag=True, help="Write docs/plan9-go.md from these results and those of earlier runs.")
def gotests(
    packages: tuple[str, ...], engine: str, timeout: float, memory: str, native: bool, show: bool, write: bool
) -> None:
    """Build the tests of packages of Go's library for Plan 9, run them on the kernel, and compare with Linux. The exit code is 1
    if a test fails here that does not fail there, 2 without Go."""
    from conformance.plan9 import gotests as tests
    from conformance.plan9 import report
    from conformance.plan9.packages import PACKAGES

    found, worse = kept.load(report.RESULTS), 0
    try:
        golang.root(progress)
        for package in packages or PACKAGES:
            worse += _package(package, found, tests.run_package(
                package, engine=engine, timeout=timeout, memory=memory, native=native, progress=progress
            ), show)  # fmt: skip
            kept.save(found, report.RESULTS)
        if write:
            report.write(found, golang.release())
            click.echo(f"wrote {report.DOCUMENT}")
    except golang.Unavailable as error:
        raise click.UsageError(str(error)) from None
    raise SystemExit(1 if worse else 0)


def _package(package: str, found: dict[str, Any], done: Iterable[tuple[str, Results]], show: bool) -> int:
    """Say what has come of a package; how many tests fail here that do not fail on Linux."""
    from conformance.plan9 import report
    from conformance.plan9.gotests import FAIL, PASS, SKIP

    results: dict[str, Results] = {}
    try:
        for system, each in done:
            results[system] = each
            report.record(found, package, system, each)
    except golang.Unavailable as error:
        click.echo(f"{package}: {error}" if str(error) else f"{package}: there are no tests")
        return 0
    words = [f"{package:24}"]
    for system, each in sorted(results.items(), reverse=True):
        passed, failed, skipped = (each.count(result) for result in (PASS, FAIL, SKIP))
        words.append(f"{system} {passed:4} passed {failed:3} failed {skipped:3} skipped {each.seconds:7.2f} s")
    here, there = results[golang.PLAN9], results.get(golang.LINUX)
    click.echo("  ".join(words) + (f"  {here.problem}" if here.problem else ""))
    worse = 0
    for name in sorted(name for name, result in here.tests.items() if result == FAIL):
        native = there.tests.get(name) if there is not None else None
        worse += native != FAIL
        click.echo(f"    {name} fails" + (f" (on Linux: {native})" if there is not None else ""))
        if show:
            click.echo(here.notes.get(name, ""))
    return worse + bool(here.problem)


@main.command()
@click.option("--runs", default=5, help="How often each is run; medians count.")
def speed(runs: int) -> None:
    """How long Go programs take on the kernel and natively, and the calls that they make most."""
    from conformance.plan9 import speed as measuring

    click.echo(f"{'':24} {'plan9':>9} {'native':>9} {'ratio':>7}   processor {'native':>9} {'ratio':>7}  calls")
    try:
        for figure in measuring.measured(runs, progress):
            most = sorted(figure.calls.items(), key=lambda pair: -pair[1])[:5]
            calls = ", ".join(f"{name} {count}" for name, count in most)
            click.echo(
                f"{figure.title:24} {figure.guest:8.3f}s {figure.native:8.3f}s {figure.guest / figure.native:7.2f}   "
                f"{figure.guest_cpu:8.3f}s {figure.native_cpu:8.3f}s {figure.guest_cpu / max(figure.native_cpu, 0.01):7.2f}  {calls}"
            )
    except golang.Unavailable as error:
        raise click.UsageError(str(error)) from None


main.add_command(tree)
main.add_command(soak)
main.add_command(every_line)
main.add_command(tree_programs)
